"""Files as others find them: who may read them, what is in them twice, names that are no text, and locks."""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_results import METHODS, write_results
from PIL import Image

from mmbench.cli.app import main
from mmbench.errors import UserError
from mmbench.files import locks
from mmbench.files.atomic import atomic_path, write_text
from mmbench.files.locks import alone
from mmbench.files.store import load_arrays, read_headers, read_json, save_arrays, write_json
from mmbench.files.weights import save_weights
from mmbench.report.draw import figures
from mmbench.stages import manifest, report

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


@pytest.mark.parametrize("umask", [0o077, 0o002], ids=oct)
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
    words = ["data", "prepare", "image_folder", "--root", str(tmp_path / "root"), "--out", str(tmp_path / NOT_TEXT)]
    main(words)
    counts = [read_json(tmp_path / NOT_TEXT / "card.json")["splits"][s]["count"] for s in ("train", "validation")]
    assert sum(counts) + len(load_arrays(tmp_path / NOT_TEXT / "test.npz")["image"]) == 62
    pictures(tmp_path / "root" / NOT_TEXT)
    status, said = says("mmbench", *words)
    assert status == 1 and said.startswith("error: ") and "root/caf\\udce9: " in said and len(said.splitlines()) == 1


def test_a_folder_of_results_may_be_called_as_it_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_svg", lambda figure: "<svg/>")
    folder = write_results(tmp_path / NOT_TEXT, methods=METHODS[:1], seeds=(0,), items=4, predictions=False)
    common = ["--results", str(folder), "--command", f"snakemake {folder}"]
    report.main([*common, "--out", str(folder)])
    manifest.main(common)
    assert "caf\\udce9" in (folder / "index.html").read_text(encoding="utf-8")
    assert NOT_TEXT in json.loads((folder / "manifest.json").read_text())["command"]
    status, said = says("mmbench", "verify", folder)
    assert status == 0 and "\nok: " in said and "caf\\udce9" in said


# One process at a time, whatever became of the others, and no litter of those that were killed


HOLDER = """
import sys, time
from pathlib import Path
from mmbench.files.atomic import atomic_path
from mmbench.files.locks import alone

with alone(Path(sys.argv[1]), "work"), atomic_path(Path(sys.argv[1]) / "table.csv") as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that has the lock and is writing a file."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


def temporary_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".table-")]


def test_a_killed_holder_is_no_obstacle_and_a_living_one_is_waited_for(
    tmp_path: Path, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer(1.0, holder.kill)
    timer.start()
    begin = time.monotonic()
    with alone(tmp_path, "work") as waited:
        assert waited and 0.5 < time.monotonic() - begin < 20
    assert f"another process is at this work, on {socket.gethostname()}: kill {holder.pid}" in capsys.readouterr().out
    holder.wait()
    with alone(tmp_path, "work") as waited:
        assert not waited
    assert not (tmp_path / ".work.lock").exists()


def test_other_jobs_of_a_folder_are_not_waited_for(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with alone(tmp_path, "rest") as waited:
        assert not waited
    assert holder.poll() is None


def test_many_at_once_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "POLL_SECONDS", 0.001)
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with alone(tmp_path, "work"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 160 and set(most) == {1} and not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with pytest.raises(
        UserError, match=r"\.work\.lock: cannot be locked \(Function not implemented\); put the results"
    ):
        alone(tmp_path, "work").__enter__()
    write_text(tmp_path / "a.txt", "files can still be written")


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_has_is_not(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    write_text(tmp_path / "table.csv", "whole")
    assert len(temporary_files(tmp_path)) == 1
    holder.kill()
    holder.wait()
    write_text(tmp_path / "other.csv", "whole")
    assert len(temporary_files(tmp_path)) == 1
    with atomic_path(tmp_path / "table.csv") as temporary:
        assert temporary_files(tmp_path) == [temporary.name]
        temporary.write_text("again")
    assert (tmp_path / "table.csv").read_text() == "again" and temporary_files(tmp_path) == []
