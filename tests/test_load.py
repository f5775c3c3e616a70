"""Much at once: runs started together, two hundred trainings planned, a hundred thousand pictures listed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checkout import NOTHING_TO_DO, copied

from mmbench.data import DataSettings, image_folder, load
from mmbench.data._settings import hashed_first, hashed_order
from mmbench.files.store import load_arrays

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Runs its arguments, then prints the seconds of the processor and the most kB that they took. Itself it is small: a
#: process counts as its own the memory of the one that it was forked from.
MEASURED = """
import os, subprocess, sys

process = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(process.pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, flush=True)
os._exit(os.waitstatus_to_exitcode(status))
"""
PLANNED = '''"""Planned, never run."""

from mmbench.method import Method as BaseMethod

TITLE = "Planned {number}"
TASKS = ("*",)


class Method(BaseMethod):
    """One of many."""
'''


def test_many_trainings_are_planned(tmp_path: Path) -> None:
    """Forty methods by five seeds, in bounded time of the processor and memory."""
    checkout = copied(tmp_path)
    names = [f"planned_{number:02}" for number in range(40)]
    for number, name in enumerate(names):
        (tmp_path / "baselines" / "masking" / f"{name}.py").write_text(PLANNED.format(number=number))
    profile = tmp_path / "config" / "profiles" / "many.yaml"
    smoke = (tmp_path / "config" / "profiles" / "smoke.yaml").read_text()
    text = re.sub(r"(?m)^experiments: .*", "experiments: [masking]", smoke)
    profile.write_text(re.sub(r"(?m)^seeds: .*", "seeds: [0, 1, 2, 3, 4]", text) + f"methods: [{', '.join(names)}]\n")
    command = ["snakemake", "--dry-run", "--quiet", "rules", "--config", "profile=many"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-m", *command],
        cwd=checkout.root,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    told, _, used = done.stdout.strip().rpartition("\n")
    seconds, kilobytes = map(float, used.split())
    counts = {rule: int(count) for rule, count in re.findall(r"(?m)^(\w+) +(\d+)$", told)}
    once = dict.fromkeys(("all", "data", "lpips", "cases", "reference", "report", "manifest"), 1)
    once |= {"cards_data": 1, "cards_masking": 1}
    assert counts == once | dict.fromkeys(("train", "predict", "evaluate"), 200) | {"total": 600 + len(once)}
    print(f"200 trainings: {seconds:.1f} s of the processor, {kilobytes / 1024:.0f} MB")
    assert seconds < 30 and kilobytes < 500 * 1024


@pytest.mark.parametrize("count", [None, 1, 7, 50, 200])
def test_the_first_of_many_names_are_those_of_the_whole_order(count: int | None) -> None:
    names = [f"class {number % 3}/{number}.png" for number in range(50)]
    first, seen = hashed_first(iter(names), count)
    assert first == [names[index] for index in hashed_order(names)][:count] and seen == 50


@dataclass(frozen=True)
class Entry:
    """What `os.scandir` says of a file."""

    name: str

    def is_dir(self) -> bool:
        return False


def test_many_pictures_are_listed_without_holding_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: the files would take longer to make than to list. The chosen pictures are not read."""
    classes, each, wanted = ("cat", "dog"), 50_000, 200
    for name in classes:
        (tmp_path / name).mkdir()
    scandir, read = os.scandir, []

    @contextmanager
    def simulated(folder: Path) -> Iterator[Iterator[object]]:
        if Path(folder).name in classes:
            yield (Entry(f"{number}.png") for number in range(each))
        else:
            with scandir(folder) as entries:
                yield entries

    def seen(path: Path, shape: tuple[int, int]) -> np.ndarray:
        read.append(f"{path.parent.name}/{path.name}")
        return np.full((3, *shape), len(read) % 256, np.uint8)

    monkeypatch.setattr(os, "scandir", simulated)
    monkeypatch.setattr(image_folder, "_read", seen)
    settings = DataSettings("image_folder", 32, train=wanted, validation=10, test=10, root=str(tmp_path))
    tracemalloc.start()
    try:
        loaded = load("train", settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"{2 * each} pictures: {peak / 2**20:.2f} MB")
    assert loaded["image"].shape == (wanted, 3, 32, 32) and len(read) == wanted
    assert loaded["image"][:, 0, 0, 0].tolist() == [place % 256 for place in range(1, wanted + 1)]
    assert [classes[label] for label in loaded["label"]] == [name.split("/")[0] for name in read]
    assert {image_folder.split_of(name) for name in read} == {"train"} and len(set(read)) == wanted
    assert peak < 4 * 2**20  # of which the pictures are 0.6 MB; the names alone would be some 6


def test_runs_started_at_once_on_one_checkout_do_not_disturb_each_other(tmp_path: Path) -> None:
    """One profile twice and another once: Snakemake locks what is made, not the checkout."""
    checkout = copied(tmp_path, warm=True)
    profiles = tmp_path / "config" / "profiles"
    (profiles / "other.yaml").write_text((profiles / "smoke.yaml").read_text())
    answers = {name: f"results/{name}/masking/mean_fill/seed0/predictions.npz" for name in ("smoke", "other")}

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return checkout.snakemake("--cores", "1", answers[name], "--config", f"profile={name}")

    with ThreadPoolExecutor(3) as threads:
        first, second, other = threads.map(run, ["smoke", "smoke", "other"])
    assert other.returncode == 0, other.stdout[-5000:]
    refused = [done for done in (first, second) if done.returncode]
    assert len(refused) <= 1, (first.stdout[-3000:], second.stdout[-3000:])
    for done in refused:
        assert "Directory cannot be locked" in done.stdout and "Traceback" not in done.stdout, done.stdout[-3000:]
    for name in answers:
        done = run(name)
        assert done.returncode == 0 and NOTHING_TO_DO in done.stdout, done.stdout[-3000:]
    smoke, others = (load_arrays(tmp_path / path) for path in answers.values())
    assert smoke.keys() == others.keys() and smoke
    assert all(np.array_equal(smoke[name], others[name]) for name in smoke)
