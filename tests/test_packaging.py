"""The package as it is distributed: built, installed into an environment of its own, and used far from any checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from tiny_model import write_model

import mmbench
from mmbench.config.checkout import CARRIED, PARTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference" / "camvid-masking"


@dataclass(frozen=True)
class Installed:
    """A wheel, the source distribution it was built of, and an environment that it was installed into."""

    wheel: Path
    source: Path
    bin: Path

    def run(self, folder: Path, *words: str | Path, status: int = 0) -> str:
        """What the script `mmbench` says in a folder."""
        hidden = ("PYTHONPATH", "MMBENCH_DATA", "VIRTUAL_ENV")
        environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"COLUMNS": "160"}
        done = subprocess.run(
            [self.bin / "mmbench", *words], cwd=folder, env=environment, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The source distribution, the wheel made of it, and an environment that sees the packages of this one."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    home = tmp_path_factory.mktemp("home") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    python = home / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return Installed(wheel, source, home / "bin")


def test_the_version_is_in_one_place(installed: Installed, tmp_path: Path) -> None:
    assert installed.run(tmp_path, "--version").strip() == mmbench.__version__
    assert installed.wheel.name.startswith(f"mmbench-{mmbench.__version__}-")
    texts = {name: (ROOT / name).read_text() for name in ("pyproject.toml", "environment.yml", "Makefile")}
    assert not any(re.search(rf"mmbench.*{re.escape(mmbench.__version__)}", text) for text in texts.values())


def test_the_wheel_holds_what_the_commands_need_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
        described = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    tops = {name.split("/")[0] for name in names}
    assert tops == {"mmbench", f"mmbench-{mmbench.__version__}.dist-info"}
    carried = {name.split("/")[2] for name in names if name.startswith(f"mmbench/{CARRIED.name}/")}
    assert carried == set(PARTS)
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "mmbench").rglob("*") if path.is_file()}
    assert {n for n in here if "__pycache__" not in n} <= set(names)
    assert not [
        name for name in names if re.search(r"__pycache__|\.venv|/results/|/tests/|\.npz$|\.safetensors$", name)
    ]
    needs = Parser().parsestr(described).get_all("Requires-Dist", [])
    for text in needs:
        requirement = Requirement(text)
        if not requirement.marker:
            version = metadata.version(requirement.name).partition("+")[0]
            assert requirement.specifier.contains(version, prereleases=True), text


def test_the_source_distribution_is_whole_and_clean(installed: Installed) -> None:
    with tarfile.open(installed.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Makefile", "tests/test_packaging.py", "docs/results.md", "README.md"} <= names
    assert not [name for name in names if re.match(r"\.venv|\.git/|results/(?!reference|README)", name)]


def test_the_commands_work_far_from_a_checkout(installed: Installed, tmp_path: Path) -> None:
    assert "toy_streets" in installed.run(tmp_path, "data", "list")
    assert "LPIPS (AlexNet)" in installed.run(tmp_path, "results", REFERENCE)
    assert "ok: " in installed.run(tmp_path, "compare", REFERENCE, REFERENCE)
    assert "ok: " in installed.run(tmp_path, "verify", REFERENCE)
    write_model(tmp_path / "model", "image", "mask", experiment="segmentation", method="unet")
    said = installed.run(tmp_path, "sample", "model", "--nfe", "1", "--count", "2", "--out", "out", status=1)
    assert said.startswith("error: want: given nothing, there is nothing that unet of segmentation can make")
    write_model(tmp_path / "model", "image", "mask", experiment="segmentation")
    assert "2 x image, mask" in installed.run(
        tmp_path, "sample", "model", "--nfe", "1", "--count", "2", "--out", "out", "--device", "cpu"
    )
    said = installed.run(tmp_path, "run", status=1)
    assert said.startswith("error: ") and "mmbench init my-benchmark" in said


def test_init_makes_a_place_where_all_of_it_works(installed: Installed, tmp_path: Path) -> None:
    installed.run(tmp_path, "init", "mine")
    folder = tmp_path / "mine"
    assert "written: baselines/labels/my_idea.py" in installed.run(folder, "new-baseline", "labels", "my_idea")
    planned = installed.run(folder, "run", "labels", "--profile", "smoke", "-n")
    assert "results/smoke/labels/my_idea/seed0/weights.safetensors" in planned
    data = installed.run(folder, "run", "--profile", "smoke", "--cores", "1", "--", "--until", "data")
    assert "1 of 1 jobs" in data and (folder / "results" / "smoke" / "data" / "card.json").is_file()
    assert "reproduced" in installed.run(folder, "claims", REFERENCE)


def test_the_catalog_can_show_the_workflow() -> None:
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert catalog["software-stack-deployment"]["conda"] is True and catalog["report"] is True
    assert set(catalog) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / "config" / "README.md").is_file() and (ROOT / "Snakefile").is_file()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
