"""What `make audit` makes of the answers of pip-audit, which calls an audit of nothing a success."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.0)"}
GOOD = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {"name": "pillow", "version": "11.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["11.1", "12.0"]}]}
OPEN = {"name": "yte", "version": "1.0", "vulns": [{"id": "GHSA-2", "fix_versions": []}]}


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_tool", ROOT / "tools" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "audit_tool", module)
    spec.loader.exec_module(module)
    return module


def answers(monkeypatch: pytest.MonkeyPatch, packages: list[Any] | None, stderr: str = "") -> None:
    """Let pip-audit answer this; None for no answer at all."""
    stdout = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, stdout, stderr))


@pytest.mark.parametrize(
    ("packages", "stderr", "passes", "says"),
    [
        ([GOOD, SKIPPED], "", True, "a.lock: 1 packages asked about, 0 advisories; not known to the service: torch"),
        ([GOOD, BAD], "", False, "error: a.lock: pillow 11.0: PYSEC-1, fixed in 11.1, 12.0; raise it in pyproject"),
        ([OPEN], "", False, "error: a.lock: yte 1.0: GHSA-2, fixed in no version yet"),
        ([SKIPPED, SKIPPED], "", True, "audit SKIPPED: the advisory service cannot be reached"),
        (None, "ERROR: Tip: your network may be blocking this service.", True, "audit SKIPPED"),
        (None, "requests.exceptions.ProxyError: no", True, "audit SKIPPED"),
        (None, "error: argument -r: no such file", False, "a.lock: pip-audit failed: error: argument -r: no such file"),
        (None, "", False, "a.lock: pip-audit failed: no output"),
    ],
)
def test_a_verdict(
    audit: ModuleType, monkeypatch: Any, capsys: Any, packages: Any, stderr: str, passes: bool, says: str
) -> None:
    answers(monkeypatch, packages, stderr)
    assert audit.audit("a.lock") is passes
    assert says in capsys.readouterr().out


def test_every_lock_is_audited_also_after_a_bad_one(audit: ModuleType, monkeypatch: Any, capsys: Any) -> None:
    answers(monkeypatch, [BAD])
    with pytest.raises(SystemExit) as stopped:
        audit.main(["a.lock", "b.lock"])
    assert stopped.value.code == 1
    assert "error: b.lock" in capsys.readouterr().out


def test_the_tools_of_the_audit_are_locked_and_not_in_the_environment() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = {entry.partition(">")[0] for entry in groups["audit"]}
    own, audited = ((ROOT / name).read_text() for name in ("requirements-audit.lock", "requirements.lock"))
    assert tools == {"cyclonedx-bom", "pip-audit"}
    assert all(f"\n{tool}==" in own and f"\n{tool}==" not in audited for tool in tools)
