"""The command that makes a part of a page, derived from the one that makes the page."""

from __future__ import annotations

import shlex

ALL = ["snakemake", "--cores", "all"]


def of_experiment(command: str, profile: str, experiment: str) -> str:
    """The command that makes the tables and figures of an experiment.

    Args:
        command: the command that made the page. If it runs the whole workflow, it is narrowed to the experiment; a
            command with another target stays unchanged; without a command, the results are read again.
        profile: the name of the folder of results.
    """
    if not command:
        folder = f"results/{profile}"
        words = ["--results", folder, "--out", f"{folder}/only-{experiment}", "--experiments", experiment]
        return shlex.join(["python", "-m", "mmbench.stages.report", *words])
    try:
        words = shlex.split(command)
    except ValueError:  # not a shell command
        return command
    if words[:3] == ALL and (words[3:] or ["--"])[0].startswith("--"):
        return shlex.join([*ALL, experiment, *words[3:]])
    return command


def of_page(command: str, profile: str) -> str:
    """The command that makes the whole page."""
    folder = f"results/{profile}"
    return command or shlex.join(["python", "-m", "mmbench.stages.report", "--results", folder, "--out", folder])
