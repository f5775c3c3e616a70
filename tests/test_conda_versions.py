"""environment.yml against requirements.lock: conda and pip give the same versions."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Machines for which versions are compared.
MACHINES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")]


def conda_packages() -> dict[str, str | None]:
    """Versions of what comes from the channel; None where any will do."""
    named = (entry.partition("=") for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str))
    return {name: wanted or None for name, _, wanted in named}


def machine(system: str, processor: str) -> dict[str, str]:
    """What a requirement's condition may ask of a machine that has the environment's Python."""
    minor = conda_packages()["python"]
    facts = {"python_version": minor, "python_full_version": f"{minor}.0"}
    systems = {"linux": "Linux", "darwin": "Darwin"}
    facts |= {"sys_platform": system, "platform_system": systems[system], "platform_machine": processor}
    return default_environment() | facts


def pins(lines: list[str], there: dict[str, str]) -> dict[str, str]:
    """Versions that requirements of the form `name==version ; condition` have on a machine."""
    asked = [Requirement(line) for line in lines]
    return {r.name: str(r.specifier).removeprefix("==") for r in asked if not r.marker or r.marker.evaluate(there)}


def pinned() -> list[str]:
    """Requirements of pip in environment.yml."""
    [wheels] = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    return wheels


def locked() -> list[str]:
    """Requirements in requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line.removesuffix(" \\") for line in lines if re.match(r"[a-z0-9]", line)]


def needed(there: dict[str, str]) -> set[str]:
    """Names of all packages that the project needs: its own requirements, theirs as installed here, and so on."""
    waiting = [Requirement(line) for line in PROJECT["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        asked = waiting.pop()
        for extra in ("", *asked.extras):
            if (key := (canonicalize_name(asked.name), extra)) in seen:
                continue
            seen.add(key)
            try:
                lines = distribution(asked.name).requires or ()
            except PackageNotFoundError:  # another Python than the environment's runs the tests
                continue
            further = [Requirement(line) for line in lines]
            waiting += [r for r in further if not r.marker or r.marker.evaluate(there | {"extra": extra})]
    return {name for name, _ in seen}


def test_the_environment_takes_only_python_and_pip_from_the_channel() -> None:
    """So names of conda packages need no translation: all others are PyPI's, as in the lock."""
    assert ENVIRONMENT["name"] == "mmbench"
    assert set(conda_packages()) == {"python", "pip"}
    assert not {"python", "pip"} & set(pins(locked(), default_environment()))
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{conda_packages()['python']}.0")


@pytest.mark.parametrize("where", MACHINES, ids="-".join)
def test_the_environment_has_the_versions_of_the_lock(where: tuple[str, str]) -> None:
    there = machine(*where)
    own, lock = pins(pinned(), there), pins(locked(), there)
    assert len(own) > 80
    assert own == {name: lock.get(name) for name in own}


def test_the_environment_pins_everything_that_it_will_have() -> None:
    """Else pip would choose the rest for itself: the newest, another every week."""
    if (sys.platform, platform.machine()) not in MACHINES:
        pytest.skip(f"the environment is not described for {sys.platform} {platform.machine()}")
    there = machine(sys.platform, platform.machine())
    assert set(pins(pinned(), there)) == needed(there)
