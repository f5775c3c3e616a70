"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmbench.errors import UserError
from mmbench.files.store import read_json, sha256_file
from mmbench.frozen import efficientnet
from mmbench.frozen.lpips import write_weights

ROOT = Path(__file__).parents[1]
#: Files whose tests take minutes, the longest first: begun last, they would run alone.
LONG = ("test_slurm.py", "test_workflow.py", "test_faults.py", "test_page_browser.py", "test_site.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, everything else as it was."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


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


@pytest.fixture(scope="session")
def efficientnet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of EfficientNet-Lite0: that of this checkout's results if it is whole, else made anew."""
    made = ROOT / "results" / "weights" / "efficientnet-lite0.json"
    if made.is_file() and sha256_file(made.with_suffix(".safetensors")) == read_json(made)["sha256"]:
        return made.parent
    folder = tmp_path_factory.mktemp("efficientnet")
    try:
        efficientnet.write_weights(folder)
    except UserError as error:
        pytest.skip(f"the weights of EfficientNet-Lite0 are not here and cannot be fetched: {error}")
    return folder
