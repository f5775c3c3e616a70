"""CPU seconds in which a stage starts, beside `import torch`: fresh processes that import what they need.

That is the stage, and what its settings name: the multitask method, or what all experiments score with. Prints a table;
`--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from overhead import measured
from tables import table, write_record

from mmbench.errors import run_command
from mmbench.runs.provenance import provenance

ROOT = Path(__file__).parents[1]
STAGES = sorted(path.stem for path in (ROOT / "mmbench" / "stages").glob("[!_]*.py"))
METHOD = ["mmbench.models.mt_diffusion"]
SCORED = sorted(path.parent.name for path in (ROOT / "mmbench" / "experiments").glob("*/scores.py"))
SCORES = [f"mmbench.experiments.{name}.scores" for name in SCORED]
#: What the settings of a stage name.
NAMED = dict.fromkeys(("train", "judge", "predict"), METHOD) | {"evaluate": SCORES, "tune": [*METHOD, *SCORES]}
#: The most that a stage may take, as a multiple of `import torch`.
REQUIRED = {"train": 1.3, "predict": 1.3, "evaluate": 1.6}


def modules(stage: str) -> list[str]:
    """What a stage imports before it begins its work."""
    return [f"mmbench.stages.{stage}", *NAMED.get(stage, [])]


def seconds(imported: Sequence[str]) -> float:
    """CPU seconds of a process that imports modules."""
    return measured([sys.executable, "-c", f"import {', '.join(imported)}"])["cpu"]


def measure(rounds: int) -> dict[str, Any]:
    """CPU seconds of `import torch` and of every stage, in turns, after one turn that leaves files in memory."""
    starts = {"torch": ["torch"], **{stage: modules(stage) for stage in STAGES}}
    turns = [{name: seconds(imported) for name, imported in starts.items()} for _ in range(rounds + 1)][1:]
    return {
        "rounds": rounds,
        "seconds": {name: statistics.median(turn[name] for turn in turns) for name in starts},
        "ratio": {name: statistics.median(turn[name] / turn["torch"] for turn in turns) for name in STAGES},
    }


def as_text(record: dict[str, Any]) -> str:
    """The table of a record."""
    text = (
        f"Load {record['load'][0]:.0f} on {record['cpus']} cores; {record['provenance']['processor']}. Medians of "
        f"{record['rounds']} rounds. `import torch`: {record['seconds']['torch']:.2f} CPU seconds.\n\n"
    )
    ratios = sorted(record["ratio"].items(), key=lambda item: -item[1])
    rows = [
        [stage, f"{record['seconds'][stage]:.2f}", f"{ratio:.2f}", f"{REQUIRED[stage]}" if stage in REQUIRED else ""]
        for stage, ratio in ratios
    ]
    return text + table(["start of a stage", "CPU seconds", "of `import torch`", "at most"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/startup.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/startup.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="in each of which every stage starts once")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table is written beside it")
    args = parser.parse_args(argv)
    record = measure(args.rounds) | {"load": os.getloadavg(), "cpus": os.cpu_count()}
    record["provenance"] = provenance({"rounds": args.rounds}, {})
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
