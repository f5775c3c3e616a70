"""Who may import whom, read from the source: stages meet only through files, and each part can be read alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.config.discovery import closure, imported_modules

ROOT = Path(__file__).parents[1]
FILES = sorted(p.relative_to(ROOT) for folder in ("mmbench", "baselines") for p in (ROOT / folder).rglob("*.py"))

#: For each part, the parts of the project that it may import, besides itself. Parts are modules or packages of mmbench.
ALLOWED = {
    "": set(),
    "errors": set(),
    "command": {"errors"},
    "home": {"errors"},
    "files": {"errors"},
    "yaml_files": {"errors"},
    "schema": set(),
    "valid": {"errors", "schema"},
    "records": {"errors", "files", "schema", "valid"},
    "pickles": set(),
    "config": {"declared", "errors", "schema", "valid", "yaml_files"},
    "declared": {"errors"},
    "discovery": {"declared", "errors"},
    "provenance": {"", "files"},
    "method": {"valid", "errors"},
    "layout": set(),
    "nets": {"errors", "layout"},
    "diffusion": {"errors", "nets", "method"},
    "mt_diffusion": {"errors", "nets", "diffusion", "method"},
    "data": {"pickles", "records", "errors", "files"},
    "experiments": {"records", "errors", "files", "method"},
    "metrics": {"errors"},
    "weights": {"pickles", "errors", "files", "locks"},
    "features": {"records", "errors", "files", "weights"},
    "embedders": {"errors", "features", "files"},
    "embed": {"errors", "data", "embedders", "files", "locks", "runtime"},
    "judges": {"records", "errors", "files", "diffusion", "experiments", "method", "nets", "tensors"},
    "cache": {"errors", "discovery", "files", "provenance"},
    "scores": {
        "errors",
        "cache",
        "embedders",
        "files",
        "experiments",
        "features",
        "judges",
        "method",
        "metrics",
        "weights",
    },
    "tensors": {"errors", "files"},
    "locks": {"errors"},
    "stops": set(),
    "checkpoint": {"files", "tensors"},
    "runtime": {"records", "discovery", "errors", "files", "experiments", "method"},
    "prepare_data": {"errors", "files", "data", "experiments", "locks"},
    "cases": {"records", "errors", "files", "data", "experiments", "locks"},
    "gradients": set(),
    "parallel": {"errors"},
    "steps": set(),
    "labelled": {"errors", "files", "method"},
    "training": {
        "checkpoint",
        "errors",
        "experiments",
        "gradients",
        "method",
        "layout",
        "parallel",
        "runtime",
        "steps",
        "stops",
    },
    "train": {
        "records",
        "errors",
        "files",
        "checkpoint",
        "data",
        "discovery",
        "experiments",
        "labelled",
        "locks",
        "method",
        "parallel",
        "provenance",
        "runtime",
        "tensors",
        "training",
    },
    "predict": {
        "records",
        "errors",
        "files",
        "diffusion",
        "discovery",
        "experiments",
        "locks",
        "method",
        "layout",
        "provenance",
        "runtime",
        "tensors",
    },
    "cards": {"errors", "files", "locks", "records", "report"},
    "hub": {"cards", "errors", "files"},
    "export": {"", "command", "errors"},
    "given": {"errors", "data", "files", "method"},
    "generated": {"errors", "files", "method"},
    "generation": {
        "records",
        "errors",
        "discovery",
        "experiments",
        "files",
        "generated",
        "given",
        "hub",
        "home",
        "method",
        "layout",
        "predict",
        "provenance",
        "runtime",
        "tensors",
    },
    "generate": {"", "command", "errors", "schema"},
    "tune": {
        "records",
        "errors",
        "files",
        "data",
        "discovery",
        "experiments",
        "features",
        "judges",
        "locks",
        "method",
        "predict",
        "provenance",
        "runtime",
        "scores",
        "tensors",
    },
    "reference": {
        "records",
        "errors",
        "files",
        "data",
        "experiments",
        "features",
        "judges",
        "locks",
        "provenance",
        "runtime",
        "scores",
    },
    "evaluate": {
        "records",
        "metrics",
        "errors",
        "files",
        "experiments",
        "features",
        "judges",
        "locks",
        "method",
        "provenance",
        "runtime",
        "scores",
    },
    "statistics": {"errors"},
    "manifest": {"records", "errors", "files", "locks", "schema"},
    "keep": {"command", "errors", "files", "manifest", "schema"},
    "verify": {"command", "errors", "config", "manifest", "provenance", "schema", "valid", "yaml_files"},
    "compare": {"command", "errors", "home", "manifest", "report", "schema", "valid", "yaml_files"},
    "planning": {
        "config",
        "data",
        "discovery",
        "errors",
        "experiments",
        "files",
        "method",
        "predict",
        "runtime",
        "training",
    },
    "__main__": {"cli", "errors"},
    "cli": {
        "",
        "command",
        "config",
        "data",
        "discovery",
        "errors",
        "files",
        "home",
        "manifest",
        "prepare_data",
        "records",
        "report",
        "schema",
        "valid",
        "yaml_files",
    },
    "verdicts": {"errors", "schema", "statistics", "valid", "yaml_files"},
    "report": {"errors", "files", "locks", "statistics", "verdicts"},
    "stated": {"declared", "discovery", "report", "verdicts", "yaml_files"},
    "claims": {"command", "errors", "home", "report", "stated"},
    "baselines": {"errors", "nets", "diffusion", "method", "mt_diffusion"},
}

#: Parts that must not load torch, not even through something else.
LIGHT = [
    "__main__",
    "cache",
    "cards",
    "claims",
    "cli",
    "command",
    "compare",
    "config",
    "declared",
    "discovery",
    "errors",
    "files",
    "generate",
    "home",
    "keep",
    "locks",
    "manifest",
    "provenance",
    "report",
    "schema",
    "stated",
    "statistics",
    "verify",
    "verdicts",
    "yaml_files",
]


def part(module: str) -> str:
    """The part of the project that a dotted module is in."""
    names = module.split(".")
    return (names[1:2] or [""])[0] if names[0] == "mmbench" else names[0]


def part_of_file(path: Path) -> str:
    """The part that a file is in."""
    return "baselines" if path.parts[0] == "baselines" else part(".".join(path.with_suffix("").parts))


def imported_parts(path: Path) -> set[str]:
    """Parts of the project that a file imports; the package itself only if it asks for something in it."""
    tree = ast.parse((ROOT / path).read_text())
    found = {
        part(module) for module in imported_modules(ROOT / path, ROOT) if module.startswith(("mmbench.", "baselines"))
    }
    whole = any(
        isinstance(node, ast.Import) and any(a.name == "mmbench" for a in node.names) for node in ast.walk(tree)
    )
    return (found | ({""} if whole else set())) & ALLOWED.keys()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    own = "" if path == Path("mmbench/__init__.py") else part_of_file(path)
    assert own in ALLOWED, f"{path} is of no known part; say in this test what it may import"
    assert imported_parts(path) - {own} <= ALLOWED[own]


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
    for path in (ROOT / "mmbench" / "metrics").glob("*.py"):
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
    code = "import sys; import mmbench.config.configuration, mmbench.config.discovery, mmbench.runs.provenance, mmbench.scoring.statistics; "
    code += "import mmbench.stages.report, mmbench.__main__, mmbench.runs.verify, mmbench.runs.compare; "
    code += "import mmbench.cli.claims; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_every_stage_is_alone_at_its_job() -> None:
    """One left over from a killed run is waited for, whichever stage it is of."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    stages = set(re.findall(r"python -m mmbench\.(\w+)", rules))
    assert len(stages) >= 10
    for stage in stages:
        path = ROOT / "mmbench" / stage
        file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert re.search(r"^    with .*\balone\(|^        with alone\(", file.read_text(), flags=re.MULTILINE), stage


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
            for needed in ("    log:\n", "    conda:\n", "python -m mmbench.", "2>&1 | tee {log}"):
                assert needed in rule, (path, rule.partition(":")[0], needed)
