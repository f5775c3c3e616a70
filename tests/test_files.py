"""Files as others find them: who may read them, what is in them twice, and names that are no text."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_results import METHODS, write_results
from PIL import Image

from mmbench.errors import UserError
from mmbench.files.atomic import write_text
from mmbench.files.locks import alone
from mmbench.files.store import load_arrays, read_headers, read_json, save_arrays, write_json
from mmbench.files.weights import save_weights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

# Modes


def hold(path: Path) -> None:
    """Make the file of a lock, which is there while it is held."""
    with alone(path.parent, "a"):
        path.write_bytes(b"")
        path.chmod(stat.S_IMODE((path.parent / ".a.lock").stat().st_mode))


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, "a"),
    "JSON": lambda path: write_json(path, {}),
    "arrays": lambda path: save_arrays(path, {"a": np.zeros(1)}),
    "weights": lambda path: save_weights(path, {"a": torch.zeros(1)}),
    "lock": hold,
}


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o002, 0o022], ids=oct)
@pytest.mark.parametrize("writer", WRITERS)
def test_who_may_read_and_write_a_file_is_what_the_umask_says(writer: str, umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):  # the second replaces the first
            WRITERS[writer](tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


# Twice


def npz(path: Path, *names: str) -> None:
    """An archive of arrays, a name as often as it is given."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, name in enumerate(names):
            stream = io.BytesIO()
            np.save(stream, np.full(2, number))
            archive.writestr(name, stream.getvalue())


@pytest.mark.parametrize("names", [("a.npy", "a.npy"), ("b.npy", "a.npy", "b.npy"), ("a", "a.npy")], ids=" ".join)
@pytest.mark.parametrize("read", [load_arrays, read_headers], ids=["arrays", "headers"])
def test_an_array_that_is_there_twice_is_refused(
    read: Callable[[Path], object], names: tuple[str, ...], tmp_path: Path
) -> None:
    npz(tmp_path / "answers.npz", *names)
    with pytest.raises(UserError, match=rf"answers\.npz: .*'{names[-1].removesuffix('.npy')}' is there twice"):
        read(tmp_path / "answers.npz")
    npz(tmp_path / "answers.npz", *dict.fromkeys(name.removesuffix(".npy") for name in names))
    read(tmp_path / "answers.npz")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": [{"b": 1, "b": 1}]}'])
def test_a_key_that_is_there_twice_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UserError, match=r"s\.json: .* is there twice"):
        read_json(tmp_path / "s.json")


# Names that are no text

NOT_TEXT = os.fsdecode(b"caf\xe9")


def says(*words: object) -> tuple[int, str]:
    """The exit status of a command in a process of its own, and what it printed, which must be text."""
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def pictures(folder: Path) -> None:
    """Pictures of a class; the name of one is no text."""
    folder.mkdir(parents=True)
    for name in [*map(str, range(30)), NOT_TEXT]:
        Image.fromarray(np.full((32, 32, 3), len(name), np.uint8)).save(folder / f"{name}.png")


def test_a_picture_whose_name_is_no_text_is_read_and_a_class_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "root" / "cat")
    pictures(tmp_path / "root" / "dog")
    words = ["mmbench", "data", "prepare", "image_folder", "--root", tmp_path / "root", "--out", tmp_path / NOT_TEXT]
    status, said = says(*words)
    assert status == 0 and "caf\\udce9 (train" in said
    counts = [read_json(tmp_path / NOT_TEXT / "card.json")["splits"][s]["count"] for s in ("train", "validation")]
    assert sum(counts) + len(load_arrays(tmp_path / NOT_TEXT / "test.npz")["image"]) == 62
    pictures(tmp_path / "root" / NOT_TEXT)
    status, said = says(*words)
    assert status == 1 and said.startswith("error: ") and "root/caf\\udce9: " in said and len(said.splitlines()) == 1


def test_a_folder_of_results_may_be_called_as_it_likes(tmp_path: Path) -> None:
    folder = write_results(tmp_path / NOT_TEXT, methods=METHODS[:1], seeds=(0,), items=4)
    for words in (
        ("mmbench.stages.report", "--results", folder, "--out", folder, "--command", f"snakemake {folder}"),
        ("mmbench.stages.manifest", "--results", folder, "--command", f"snakemake {folder}"),
        ("mmbench", "results", folder),
    ):
        status, said = says(*words)
        assert status == 0, said
    assert "caf\\udce9" in (folder / "index.html").read_text(encoding="utf-8")
    assert NOT_TEXT in json.loads((folder / "manifest.json").read_text())["command"]
    status, said = says("mmbench", "verify", tmp_path / f"none {NOT_TEXT}")
    assert status == 1 and said.startswith("error: ") and "none caf\\udce9/manifest.json" in said
