"""`mmbench doctor`: check whether this machine can run a profile, and state how to fix each problem."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mmbench.cli import checks
from mmbench.cli.checks import Check
from mmbench.command import console, new_table
from mmbench.config.check import TOP
from mmbench.config.checkout import ROOT, find_checkout
from mmbench.config.configuration import Config
from mmbench.config.extractors import EFFICIENTNET
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError

LOOKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "bold red"),
         "absent": ("absent", "dim")}  # fmt: skip


def examine(root: Path | None, profile: str | None) -> Iterator[Check]:
    """All checks; without a checkout, only those of the environment."""
    yield from checks.machine()
    yield checks.home()
    yield from checks.packages(root or ROOT)
    probed = checks.probe()
    yield from checks.accelerator(probed)
    yield from checks.programs()
    yield checks.checkout(root)
    if root is None:
        return
    try:
        config = Config(read_yaml(root / TOP, root) | ({"profile": profile} if profile else {}), root)
    except UserError as error:
        yield Check("configuration", "problem", f"{TOP} and its profile", str(error))
        return
    yield Check("profile", "ok", f"{config.name}: {config.profile.description}")
    yield from checks.data_sets(config)
    hub = Path(probed["hub"]) if isinstance(probed, dict) else None
    yield checks.lpips(root / config.top.results / "weights", hub)
    if EFFICIENTNET in config.profile.evaluate.features:
        yield checks.efficientnet(root / config.top.results / "weights")
    yield checks.disk(config)


def command(
    profile: Annotated[
        str | None, typer.Option(help="Check the machine for this profile.", show_default="config/config.yaml's")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check whether this machine can run a profile, and state how to fix each problem.

    The command checks cores, memory, Python, packages, PyTorch and GPU, Snakemake, the checkout and its configuration,
    data sets, the networks of the metrics and the disk. "absent" marks what is missing and not needed by the profile.
    The exit status is 1 if there is a problem.

    Examples:

      mmbench doctor
      mmbench doctor --profile camvid-masking
      mmbench doctor --json
    """
    try:
        root: Path | None = find_checkout()
    except UserError:
        root = None
    checks = list(examine(root, profile))
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        show(checks)
    if any(check.status == "problem" for check in checks):
        raise typer.Exit(1)


def show(checks: Sequence[Check]) -> None:
    """Print a table of the checks, and a summary."""
    screen = console()
    table = new_table("", "check", "found, and how to fix it")
    for check in checks:
        word, style = LOOKS[check.status]
        text = Text(check.found)
        if check.fix:
            text.append(f"\n-> {check.fix}", style="bold" if check.status == "problem" else "")
        table.add_row(Text(word, style=style), check.name, text)
    screen.print(table)
    count = Counter(check.status for check in checks)
    verdict = "ready" if not count["problem"] else f"{count['problem']} to fix before a run"
    screen.print(f"\n{verdict}; {count['ok']} ok, {count['warning']} warnings, {count['absent']} absent", markup=False)
