"""A kept run is made again from its manifest, and the comparison sees a number that is another."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from checkout import Checkout, copied, give_networks
from warm_python import warm_python

from mmbench.cli.reproduce import configured_profile
from mmbench.errors import UserError
from mmbench.files.store import read_json, write_json
from mmbench.runs.keep import keep

pytestmark = pytest.mark.slow

OVERRIDE = {"experiments": ["masking"], "methods": ["mean_fill", "unet_regression"], "train": {"steps": 4}}


def reproduce(checkout: Checkout, run: Path) -> subprocess.CompletedProcess[str]:
    words = [f"{warm_python()}/python", "-m", "mmbench", "reproduce", str(run), "--cores", "2"]
    environment = {**os.environ, "PYTHONPATH": str(checkout.root)}
    return subprocess.run(words, cwd=checkout.root, env=environment, check=False, text=True, capture_output=True)


@pytest.mark.timeout(900)
def test_a_kept_run_is_made_again_and_compared(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    checkout = copied(tmp_path, warm=True)
    give_networks(checkout, request)
    first = checkout.smoke(config=[f"override={json.dumps(OVERRIDE)}"])
    assert first.returncode == 0, first.stdout[-5000:]
    kept = checkout.root / "results" / "reference" / "tiny"
    keep(checkout.results, kept)
    done = reproduce(checkout, kept)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    again = checkout.root / "results" / "tiny-again" / "masking"
    assert read_json(again / "unet_regression/seed0/training.json")["settings"]["train"]["steps"] == 4

    path = kept / "masking/unet_regression/seed0/metrics.json"
    record = read_json(path)
    record["metrics"][0]["value"] *= 2
    write_json(path, record)
    assert reproduce(checkout, kept).returncode == 1, "nothing is computed again, and the value is outside"


def test_a_manifest_without_a_profile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.json"):
        configured_profile(tmp_path)
