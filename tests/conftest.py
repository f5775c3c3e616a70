"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmbench.files import read_json, sha256_file
from mmbench.weights import write_weights

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def lpips_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the true LPIPS weights: those of this checkout's results if they are whole, else made anew."""
    made = ROOT / "results" / "weights"
    if (made / "weights.json").is_file():
        files = {name: made / f"{name}.safetensors" for name in ("lpips-alex", "lpips-vgg")}
        record = read_json(made / "weights.json")
        if all(path.is_file() and sha256_file(path) == record[name]["sha256"] for name, path in files.items()):
            return made
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder)
    return folder
