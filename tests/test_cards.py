"""Cards of data and of models, and models as folders that load elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from tiny_model import LABELS, write_model

import mmbench
from mmbench.cli.app import main as command
from mmbench.data import DataSettings
from mmbench.errors import UserError
from mmbench.files.store import read_json, sha256_file, write_json
from mmbench.inference.model import Model
from mmbench.report.cards import data_card, model_card
from mmbench.stages.cards import main
from mmbench.stages.data import prepare

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"


def parts(card: str) -> tuple[dict[str, Any], str]:
    """The metadata of a card and its text."""
    found = re.fullmatch(r"---\n(.*?)\n---\n\n(# .*)", card, flags=re.DOTALL)
    assert found
    return yaml.safe_load(found[1]), found[2]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", "image", "mask", "label")


def test_a_data_card_says_what_the_arrays_are(tmp_path: Path) -> None:
    card = prepare(DataSettings(size=16, train=9, validation=3, test=4), tmp_path)
    metadata, text = parts(data_card(tmp_path))
    assert metadata["pretty_name"] == card["title"] and metadata["size_categories"] == ["n<1K"]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| train ")]
    assert rows[0][2].strip() == "9" and card["splits"]["train"]["sha256"][:16] in rows[0][4]
    sky = next(line for line in text.splitlines() if line.startswith(f"| {card['classes'][0]} "))
    assert f"{100 * card['splits']['test']['class_share'][0]:.1f} %" in sky
    assert card["licence"] in text


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*/*/*/seed0")), ids=lambda p: "-".join(p.parts[-4:-1]))
def test_every_reference_model_has_a_card(path: Path) -> None:
    metrics, (metadata, text) = read_json(path / "metrics.json"), parts(model_card(path))
    assert text.startswith(f"# {metrics['title']}\n")
    rows = text.partition("## Scores")[2].partition("## Limits")[0].count("\n| ") - 1
    assert rows == len(metrics["metrics"])
    if (path / "training.json").is_file():
        written = metadata["model-index"][0]["results"][0]["metrics"]
        assert [row["value"] for row in written] == [row["value"] for row in metrics["metrics"]]
    assert "Undefined" not in text and "None" not in text.partition("## How")[0]


def test_what_stands_in_a_record_stays_in_its_cell(trained: Path) -> None:
    record = read_json(trained / "training.json")
    record["settings"]["method_settings"] = {"weights": "a|b<script>\nc"}
    write_json(trained / "training.json", record)
    assert "| mt_diffusion: weights | a\\|b&lt;script> c |" in model_card(trained)


def test_the_command_writes_readmes_and_refuses_other_folders(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(trained)])
    assert (trained / "README.md").read_text() == model_card(trained)
    with pytest.raises(UserError, match=r"card\.json, training\.json or metrics\.json"):
        main([str(tmp_path)])
    assert capsys.readouterr().out.strip() == str(trained / "README.md")


def test_an_exported_model_answers_the_same_elsewhere(trained: Path, tmp_path: Path) -> None:
    """In another process and folder, with nothing of the training's left; what was tuned is part of it."""
    write_json(trained / "tuned.json", {"chosen": {"guidance": 1.5}})
    before = mmbench.load(trained, "cpu").generate(label=LABELS[1], want=["image"], count=2, nfe=4)
    command(["export", str(trained), str(tmp_path / "out")])
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere" / "own")
    trained.rename(tmp_path / "gone")
    assert sorted(path.name for path in moved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert sha256_file(moved / "model.safetensors") == sha256_file(tmp_path / "gone" / "weights.safetensors")
    code = (
        "import mmbench, numpy as np\n"
        f"answer = mmbench.load('own', 'cpu').generate(label={LABELS[1]!r}, want=['image'], count=2, nfe=4)\n"
        "np.save('image.npy', answer['image'])\n"
    )
    threads = str(torch.get_num_threads())  # sums of other parts may round otherwise
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-c", code], cwd=moved.parent, env=environment, check=True)
    np.testing.assert_array_equal(np.load(moved.parent / "image.npy"), before["image"])


def test_a_hub_gets_the_same_files(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network: what would be uploaded is looked at, and is what a download of it loads from."""
    hub = tmp_path / "hub"

    class Api:
        def __init__(self, token: str | None = None) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
            Path(folder_path).rename(hub)
            return repo_id

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    monkeypatch.setattr("mmbench.inference.hub.snapshot_download", lambda name, **_: str(hub))
    model = mmbench.load(trained, "cpu")
    assert model.push_to_hub("you/street-model") == "you/street-model"
    assert sorted(path.name for path in hub.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = Model.from_pretrained("you/street-model", device="cpu")
    np.testing.assert_array_equal(again.generate(nfe=2)["image"], model.generate(nfe=2)["image"])


def test_what_no_hub_has_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobody/nothing: no such folder, and no hub gives it"):
        Model.from_pretrained("nobody/nothing", cache_dir=tmp_path, local_files_only=True)
    with pytest.raises(UserError, match="Repo id"):
        Model.from_pretrained("no//name", cache_dir=tmp_path)


def test_an_export_overwrites_nothing(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(UserError, match="exists already"):
        command(["export", str(trained), str(tmp_path / "out")])


def test_an_export_runs_no_code_of_its_own(trained: Path, tmp_path: Path) -> None:
    """A method that is not installed is refused, even if its file lies beside the weights."""
    mmbench.load(trained, "cpu").save_pretrained(tmp_path / "out")
    record = read_json(tmp_path / "out" / "config.json")
    record["settings"]["method"] = "evil"
    write_json(tmp_path / "out" / "config.json", record)
    (tmp_path / "out" / "evil.py").write_text("raise SystemExit('was run')")
    with pytest.raises(UserError, match=r"config\.json: settings\.method: 'evil' is no method"):
        mmbench.load(tmp_path / "out", "cpu")
