"""`mmbench compare`: compare the numbers of two runs within stated tolerances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.errors import UserError
from mmbench.runs.compare import TOLERANCES, notes, only, pair_up, read_tolerances, read_values, table


def command(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of another run of the same profile.")],
    exact: Annotated[
        bool, typer.Option("--exact", help="Allow no difference, for runs on one machine with one number of threads.")
    ] = False,
    tolerances: Annotated[
        Path, typer.Option(help="File of the largest allowed differences.", show_default="config/tolerances.yaml")
    ] = TOLERANCES,
) -> None:
    """Compare the numbers of two runs, value by value, within stated tolerances.

    The command matches values by experiment, method, seed, case and metric. The exit status is 1 if two values differ
    by more than the tolerance of their metric, or if only one of the two runs could measure a value. The command
    also lists what only one run has.

    Examples:

      mmbench compare results/reference/camvid-masking results/camvid-masking
      mmbench compare --exact results/quick elsewhere/results/quick
    """
    allowed = None if exact else read_tolerances(tolerances)
    a, b = read_values(first), read_values(second)
    pairs = pair_up(a, b, allowed)
    if not pairs:
        raise UserError(f"{first} and {second} have no value in common; give two runs of the same profile")
    print(f"A is {first}, B is {second}; allowed is {'nothing' if exact else f'what {tolerances} says'}\n")
    print("\n".join(table(pairs)), end="\n\n")
    for line in (*only("A", a, b), *only("B", b, a), *(f"note: {note}" for note in notes(first, second))):
        print(line)
    outside, equal = sum(pair.outside for pair in pairs), sum(pair.apart == 0 for pair in pairs)
    print(
        f"{'FAILED' if outside else 'ok'}: {len(pairs)} values in both, {equal} equal, "
        f"{outside} outside the tolerances, {len(a.keys() - b.keys())} only in A, {len(b.keys() - a.keys())} only in B"
    )
    if outside:
        raise typer.Exit(1)
