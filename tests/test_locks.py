"""One process at a time, whatever became of the others, and no litter of those that were killed."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmbench.errors import UserError
from mmbench.files import locks
from mmbench.files.atomic import atomic_path, write_text
from mmbench.files.locks import alone

ROOT = Path(__file__).parents[1]
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
