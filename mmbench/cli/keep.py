"""`mmbench keep`: copy the small files of a finished run, to publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.runs.keep import keep


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the copy; an earlier copy is replaced.")],
) -> None:
    """Copy the small files of a finished run, to publish them: page, tables, figures and records.

    Large files (weights, arrays, values of single items) are not copied; the manifest of the copy has their hashes.

    Example:

      mmbench keep results/quick results/reference/quick
    """
    manifest = keep(run, out)
    print(f"kept: {out}: {len(manifest.files)} files, {len(manifest.left_out)} left out")
