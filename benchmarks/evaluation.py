"""How long it takes to score 10,000 images of 32 x 32 in each experiment, once what the networks say is cached.

The runs are made up, but it is `mmbench.stages.evaluate` that scores them: it reads cases, predictions and a full
cache from file and writes its two files. Prints tables; `--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))

from costs import Seconds, network_costs, torch_fidelity, whole
from made_up import ASKED, StandIns, write_run
from tables import table, write_record

from mmbench.errors import run_command
from mmbench.frozen.cache import OutputCache
from mmbench.runs.provenance import provenance
from mmbench.scoring.scores import Measure, Scored
from mmbench.stages import evaluate

EXPERIMENTS = ("masking", "segmentation", "labels", "embedding")
READING, CACHE, WRITING = "reading cases, predictions, reference", "reading the cache", "writing scores"
#: Metrics that are computed together, by the first part of their names.
TOGETHER = (
    ("precision", "recall", "density", "coverage"),
    ("miou", "iou", "pixel_accuracy"),
    ("judged_miou", "judged_accuracy", "shuffled_miou", "shuffled_accuracy"),
    ("macro_precision", "macro_recall", "macro_f1"),
    ("cosine", "shuffled_cosine"),
    ("retrieval", "median_rank"),
)


def step_of(measure: Measure) -> str:
    """The metrics that are computed together with one, itself included."""
    name = measure.name.partition("[")[0].partition("/")[0].partition("@")[0]
    return next((", ".join(names) for names in TOGETHER if name in names), name)


class Clock:
    """Seconds of each step: those since the last mark go to the step that is marked next."""

    def __init__(self) -> None:
        self.steps: dict[str, Seconds] = defaultdict(lambda: {"wall": 0.0, "cpu": 0.0})
        self.last = self.now()

    @staticmethod
    def now() -> Seconds:
        """Both clocks."""
        return {"wall": time.perf_counter(), "cpu": time.process_time()}

    def mark(self, step: str, since: Seconds | None = None) -> None:
        """Give `step` the seconds since the last mark, or those since a later moment: the rest is the next step's."""
        now, begin = self.now(), since or self.last
        for clock, moment in now.items():
            self.steps[step][clock] += moment - begin[clock]
            self.last[clock] += moment - begin[clock]


@contextlib.contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Score with stand-ins for the networks, and mark every metric and every look into the cache."""
    add, ask = Scored.add, OutputCache.__call__

    def timed_add(self: Scored, case: Any, measure: Measure, *rest: Any) -> None:
        add(self, case, measure, *rest)
        clock.mark(step_of(measure))

    def timed_ask(self: OutputCache, *rest: Any) -> Any:
        begin = clock.now()
        output = ask(self, *rest)
        clock.mark(CACHE, begin)
        return output

    def tools(*arguments: Any) -> StandIns:
        made = StandIns(*arguments)
        assert len(made.reference.features)
        clock.mark(READING)
        return made

    with (
        mock.patch.object(Scored, "add", timed_add),
        mock.patch.object(OutputCache, "__call__", timed_ask),
        mock.patch.object(evaluate, "Tools", tools),
    ):
        yield


def measure(experiment: str, items: int, threads: int) -> dict[str, Any]:
    """Score a made-up run of one experiment; the seconds of each step and of all."""
    with tempfile.TemporaryDirectory() as folder:
        flags = write_run(experiment, items, Path(folder))
        ASKED.clear()
        clock = Clock()
        with watched(clock), contextlib.redirect_stdout(io.StringIO()):
            evaluate.main([*flags, "--threads", str(threads)])
            clock.mark(WRITING)
    assert not ASKED, f"{experiment}: not everything was cached: {set(ASKED)}"
    steps = {step: clock.steps[step] for step in sorted(clock.steps)}
    total = {clock: sum(seconds[clock] for seconds in steps.values()) for clock in ("wall", "cpu")}
    return {"steps": steps, "total": total}


def shown(seconds: Seconds | None) -> str:
    """Wall and CPU seconds of a cell."""
    return f"{seconds['wall']:.1f} / {seconds['cpu']:.1f}" if seconds else "–"


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    experiments = record["experiments"]
    steps = [
        READING,
        CACHE,
        *sorted({s for e in experiments.values() for s in e["steps"]} - {READING, CACHE, WRITING}),
        WRITING,
    ]
    rows = [[step, *(shown(e["steps"].get(step)) for e in experiments.values())] for step in steps]
    rows.append(["**all**", *(f"**{shown(e['total'])}**" for e in experiments.values())])
    machine = f"{record['provenance']['processor']}, threads: {record['threads']}; wall / CPU seconds"
    text = f"{record['items']:,} items of each case and as many real ones; {machine}.\n\n"
    text += table(["step", *experiments], rows)
    if whole := record.get("whole"):
        text += (
            f"\n{whole['images']:,} images in the {whole['cases']} cases of `{whole['experiment']}`, from the command "
        )
        text += "to its two files.\n\n"
        rows = [
            [name, shown(whole[name]), f"{whole[name]['peak_bytes'] / 2**20:.0f}"]
            for name in ("without a cache", "with it")
        ]
        text += table(["", "seconds", "peak MiB"], rows)
    if record["networks"]:
        rows = [
            [n["network"], f"{n['images']:,}", shown(n["seconds"]), f"{n['images'] / n['seconds']['cpu']:.0f}"]
            for n in record["networks"]
        ]
        text += "\n" + table(["network", "images", "seconds", "images per CPU second"], rows)
    if record["torch_fidelity"]:
        rows = [[m["metric"], *map(shown, m["seconds"].values())] for m in record["torch_fidelity"]]
        text += "\n" + table(["the same features", "mmbench", "torch-fidelity"], rows)
    return text


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/evaluation.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/evaluation.py", description=__doc__)
    parser.add_argument("--items", type=int, default=10_000, help="of each case, and real ones")
    parser.add_argument("--experiments", nargs="*", default=EXPERIMENTS, choices=EXPERIMENTS, help="default: all")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to compute with")
    parser.add_argument("--weights", type=Path, help="folder that mmbench.frozen.lpips wrote: time the networks, too")
    parser.add_argument("--images", type=int, default=500, help="that the networks are timed with")
    parser.add_argument("--whole", type=int, default=10_000, help="images scored from nothing, with --weights")
    parser.add_argument("--compare", action="store_true", help="with torch-fidelity, which the tests need too")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    with threadpool_limits(args.threads):
        record = {
            "items": args.items,
            "threads": args.threads,
            "cpus": os.cpu_count(),
            "experiments": {name: measure(name, args.items, args.threads) for name in args.experiments},
            "whole": whole("masking", args.whole, args.weights, args.threads) if args.weights else None,
            "networks": network_costs(args.weights, args.images) if args.weights else [],
            "torch_fidelity": torch_fidelity(args.items) if args.compare else [],
        }
    record["load"] = os.getloadavg()
    record["provenance"] = provenance({"items": args.items}, {})
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
