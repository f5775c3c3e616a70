"""`mmbench reproduce`: make a kept run again from its manifest, and compare the two."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from mmbench.cli.compare import command as compare
from mmbench.cli.run import environment, snakemake_words
from mmbench.cli.runs import check_run
from mmbench.config.checkout import find_checkout
from mmbench.errors import UserError
from mmbench.files.atomic import write_text
from mmbench.runs.compare import TOLERANCES
from mmbench.runs.manifest import NAME, read_manifest
from mmbench.runs.manifest_schema import Configured


def configured_profile(run: Path) -> dict[str, Any]:
    """The profile that a run was made with, its overrides on top; UserError if the run's manifest does not have it."""
    configuration = read_manifest(run / NAME).configuration
    if not isinstance(configuration, Configured):
        raise UserError(
            f"{run / NAME}: the configuration was put together from records and is not a profile; name another run"
        )
    profile: dict[str, Any] = configuration.values["profile"]
    return {key: value for key, value in profile.items() if value is not None}


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a kept run.")],
    out: Annotated[Path, typer.Option(help="Folder of all results, in which the new run is RUN-again.")] = Path(
        "results"
    ),
    cores: Annotated[str, typer.Option(help="CPU cores to use.")] = "all",
    tolerances: Annotated[
        Path, typer.Option(help="How far values may be apart.", show_default="config/tolerances.yaml")
    ] = TOLERANCES,
) -> None:
    """Make a kept run again from the profile in its manifest, and compare the numbers within the tolerances.

    The settings of methods are those of the checkout: `mmbench verify RUN` lists where the run had others. The exit
    status is 1 if a value is outside. An interrupted run continues when the command is given again.

    Example:

      mmbench reproduce results/reference/fashion-labels
    """
    root, kept, results = find_checkout(), check_run(run).resolve(), out.resolve()
    again = f"{kept.name}-again"
    profile = results / "profiles" / f"{again}.yaml"
    write_text(profile, yaml.safe_dump(configured_profile(kept), sort_keys=False, allow_unicode=True))
    words = snakemake_words("all", cores, [f"profile={profile}", f"results={results}"], [], own_view=False)
    if subprocess.run(words, cwd=root, env=environment(root), check=False).returncode:
        raise UserError(f"{results / again}: the run did not finish; fix what it reports and give the command again")
    compare(kept, results / again, False, tolerances)
