"""Fetch EfficientNet-Lite0, check it, and write it as safetensors (`mmbench.frozen.efficientnet`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.command import stage_main
from mmbench.config.extractors import EFFICIENTNET
from mmbench.errors import run_command
from mmbench.files.locks import alone
from mmbench.frozen.efficientnet import write_weights


def command(out: Annotated[Path, Option(help="Folder for the network and its record.")]) -> None:
    """Fetch EfficientNet-Lite0, check it, and write it as safetensors."""
    with alone(out, EFFICIENTNET):
        record = write_weights(out)
    print(f"{out / EFFICIENTNET}.safetensors: {record['source']}, sha256 {record['sha256']}")


main = stage_main(command, "efficientnet")

if __name__ == "__main__":
    run_command(main)
