"""The package as it is distributed: built, installed into an environment of its own, and used far from any checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
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


#: Runs commands of the package in one process, since each start takes seconds; prints what each has said.
CALLS = """
import contextlib, io, json, sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))
from mmbench.cli.app import main
from mmbench.errors import run_command

answered = []
for words in json.loads(sys.argv[1]):
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            run_command(lambda _: main(words))
        except SystemExit as ended:
            status = int(ended.code or 0)
    answered.append([status, said.getvalue()])
print(json.dumps(answered))
"""


@dataclass(frozen=True)
class Installed:
    """A wheel, the source distribution it was built of, and an environment that it was installed into."""

    wheel: Path
    source: Path
    bin: Path

    def calls(self, folder: Path, *commands: Sequence[str | Path]) -> list[tuple[int, str]]:
        """Exit status and output of commands that are run in a folder, one after the other in one process."""
        asked = json.dumps([[str(word) for word in words] for words in commands])
        (folder / "calls.py").write_text(CALLS)
        answered: list[tuple[int, str]] = json.loads(self.run(folder, "calls.py", asked, program="python"))
        return answered

    def run(self, folder: Path, *words: str | Path, program: str = "mmbench", status: int = 0) -> str:
        """What the script `mmbench`, or another program of the environment, says in a folder."""
        hidden = ("PYTHONPATH", "MMBENCH_DATA", "VIRTUAL_ENV")
        environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"COLUMNS": "160"}
        done = subprocess.run(
            [self.bin / program, *words], cwd=folder, env=environment, check=False, text=True,
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
    write_model(tmp_path / "one-task", "image", "mask", experiment="segmentation", method="unet")
    write_model(tmp_path / "model", "image", "mask", experiment="segmentation")
    drawn = ("--nfe", "1", "--count", "2", "--out", "out", "--device", "cpu")
    commands = {
        ("data", "list"): (0, "toy_streets"),
        ("results", REFERENCE): (0, "LPIPS (AlexNet)"),
        ("compare", REFERENCE, REFERENCE): (0, "ok: "),
        ("verify", REFERENCE): (0, "ok: "),
        ("sample", "one-task", *drawn): (1, "error: want: given nothing, there is nothing that unet of segmentation"),
        ("sample", "model", *drawn): (0, "2 x image, mask"),
        ("run",): (1, "mmbench init my-benchmark"),
    }
    for (status, said), (expected, words) in zip(installed.calls(tmp_path, *commands), commands.values(), strict=True):
        assert status == expected and words in said, said


def test_init_makes_a_place_where_all_of_it_works(installed: Installed, tmp_path: Path) -> None:
    ((status, said),) = installed.calls(tmp_path, ["init", "mine"])
    assert status == 0, said
    folder = tmp_path / "mine"
    made, claims = installed.calls(folder, ["new-baseline", "labels", "my_idea"], ["claims", REFERENCE])
    assert made[0] == 0 and "written: baselines/labels/my_idea.py" in made[1]
    assert claims[0] == 0 and "reproduced" in claims[1]
    planned = installed.run(folder, "run", "labels", "--profile", "smoke", "-n")
    assert "results/smoke/labels/my_idea/seed0/weights.safetensors" in planned
    data = installed.run(folder, "run", "--profile", "smoke", "--cores", "1", "--", "--until", "data")
    assert "1 of 1 jobs" in data and (folder / "results" / "smoke" / "data" / "card.json").is_file()


def test_the_catalog_can_show_the_workflow() -> None:
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert catalog["software-stack-deployment"]["conda"] is True and catalog["report"] is True
    assert set(catalog) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / "config" / "README.md").is_file() and (ROOT / "Snakefile").is_file()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
