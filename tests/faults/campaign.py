"""Interrupt one run of the workflow again and again, and compare what it ends with with an undisturbed run.

`python tests/faults/campaign.py --faults 20 --seed 0` runs the whole profile `smoke` undisturbed, to know how long it
takes and what it makes. Then it runs the same DAG in another folder, strikes it at random moments spread over that
time, and after each fault types what a user would: `snakemake --unlock` and the same command. The table has a row for
each fault; `equal` compares every result that is there, at the fault and when the next one comes, with the undisturbed
run's.
Exit status 1 if anything differs, is damaged, is missing in the end, or was left behind.

The disturbed run is on a small tmpfs of its own, so that its disk can be filled. This takes a mount namespace (root, or
user namespaces); where there is none, the kind "full disk" is left out and this is said.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_kinds import KINDS
from faulty_run import ROOT, Run
from rich.console import Console
from rich.table import Table
from same_results import litter, results

#: Trainings long enough to be hit between two states; the rest of the profile is as it is.
WHOLE = ["profile=smoke", "override={train: {steps: 60, checkpoint_every: 10}}"]
SMALL = [
    "profile=smoke",
    "override={experiments: [masking], methods: [mt_diffusion], train: {steps: 80, checkpoint_every: 10}}",
]
SMALL_TARGETS = ["results/smoke/masking/mt_diffusion/seed0/predictions.npz"]
FULL_DISK = "full disk"
DISK_BYTES = 3 << 29
INSIDE = "MMBENCH_FAULTS_INSIDE"
BEHIND_SECONDS = 3  # at most, from the first job to a fault whose moment has passed
NOTHING_TO_DO = "Nothing to be done"


@dataclass
class Row:
    """A fault and what came of it."""

    kind: str
    moment: float
    hit: str = ""
    recovery: str = ""
    number: int = 0
    count: int = 0
    wrong: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether all that is there is equal."""
        return f"no: {', '.join(self.wrong[:3])}" if self.wrong else f"yes, {self.count} files"


def enter_namespace() -> bool:
    """Start this program again in mount namespace of its own, if there can be one; True if it is in one."""
    if os.environ.get(INSIDE):
        return True
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    trial = [*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if shutil.which("unshare") and subprocess.run(trial, capture_output=True, check=False).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])
    return False


def plan(count: int, kinds: Sequence[str], seconds: float, rng: random.Random) -> list[Row]:
    """Faults at random moments of a run of so many seconds; every kind as often as any other, or once more."""
    drawn = [kind for _ in range(-(-count // len(kinds))) for kind in rng.sample(kinds, len(kinds))][:count]
    return [Row(*pair) for pair in zip(drawn, moments(count, seconds, rng), strict=True)]


def moments(count: int, seconds: float, rng: random.Random) -> list[float]:
    """Random moments in their order."""
    return sorted(rng.uniform(0, seconds) for _ in range(count))


def undisturbed(run: Run) -> float:
    """Run to the end; the seconds from the first job on."""
    run.start()
    run.wait(run.jobs)
    begin = time.monotonic()
    run.settle(orphans=False)
    if not run.finished:
        raise SystemExit(f"error: the undisturbed run has failed:\n{run.said()[-3000:]}")
    return time.monotonic() - begin


def start_again(run: Run) -> str:
    """What a user types after a fault; what it took."""
    locked = any((run.folder / ".snakemake" / "locks").glob("*"))
    if locked:
        run.ask("--unlock")
    run.start()
    return "--unlock, " if locked else ""


def what_it_took(said: str) -> str:
    """What the jobs of a start say of the faults before it."""
    notes = [
        f"{name} from step {step}" for name, step in re.findall(r"(\w+) seed \d+: resuming after step (\d+)", said)
    ]
    left_over = re.findall(r"^results/(?:smoke/)?(\S+?)(?:/state)?: another process is at this ([a-z ]+),", said, re.M)
    notes += [f"waited for the {job} of {place.replace('/seed0', '')}" for place, job in left_over]
    notes += ["a damaged state left aside"] * said.count(": damaged (")
    return "same command" + "".join(f", {note}" for note in dict.fromkeys(notes))


def differing(run: Run, expected: dict[str, str]) -> tuple[int, tuple[str, ...]]:
    """How many results are there, and those that are not the undisturbed run's."""
    found = results(run.results)
    return len(found), tuple(name for name, value in found.items() if expected.get(name) != value)


def disturb(
    run: Run, rows: list[Row], expected: dict[str, str], seconds: float, rng: random.Random, out: Console
) -> None:
    """Strike at every row's moment, recovering each time, and let the run come to its end.

    A moment counts from the first job on, and only while jobs run. A run that comes to its end before the last fault is
    checked, removed and begun again, with the moments of the faults that are left drawn anew.
    """
    ran, typed = 0.0, ""
    last: Row | None = None  # the fault that is being recovered from
    run.start()
    for number, row in enumerate(rows):
        while True:
            ran += reach(run, row.moment - ran, rng)
            if run.ended and not run.finished:
                raise SystemExit(f"error: the run has failed by itself:\n{run.said()[-3000:]}")
            begin, row.moment = time.monotonic(), ran
            row.hit = "" if run.finished else KINDS[row.kind](run, rng)
            ran += time.monotonic() - begin
            if last:
                finish(last, typed, run, expected, out)
            last = None
            if not run.finished:
                break
            out.print(f"   the run has come to its end after {ran:.0f} s; begun again")
            rows[number - 1].wrong += tuple(in_the_end(run, expected))
            seconds = min(seconds, ran)
            run.forget()
            for later, moment in zip(rows[number:], moments(len(rows) - number, seconds, rng), strict=True):
                later.moment = moment
            ran = 0.0
            run.start()
        row.number = number + 1
        row.wrong += differing(run, expected)[1]
        last, typed = row, start_again(run)
    run.settle(orphans=False)
    finish(rows[-1], typed, run, expected, out)


def reach(run: Run, seconds: float, rng: random.Random) -> float:
    """Let jobs run for `seconds`, or a short while if that is over; the seconds that they ran."""
    run.wait(run.own_jobs)
    begin = time.monotonic()
    end = begin + max(seconds, rng.uniform(0, BEHIND_SECONDS))
    run.wait(lambda: time.monotonic() >= end)
    return time.monotonic() - begin


def finish(row: Row, typed: str, run: Run, expected: dict[str, str], out: Console) -> None:
    """Say what came of a fault, once the next has struck or the run has ended."""
    row.recovery = typed + what_it_took(run.said())
    row.count, wrong = differing(run, expected)
    row.wrong += wrong
    out.print(f"{row.number:2} {row.kind} at {row.moment:.0f} s | {row.hit} | {row.recovery} | {row.verdict}")


def in_the_end(run: Run, expected: dict[str, str]) -> list[str]:
    """What is wrong with a run that has ended."""
    wrong = [] if run.finished else [f"the last run failed:\n{run.said()[-3000:]}"]
    found = results(run.results)
    wrong += [f"missing: {name}" for name in expected.keys() - found.keys()]
    wrong += [f"not equal: {name}" for name, value in found.items() if expected.get(name) != value]
    wrong += [f"left behind: {name}" for name in litter(run.results)]
    if NOTHING_TO_DO not in (said := run.ask("--dry-run").stdout):
        wrong.append(f"something is left to do:\n{said[-2000:]}")
    return wrong


COLUMNS = ("#", "fault", "at", "hit", "recovery", "equal")


def cells(row: Row) -> list[str]:
    """A row for a reader."""
    return [str(row.number), row.kind, f"{row.moment:.0f} s", row.hit, row.recovery, row.verdict]


def as_table(rows: list[Row]) -> Table:
    """The rows for a terminal."""
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*cells(row))
    return table


def as_markdown(rows: list[Row]) -> str:
    """The rows for a document."""
    lines = [COLUMNS, ["--:", "---", "--:", "---", "---", "---"], *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of moments, kinds and what is hit")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help=f"only these of {', '.join(KINDS)}")
    parser.add_argument("--small", action="store_true", help="the answers of one trained method instead of everything")
    parser.add_argument("--weights", type=Path, help="LPIPS networks that are not to be made again")
    parser.add_argument("--python", default=sys.executable, help="that of the undisturbed run (tests/warm_python.py)")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    parser.add_argument("--keep", type=Path, help="folder for both runs and their logs, kept; default: a temporary one")
    args = parser.parse_args()
    mounts = enter_namespace()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        return run_campaign(args, (args.keep or Path(temporary)).resolve(), mounts)


def run_campaign(args: argparse.Namespace, folder: Path, mounts: bool) -> int:
    """The two runs and the comparison, in `folder`; the exit status."""
    out = Console(width=max(140, Console().width), soft_wrap=True, highlight=False)
    kinds = [kind for kind in args.kinds or KINDS if mounts or kind != FULL_DISK]
    if not mounts:
        out.print(f'left out: "{FULL_DISK}": this user may not mount a disk to fill')
    config, targets = (SMALL, SMALL_TARGETS) if args.small else (WHOLE, [])
    whole = Run(folder / "whole", folder / "whole-logs", config, targets, args.python)
    faulty = Run(folder / "faulty", folder / "faulty-logs", config, targets)
    rng = random.Random(args.seed)
    try:
        whole.copy(ROOT, args.weights)
        seconds = undisturbed(whole)
        expected = results(whole.results)
        out.print(f"undisturbed: {seconds:.0f} s, {len(expected)} files; {args.faults} faults with seed {args.seed}")
        faulty.folder.mkdir(parents=True, exist_ok=True)
        if mounts:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", faulty.folder], check=True)
        faulty.copy(whole.folder, args.weights)  # not of a checkout that may have been edited since
        rows = plan(args.faults, kinds, seconds, rng)
        begin = time.monotonic()
        disturb(faulty, rows, expected, seconds, rng, out)
        wrong = in_the_end(faulty, expected)
    finally:
        whole.stop()
        faulty.stop()
        if os.path.ismount(faulty.folder):  # or the temporary folder cannot be removed
            subprocess.run(["umount", "--lazy", faulty.folder], check=True)
    out.print(as_table(rows))
    out.print(f"with the faults: {time.monotonic() - begin:.0f} s")
    if args.markdown:
        args.markdown.write_text(as_markdown(rows))
    for line in wrong:
        out.print(f"error: {line}", markup=False)
    equal = not wrong and not any(row.wrong for row in rows)
    out.print("all results are those of the undisturbed run" if equal else "NOT all results are those of the run")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
