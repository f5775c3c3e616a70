"""A small run of the campaign, and that its comparison finds what it looks for. `make faults` runs all of `smoke`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faulty_run import ROOT
from same_results import litter, results
from warm_python import warm_python

from mmbench.files.atomic import write_text
from mmbench.files.store import save_arrays, write_json

pytestmark = pytest.mark.slow

KINDS = ["kill -9 of snakemake", "last state cut off", "full disk"]
SEED = "16"  # the state is cut off first, while there is a training


@pytest.mark.timeout(1200)  # on cores that may have other work
def test_an_interrupted_run_ends_with_the_results_of_an_undisturbed_one() -> None:
    program = [sys.executable, str(ROOT / "tests" / "faults" / "campaign.py"), "--small", "--faults", str(len(KINDS))]
    arguments = ["--seed", SEED, "--kinds", *KINDS, "--python", f"{warm_python()}/python"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*program, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all results are those of the undisturbed run" in done.stdout
    assert "left out" in done.stdout or "cut to" in done.stdout, done.stdout
    assert "Traceback" not in done.stderr


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Results of every kind."""
    folder = tmp_path / "smoke"
    write_json(folder / "metrics.json", {"metrics": [{"name": "psnr", "value": 20.5}], "evaluate_seconds": 1.5})
    write_text(folder / "items.csv", "case,item,metric,value\na,0,psnr,20.5\n")
    save_arrays(folder / "predictions.npz", {"a/image": np.arange(12, dtype=np.float32)})
    (folder / "weights.safetensors").write_bytes(b"weights")
    write_text(folder / "README.md", "| steps | 60 |\n| time | 1.1 s |\n- finished: `now`\n")
    return folder


def changed(folder: Path, before: dict[str, str]) -> set[str]:
    return {name for name, value in results(folder).items() if before.get(name) != value}


def test_a_changed_bit_is_found_and_a_measured_time_is_not(made: Path) -> None:
    before = results(made)
    assert set(before) == {"metrics.json", "items.csv", "predictions.npz", "weights.safetensors", "README.md"}
    record = json.loads((made / "metrics.json").read_text())
    write_json(made / "metrics.json", record | {"evaluate_seconds": 2.5, "provenance": {"finished": "later"}})
    write_text(made / "log" / "train.log", "said")
    write_text(made / "README.md", "| steps | 60 |\n| time | 2.2 s |\n- finished: `later`\n")
    assert changed(made, before) == set()
    record["metrics"][0]["value"] = float(np.nextafter(20.5, 21))
    write_json(made / "metrics.json", record)
    assert changed(made, before) == {"metrics.json"}
    write_text(made / "README.md", "| steps | 61 |\n| time | 1.1 s |\n- finished: `now`\n")
    array = np.arange(12, dtype=np.float32)
    array[5] = np.nextafter(array[5], np.float32(6))
    save_arrays(made / "predictions.npz", {"a/image": array})
    (made / "weights.safetensors").write_bytes(b"weight")
    assert changed(made, before) == {"README.md", "metrics.json", "predictions.npz", "weights.safetensors"}


def test_what_is_cut_off_and_what_is_left_behind_is_found(made: Path) -> None:
    os.truncate(made / "predictions.npz", 40)
    os.truncate(made / "metrics.json", 0)
    found = results(made)
    assert found["predictions.npz"] == found["metrics.json"] == "unreadable"
    write_text(made / "tables" / ".snakemake_timestamp", "")
    assert list(litter(made)) == []
    write_text(made / ".items-12345678.csv", "half")
    write_text(made / "state" / "checkpoint.safetensors", "kept")
    assert set(litter(made)) == {".items-12345678.csv", "state/checkpoint.safetensors"}


FULL = """
import sys
from pathlib import Path

import torch

from mmbench.errors import run_command
from mmbench.files.weights import save_weights

path = Path(sys.argv[1]) / "weights.safetensors"
save_weights(path, {"a": torch.ones(2)})
try:
    run_command(lambda _: save_weights(path, {"a": torch.zeros(1_000_000)}))
finally:
    print(sorted(file.name for file in path.parent.iterdir()), path.stat().st_size < 1000)
"""


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    mounted = ["bash", "-c", 'mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"', "-", str(tmp_path)]
    trial = subprocess.run([*unshare, *mounted, "true"], capture_output=True, check=False)
    if trial.returncode:
        pytest.skip("this user may not mount a disk to fill")
    command = [*unshare, *mounted, sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: the disk is full while writing {tmp_path}/weights.safetensors: free some space and run the same "
        "command again; nothing finished is lost\n"
    )
    assert done.stdout == "['weights.safetensors'] True\n"
