"""The command that makes a part of a page, from the one that makes the page."""

from __future__ import annotations

import shlex

ALL = ["snakemake", "--cores", "all"]


def of_experiment(command: str, profile: str, experiment: str) -> str:
    """What makes the tables and figures of an experiment.

    Args:
        command: what made the page. If that is the whole workflow, it is narrowed to the experiment; another target is
            left as it is, and without any the results are read again.
        profile: name of the folder of results.
        experiment: whose.
    """
    if not command:
        folder = f"results/{profile}"
        words = ["--results", folder, "--out", f"{folder}/only-{experiment}", "--experiments", experiment]
        return shlex.join(["python", "-m", "mmbench.stages.report", *words])
    try:
        words = shlex.split(command)
    except ValueError:  # no command of a shell
        return command
    if words[:3] == ALL and (words[3:] or ["--"])[0].startswith("--"):
        return shlex.join([*ALL, experiment, *words[3:]])
    return command


def of_page(command: str, profile: str) -> str:
    """What makes the whole page."""
    folder = f"results/{profile}"
    return command or shlex.join(["python", "-m", "mmbench.stages.report", "--results", folder, "--out", folder])
