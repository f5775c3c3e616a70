"""Write the manifest of a run (`mmbench.runs.manifest`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.command import stage_main
from mmbench.errors import UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import read_json, write_json
from mmbench.runs.manifest import NAME, make_manifest


def command(
    results: Annotated[Path, Option(help="results/<profile>.")],
    report: Annotated[
        Path | None, Option(help="Folder of the page, for the manifest.", show_default="that of --results")
    ] = None,
    methods: Annotated[
        list[str] | None, Option(metavar="EXPERIMENT/METHOD...", help="Only these.", show_default="all there are")
    ] = None,
    seeds: Annotated[list[int] | None, Option(help="Only these.", show_default="all there are")] = None,
    made_by: Annotated[str | None, Option("--command", help="The command that made the results.")] = None,
    configuration: Annotated[
        Path | None, Option(help="JSON of what was configured.", show_default="what records say")
    ] = None,
) -> None:
    """Write the manifest of a run: what it was made with, and a hash of every file behind it."""
    folder = report or results
    if results not in (folder, folder.parent):
        raise UserError(f"--report {folder}: is not in {results}; give the folder of a page that was made of it")
    with alone(folder, "manifest"):
        manifest = make_manifest(
            results,
            folder,
            methods=methods,
            seeds=seeds,
            command=made_by,
            configuration=read_json(configuration) if configuration else None,
        )
        write_json(folder / NAME, manifest.model_dump(mode="json"))
    size = sum(content.bytes for content in manifest.files.values())
    print(f"manifest: {folder / NAME}: {len(manifest.files)} files, {size / 2**20:.1f} MiB")


main = stage_main(command, "manifest")

if __name__ == "__main__":
    run_command(main)
