"""A newcomer's first hour, played: a baseline of one's own from nothing to a line in the table, by editing one file."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from warm_python import warm_python

from mmbench.config.checkout import PARTS
from mmbench.errors import UserError

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def content(checkout: Path) -> dict[str, str]:
    """Hash of every file of a checkout that is not made by running."""
    made = ("results", ".snakemake")
    files = [p for p in checkout.rglob("*") if p.is_file() and p.relative_to(checkout).parts[0] not in made]
    return {
        str(p.relative_to(checkout)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if "__pycache__" not in p.parts
    }


def mmbench(checkout: Path, *words: str) -> str:
    """What a command prints in a checkout, which must end well."""
    command = [f"{warm_python()}/python", "-m", "mmbench", *words]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"COLUMNS": "120"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_a_baseline_of_ones_own_is_one_file_and_a_few_minutes(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = tmp_path / "mmbench"
    checkout.mkdir()
    for name in (*PARTS, "mmbench"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout / name)
    try:
        weights = request.getfixturevalue("lpips_weights")
    except UserError as error:
        pytest.skip(f"the LPIPS networks are not here and cannot be fetched: {error}")
    shutil.copytree(weights, checkout / "results" / "weights")
    before, began = content(checkout), time.monotonic()

    said = mmbench(checkout, "new-baseline", "masking", "my_idea")
    file = checkout / re.findall(r"written: (\S+)", said)[0]
    text = file.read_text()
    edited = text.replace("self.target.recovery(answer, truth).mean()", "(answer - truth).abs().sqrt().mean()")
    assert edited != text
    file.write_text(edited)

    config = "override={methods: [mt_diffusion, my_idea]}"
    said = mmbench(checkout, "run", "masking", "--profile", "smoke", "--cores", "2", "--config", config)
    assert re.search(r"finished train masking/my_idea seed0; \d+/\d+ jobs", said), said[-2000:]
    assert "the page is results/smoke/only-masking/index.html" in said

    table = mmbench(checkout, "results", "--metric", "lpips_alex")
    minutes = (time.monotonic() - began) / 60
    row = re.search(r"^ *My idea +(\*?[\d.]+ +){3}\*?[\d.]+ *$", table, flags=re.MULTILINE)
    assert row and "MT-Diffusion" in table, table
    assert "My idea" in (checkout / "results/smoke/only-masking/index.html").read_text()

    after = content(checkout)
    touched = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    with capsys.disabled():
        print(f"\nnewcomer: {minutes:.1f} minutes, {len(touched)} file touched: {', '.join(touched)}")
    assert touched == ["baselines/masking/my_idea.py"]
    assert minutes < 10
