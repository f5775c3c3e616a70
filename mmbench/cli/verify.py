"""`mmbench verify`: recompute the hashes of a run's files, and list what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.runs.manifest import NAME, read_manifest
from mmbench.runs.verify import check_files, notes


def command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help=f"Folder of a {NAME}.")],
) -> None:
    """Recompute the hashes of a run's files, and list the differences from its manifest.

    Changed files, missing files, and numbers computed from other files than the present ones are failures (exit
    status 1). New files, and a checkout whose code, packages or configuration differ from the run's, are notes.

    Examples:

      mmbench verify results/quick
      mmbench verify results/reference/camvid-masking
    """
    manifest = read_manifest(folder / NAME)
    checked = check_files(folder, manifest)
    for kind in ("changed", "missing", "broken", "new"):
        for name in getattr(checked, kind):
            print(f"{kind:8}{name}")
    for note in notes(manifest):
        print(f"note    {note}")
    absent = sum(not (folder / manifest.results / name).is_file() for name in manifest.left_out)
    left_out = f", {absent} left out of this copy" if absent else ""
    print(
        f"{'FAILED' if checked.failed else 'ok'}: {folder}: {checked.kept} files unchanged, "
        f"{len(checked.changed)} changed, {len(checked.missing)} missing, {len(checked.new)} new{left_out}, "
        f"{len(checked.broken)} made from another file"
    )
    if checked.failed:
        command = manifest.command or f"mmbench run --profile {manifest.profile}"
        print(f"remove the files that are changed or made from another file, and make them again: {command}")
        raise typer.Exit(1)
