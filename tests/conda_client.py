"""The part of conda's command line that Snakemake calls to make an environment, on rattler's solver and installer.

It is **not conda**: a test uses it as `conda` where there may be neither conda nor a network (`test_conda.py`).
Run as `python conda_client.py ROOT ARGUMENTS...`; ROOT is what conda calls its prefix, the folder of `bin/activate`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import rattler
import yaml

VERSION = "24.7.1"  # the oldest conda that Snakemake takes


async def install(prefix: Path, channels: Sequence[str], specs: Sequence[str], cache: Path) -> None:
    """Solve for packages of the channels and link them into `prefix`."""
    records = await rattler.solve(
        channels,
        specs,
        gateway=rattler.Gateway(cache_dir=cache / "repodata"),
        platforms=[str(rattler.Subdir.current()), "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
        channel_priority=rattler.ChannelPriority.Strict,
    )
    await rattler.install(records, target_prefix=prefix, cache_dir=cache, show_progress=False)


def create(file: Path, prefix: Path, cache: Path) -> None:
    """`conda env create`: the packages of the channels, then those of pip by the environment's own pip."""
    environment = yaml.safe_load(file.read_text())
    channels = [channel for channel in environment["channels"] if channel != "nodefaults"]
    specs = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    wheels = [entry for part in environment["dependencies"] if isinstance(part, dict) for entry in part["pip"]]
    asyncio.run(install(prefix, channels, specs, cache))
    if wheels:
        requirements = prefix / "requirements.txt"
        requirements.write_text("".join(f"{wheel}\n" for wheel in wheels))
        command = [prefix / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements]
        subprocess.run(command, check=True)


def main(argv: Sequence[str]) -> None:
    """Command line. What Snakemake does not ask for in the test is not known, and is an error."""
    parser = argparse.ArgumentParser(prog="conda", description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers(dest="command")
    info = commands.add_parser("info")
    info.add_argument("--json", action="store_true", required=True)
    config = commands.add_parser("config")
    config.add_argument("--get", choices=["channel_priority"], required=True)
    config.add_argument("--json", action="store_true", required=True)
    made = commands.add_parser("env").add_subparsers(required=True).add_parser("create")
    made.add_argument("--quiet", action="store_true", required=True)
    made.add_argument("--no-default-packages", action="store_true", required=True)
    made.add_argument("--file", type=Path, required=True)
    made.add_argument("--prefix", type=Path, required=True)
    clean = commands.add_parser("clean")
    clean.add_argument("-y", action="store_true", required=True)
    clean.add_argument("--tarballs", action="store_true", required=True)
    arguments = parser.parse_args(argv)
    cache = arguments.root / "pkgs"
    if arguments.command == "info":
        print(json.dumps({"conda_prefix": str(arguments.root), "platform": str(rattler.Subdir.current())}))
    elif arguments.command == "config":
        print(json.dumps({"get": {arguments.get: "strict"}}))
    elif arguments.command == "env":
        create(arguments.file, arguments.prefix, cache)
    elif arguments.command == "clean":
        for archive in (*cache.glob("*.tar.bz2"), *cache.glob("*.conda")):
            archive.unlink()
    elif arguments.version:
        print("conda", VERSION)
    else:
        parser.error("no command")


if __name__ == "__main__":
    main(sys.argv[1:])
