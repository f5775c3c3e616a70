"""What a result says about its making."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
import torch

import mmbench
from mmbench.runs import provenance as module
from mmbench.runs.provenance import PACKAGES, git, lock_sha256, processor, provenance, version


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A file that a stage might read."""
    path = tmp_path / "cases.json"
    path.write_text("{}")
    return path


def test_it_names_code_settings_inputs_and_packages(given: Path) -> None:
    found = provenance({"train": {"steps": 3}}, {"cases": given})
    assert found["mmbench"] == mmbench.__version__
    assert found["inputs_sha256"] == {"cases": hashlib.sha256(b"{}").hexdigest()}
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert found["packages"] == {name: metadata.version(name) for name in PACKAGES}
    assert datetime.fromisoformat(found["finished"]).tzinfo is not None
    assert found["processor"] == processor() != ""
    json.dumps(found, allow_nan=False)


def test_it_names_the_lock_that_the_checkout_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Path(__file__).parents[1] / "requirements.lock"
    assert provenance({}, {})["lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    monkeypatch.setattr(mmbench, "__file__", str(tmp_path / "mmbench" / "__init__.py"))
    assert lock_sha256() is None
    (tmp_path / "requirements.lock").write_bytes(b"numpy==1")
    assert lock_sha256() == hashlib.sha256(b"numpy==1").hexdigest()


def test_settings_are_told_apart_by_value_and_not_by_order(given: Path) -> None:
    one, same, other = (
        provenance(settings, {"cases": given})["settings_sha256"]
        for settings in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    )
    assert one == same != other


def repository(folder: Path) -> str:
    """Make `folder` a repository with one commit; its hash."""
    commands = [["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]]
    for command in [*commands, ["rev-parse", "HEAD"]]:
        done = subprocess.run(["git", "-C", str(folder), *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_and_whether_it_was_changed(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "checkout" / "__init__.py"
    code.parent.mkdir()
    code.write_text("")
    sha = repository(code.parent)
    assert re.fullmatch("[0-9a-f]{40}", sha)
    monkeypatch.setattr(mmbench, "__file__", str(code))
    assert (found := provenance({}, {}))["git_sha"] == sha
    assert found["git_dirty"] is False
    code.write_text("changed = True\n")
    assert provenance({}, {})["git_dirty"] is True


def test_no_git_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unpacked release has no history; that is said, not guessed."""
    monkeypatch.setattr(mmbench, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (provenance({}, {})["git_sha"], provenance({}, {})["git_dirty"]) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert git("status") is None


def test_a_processor_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(module.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(module.Path, "read_text", lambda *_args, **_options: "flags: none\n")
    assert processor() == "arm64"


def test_a_missing_package_has_no_version() -> None:
    assert version("no-such-package-anywhere") is None
