"""`mmbench run`: run Snakemake in the checkout, with one view of all jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mmbench.command import new_app, prose
from mmbench.config.checkout import find_checkout
from mmbench.config.profiles import find_profile
from mmbench.errors import UsageError, near

PLUGINS = Path("mmbench", "cli", "plugins")
DRY = {"-n", "--dry-run", "--dryrun"}
OTHER_TARGETS = ("all", "ablation")
Target = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="One experiment, all, or ablation.")]
Profile = Annotated[
    str | None,
    typer.Option(help="Profile: a name in config/profiles, or a file.", show_default="that of config/config.yaml"),
]
Keys = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A key of config/config.yaml.")]


class Front(TyperCommand):
    """A command that leaves unknown flags, and all words after `--`, in the context's `args` for Snakemake."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read this command's own words."""
        flags = {name: getattr(p, "is_flag", False) for p in self.get_params(ctx) for name in getattr(p, "opts", ())}
        before, after = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        known: list[str] = []
        others: list[str] = []
        words, has_target = iter(before), False
        for word in words:
            name, has_value, _ = word.partition("=")
            if name in flags:
                known += (
                    [word] if flags[name] or has_value else [word, *([value] if (value := next(words, None)) else [])]
                )
            elif word.startswith("-") or has_target:
                others.append(word)
            else:
                known, has_target = [*known, word], True
        super().parse_args(ctx, known)
        ctx.args = [*others, *after]
        return ctx.args


def config_keys(profile: str | None, config: Sequence[str] | None, root: Path) -> list[str]:
    """The `key=value` words of `--profile` and `--config` for the workflow in the checkout `root`.

    Raises:
        UserError: there is no such profile, or a word has another form.
    """
    if profile and not profile.endswith((".yaml", ".yml")):
        find_profile(profile, root)  # its error comes sooner than the workflow's
    elif profile:
        profile = str(Path(profile).absolute())  # the workflow runs in the checkout
    keys = [*([f"profile={profile}"] if profile else []), *(config or ())]
    if wrong := [word for word in keys if "=" not in word]:
        raise UsageError(f"--config: '{wrong[0]}' is not key=value; write e.g. --config gpu=1")
    return keys


def check_target(target: str, root: Path, *, hint: str = "") -> None:
    """Raise a UsageError, which ends with `hint`, if the checkout `root` has no such experiment or other target."""
    known = [*sorted(path.stem for path in (root / "config" / "experiments").glob("*.yaml")), *OTHER_TARGETS]
    if target not in known:
        raise UsageError(f"{target}: no experiment{near(target, known)}; there are {', '.join(known)}{hint}")


def command(
    context: typer.Context,
    target: Target = "all",
    profile: Profile = None,
    cores: Annotated[str, typer.Option(help="Number of CPU cores, or all.")] = "all",
    config: Keys = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print Snakemake's messages instead of the live view.")
    ] = False,
) -> None:
    """Run the workflow, or one experiment of it.

    The command starts `snakemake` in the checkout and shows one view of all jobs: how many are done, running and left,
    the step of every training run, and the expected end. If the output is not a terminal, it prints plain lines. Flags
    that are not listed below are passed to Snakemake; write flags that take a value after `--`. The exit status is
    Snakemake's. If a run is interrupted, the same command continues it.

    Examples:

      mmbench run
      mmbench run masking --profile smoke --cores 2
      mmbench run --profile standard --config gpu=1
      mmbench run --config override='{seeds: [0, 1]}' -n
      mmbench run masking -- --forcerun data
    """
    root = find_checkout()
    check_target(target, root, hint="; write Snakemake's own targets and flags after --")
    if any(word.partition("=")[0] in ("--config", "-C") for word in context.args):
        raise UsageError("--config: write it before --, once for each key: --config gpu=1 --config profile=smoke")
    keys = config_keys(profile, config, root)
    own_view = not plain and not DRY & set(context.args) and (root / PLUGINS).is_dir()
    words = snakemake_words(target, cores, keys, context.args, own_view)
    os.chdir(root)
    sys.stdout.flush()
    os.execve(sys.executable, words, environment(root))


def snakemake_words(target: str, cores: str, keys: Sequence[str], more: Sequence[str], own_view: bool) -> list[str]:
    """The command line of Snakemake."""
    view = ["--logger", "mmbench"] if own_view else []
    settings = ["--config", *keys] if keys else []
    return [sys.executable, "-m", "snakemake", target, "--cores", cores, *view, *more, *settings]


def environment(root: Path, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of Snakemake: its jobs find this Python first, and it finds the checkout's code first."""
    programs = [str(Path(sys.executable).parent), variables.get("PATH", os.defpath)]
    modules = [str(root), str(root / PLUGINS), variables.get("PYTHONPATH", "")]
    return {**variables, "PATH": os.pathsep.join(programs), "PYTHONPATH": os.pathsep.join(filter(None, modules))}


app = new_app()
app.command("run", cls=Front, help=prose(command))(command)
