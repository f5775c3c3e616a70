"""`mmbench plan`: predict the hours, memory and disk that a profile takes on this machine."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from mmbench.cli.checks import usable_cores
from mmbench.cli.progress import clock
from mmbench.cli.run import Keys, Profile, Target, check_target, config_keys
from mmbench.command import console, new_table
from mmbench.config.check import TOP
from mmbench.config.checkout import find_checkout
from mmbench.config.configuration import Config
from mmbench.config.yaml_files import read_yaml, typed

GB = 1e9


def command(
    target: Target = "all",
    profile: Profile = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="CPU cores that the run may use.", show_default="all")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Seconds that timing may take, without its preparation.")
    ] = 60.0,
    config: Keys = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Measure the speed of this machine, and predict the hours, memory and disk that a profile takes.

    The jobs are those that Snakemake plans. The command times training steps and answers of the profile's methods on
    artificial items, with the profile's network, batches and evaluations. It assumes that methods which it does not
    reach in time are as fast as the others. On the CPU, seconds are those of a core that does nothing else.

    Examples:

      mmbench plan
      mmbench plan masking --profile standard --cores 8
      mmbench plan --profile paper --config gpu=1 --seconds 120
    """
    root = find_checkout()
    check_target(target, root)
    keys = config_keys(profile, config, root)
    values = {key: typed(value) for key, _, value in (word.partition("=") for word in keys)}
    configured = Config(read_yaml(root / TOP, root) | values, root)
    places = importlib.import_module("mmbench.planning.jobs")
    costs = importlib.import_module("mmbench.planning.costs")
    jobs = places.read_jobs(root, configured.results, keys, target)
    importlib.import_module("torch").set_num_threads(configured.top.threads)
    columns = SpinnerColumn(), TextColumn("timing {task.description}")
    with Progress(*columns, console=console(), transient=True, disable=as_json) as shown:
        task = shown.add_task("the networks that score")
        plan = costs.make_plan(
            configured, jobs, cores or usable_cores(), seconds, lambda name: shown.update(task, description=name)
        )
    if as_json:
        print(json.dumps(importlib.import_module("mmbench.planning.plan").as_record(plan), indent=2))
    else:
        show(plan, configured, target)


def span(seconds: float) -> str:
    """Seconds as a time on the clock, or in days from two days on."""
    return clock(seconds) if seconds < 2 * 86400 else f"{seconds / 86400:,.0f} days"


def show(plan: Any, config: Config, target: str) -> None:
    """Print a line for each rule, and the totals."""
    table = new_table("rule", "jobs", "each", "together")
    for column in table.columns[1:]:
        column.justify = "right"
    for rule, (count, seconds) in sorted(plan.by_rule().items(), key=lambda item: -item[1][1]):
        table.add_row(rule, str(count), span(seconds / count), span(seconds))
    console().print(table)
    kind = "GPU" if plan.device == "cuda" else "core"
    whole, left = plan.wall(), plan.wall(left=True)
    what = config.name if target == "all" else f"{target} of {config.name}"
    print(f"\n{what}: about {span(whole)} with {plan.slots} jobs at once, {plan.total() / 3600:,.2f} {kind}-hours")
    if left < 0.99 * whole:
        print(f"of which {span(left)} is left to do")
    print(f"memory: about {plan.memory / GB:.1f} GB for a job, {plan.slots * plan.memory / GB:.1f} GB for all at once")
    print(f"disk: about {plan.disk / GB:.1f} GB in {Path(config.results)}")
    note = f"{plan.timed} of {plan.possible} methods were timed"
    print(
        "; ".join([note + ("" if plan.timed >= plan.possible else ", the others are assumed to be alike"), *plan.notes])
    )
