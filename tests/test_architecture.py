"""Who may import whom, read from the source: stages meet only through files, and each part can be read alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.config.imports import closure, imported_modules
from tools.architecture import LAYERS, document, imported_rooms, imports, may_import

ROOT = Path(__file__).parents[1]
FILES = sorted(p.relative_to(ROOT) for folder in ("mmbench", "baselines") for p in (ROOT / folder).rglob("*.py"))

STAGES = {path.stem for path in (ROOT / "mmbench" / "stages").glob("[!_]*.py")}

#: Parts that must not load torch, not even through something else.
LIGHT = ["__main__", "claims", "cli", "command", "config", "errors", "report", "runs"]


@pytest.mark.parametrize("name", [name for layer in LAYERS for name in layer])
def test_a_room_imports_only_rooms_of_lower_layers(name: str) -> None:
    assert imports()[name] <= may_import(name)


def test_every_room_has_a_layer() -> None:
    assert imports().keys() == {name for layer in LAYERS for name in layer}


def test_the_architecture_is_documented_as_it_is() -> None:
    assert (ROOT / "ARCHITECTURE.md").read_text() == document(), "run `make architecture`"


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] == "baselines"], ids=str)
def test_baselines_build_on_the_interface_and_the_models(path: Path) -> None:
    assert imported_rooms(path) <= {"errors", "method", "modalities", "modalities/__init__", "models"}


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] == "baselines"], ids=str)
def test_a_baseline_is_one_file(path: Path) -> None:
    """It imports no other baseline, only helpers beside it, and is short enough to be read at once."""
    names = {p.stem for p in (ROOT / path).parent.glob("*.py") if not p.stem.startswith("_")}
    assert not {module.split(".")[0] for module in imported_modules(ROOT / path, ROOT)} & names
    assert len((ROOT / path).read_text().splitlines()) <= 160


def test_metrics_are_pure() -> None:
    """They are functions of arrays: the rest of the project is not known to them."""
    known = {"numpy", "scipy", "sklearn", "skimage", "torch", "torchmetrics", "lpips", "mmbench", "__future__"}
    known |= set(sys.stdlib_module_names)
    for path in (ROOT / "mmbench" / "scoring" / "metrics").glob("*.py"):
        assert {module.split(".")[0] for module in imported_modules(path, ROOT)} <= known, path


@pytest.mark.parametrize("name", LIGHT)
def test_light_parts_never_load_torch(name: str) -> None:
    """Not in their own code, nor in any file of the project that they reach."""
    path = ROOT / "mmbench" / f"{name}.py"
    files = closure(path, ROOT) if path.is_file() else set((path.with_suffix("")).rglob("*.py"))
    reached = {other for file in files for other in closure(file, ROOT)}
    for file in reached:
        assert "torch" not in {module.split(".")[0] for module in imported_modules(file, ROOT)}, file


def test_planning_and_reporting_work_without_torch() -> None:
    """Imported for real, whatever the packages behind them load."""
    code = "import sys; import mmbench.config.configuration, mmbench.config.discovery, mmbench.runs.provenance; "
    code += "import mmbench.stages.report, mmbench.scoring.statistics, mmbench.__main__; "
    code += "import mmbench.runs.verify, mmbench.runs.compare; "
    code += "import mmbench.cli.claims; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_every_stage_is_alone_at_its_job() -> None:
    """One left over from a killed run is waited for, whichever stage it is of; a judge's training is a training."""
    for stage in STAGES - {"judge"}:
        file = ROOT / "mmbench" / "stages" / f"{stage}.py"
        assert re.search(r"^    with .*\balone\(|^        with alone\(", file.read_text(), flags=re.MULTILINE), stage


def test_a_stage_is_called_as_its_rule_and_its_file() -> None:
    """A rule for each experiment has the experiment's name, or what it is of, after the stage's."""
    files = {path.stem: path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")}
    assert files.keys() - {"common"} == STAGES
    for file, text in files.items():
        called = set(re.findall(r"python -m mmbench\.stages\.(\w+)", text))
        names = re.findall(r"^ *rule (\w+):", text, flags=re.MULTILINE)
        names += re.findall(r'^ +name:\n +f?"(\w+)_\{', text, flags=re.MULTILINE)
        assert called == ({file} if file != "common" else set())
        assert {name.partition("_")[0] for name in names} == called


def test_rules_run_commands_and_nothing_else() -> None:
    """Every rule that makes something is `python -m mmbench.<verb>`, has a log and an environment, and stays short."""
    files = [p for p in sorted((ROOT / "workflow" / "rules").glob("*.smk")) if p.name != "common.smk"]
    assert len(files) >= 5
    for path in files:
        text = path.read_text()
        assert len(text.splitlines()) <= 80, path
        assert not re.search(r"^    (run|script|notebook):", text, flags=re.MULTILINE), path
        rules = re.split(r"^ *rule\b", text, flags=re.MULTILINE)[1:]
        assert rules, path
        for rule in rules:
            for needed in ("    log:\n", "    conda:\n", "python -m mmbench.stages.", "2>&1 | tee {log}"):
                assert needed in rule, (path, rule.partition(":")[0], needed)
