"""Fetch the true weights of LPIPS, check them, and write them as safetensors (`mmbench.frozen.lpips`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.command import stage_main
from mmbench.errors import run_command
from mmbench.files.locks import alone
from mmbench.frozen.lpips import write_weights


def command(out: Annotated[Path, Option(help="Folder for the two networks and weights.json.")]) -> None:
    """Fetch the true weights of LPIPS, check them, and write them as safetensors."""
    with alone(out, "weights"):
        record = write_weights(out)
    for name, entry in record.items():
        print(f"{out / name}.safetensors: trunk of {entry['trunk']['source']}, sha256 {entry['sha256']}")


main = stage_main(command, "lpips")

if __name__ == "__main__":
    run_command(main)
