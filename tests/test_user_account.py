"""A user without a home or a name, as a container has one that runs under a number of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import copied

from mmbench.cli import checks, user_account

pytestmark = pytest.mark.slow

UNKNOWN = 54_321  # no entry of the list of users


#: Another user, who may read what is root's, as this Python may be.
PROGRAM = ["setpriv", f"--reuid={UNKNOWN}", f"--regid={UNKNOWN}", "--clear-groups",
           "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]  # fmt: skip


def test_a_run_is_planned_for_an_unknown_user(tmp_path: Path) -> None:
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("only root can be another user, by setpriv")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    copied(checkout)
    for path in (tmp_path, checkout, *checkout.rglob("*")):
        path.chmod(0o777)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "TMPDIR": str(tmp_path), "HOME": "/nowhere"}

    def nobodys(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*PROGRAM, sys.executable, *words]
        return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)

    if "54321" not in (first := nobodys("-c", "import os; print(os.getuid())")).stdout:
        pytest.skip(f"root may not be another user here: {first.stderr}")
    run = nobodys("-m", "mmbench", "run", "masking", "--profile", "smoke", "-n")
    assert run.returncode == 0 and "This was a dry-run" in run.stdout + run.stderr, run.stderr[-3000:]
    assert (tmp_path / f"mmbench-home-{UNKNOWN}").stat().st_uid == UNKNOWN


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for a stand-in, of a process whose user has neither home nor name."""
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # so that it is restored if the code sets it
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(f"uid not found: {uid}")))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_who_has_neither_is_given_both(nobody: Path) -> None:
    user_account.settle(os.environ)
    folder = nobody / f"mmbench-home-{os.getuid()}"
    assert Path.home() == folder and folder.stat().st_mode & 0o777 == 0o700
    assert getpass.getuser() == f"uid{os.getuid()}"
    check = checks.home()
    assert check.status == "warning" and "export HOME=" in check.fix
    user_account.settle(os.environ)
    assert [path.name for path in nobody.iterdir()] == [folder.name]


@pytest.mark.parametrize("laid", ["open to all", "a link"])
def test_a_folder_that_another_may_have_laid_is_not_used(nobody: Path, laid: str) -> None:
    folder = nobody / f"mmbench-home-{os.getuid()}"
    if laid == "a link":
        (nobody / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(nobody / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    user_account.settle(os.environ)
    assert Path.home() != folder and Path.home().name.startswith(f"{folder.name}-")
    assert checks.home().status == "warning"


def test_a_home_that_cannot_be_written_to_is_none(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As / is to most, which is what containers set HOME to."""
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setattr("os.access", lambda *_: False)
    user_account.settle(os.environ)
    assert Path.home().parent == nobody


def test_who_has_both_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "me")
    before = dict(os.environ)
    user_account.settle(os.environ)
    assert dict(os.environ) == before and checks.home() == checks.Check("home", "ok", str(tmp_path))
