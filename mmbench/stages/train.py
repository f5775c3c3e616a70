"""Train one method with one seed, resuming where an earlier run of the same training stopped.

SIGTERM, SIGHUP and SIGINT end it after the current step, whose state is kept. `--processes` divides the shards of each
batch among processes; the result does not depend on their number.

`--keep 100` leaves the averaged weights after step 100 in the state folder. `--until 100` writes these weights: without
training if they were kept there, else after the same training up to that step. The learning rates are those of the
whole training run, so the weights are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor
from typer import Option

from mmbench.command import stage_main
from mmbench.config.code_hash import stage_code
from mmbench.config.discovery import read_literals
from mmbench.data import read_card, read_prepared
from mmbench.experiments import load_tasks
from mmbench.experiments.experiment import to_batch
from mmbench.experiments.methods import build_method
from mmbench.files.locks import alone
from mmbench.files.store import read_record, sha256_file, write_json
from mmbench.files.weights import save_weights
from mmbench.method import Method
from mmbench.modalities import kinds_of_card
from mmbench.models.device import choose_device, hardware, peak_memory
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_settings
from mmbench.stages._options import (
    DataFolder,
    Device,
    MethodFile,
    MethodFolder,
    Processes,
    Seed,
    SettingsFile,
    StateFolder,
    Threads,
)
from mmbench.training.checkpoint import load_snapshot, remove_checkpoint, snapshot_path
from mmbench.training.loop import Training, new_log
from mmbench.training.partial_labels import training_set
from mmbench.training.processes import Team, joined, launch, launched, run_member

ROOT = Path(__file__).parents[2]
#: The entries of a data set's card that are needed to show a model's answers.
SHOWN = ("name", "title", "modalities", "classes", "palette", "labels", "embedding")


def training_key(settings: Mapping[str, Any], seed: int, method: Path, data: Path) -> str:
    """Identifies a training run by all that it depends on: settings, seed, code and data; another key starts again."""
    kinds = load_tasks(settings["experiment"]).kinds(kinds_of_card(read_card(data)))
    code = stage_code(ROOT, "train", kinds.values(), experiment=settings["experiment"], method=method.resolve())
    parts = [settings, seed, code, sha256_file(data / "card.json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def described(method: Method, data: Path) -> dict[str, Any]:
    """The facts that are needed to build the method and to show its answers without the data folder."""
    card = read_card(data)
    return {
        "modalities": {name: asdict(modality) for name, modality in method.spec.modalities.items()},
        "card": {key: card.get(key) for key in SHOWN},
    }


def finished(out: Path, key: str) -> bool:
    """Whether a training run with this key has written all its results."""
    whole = (out / "weights.safetensors").is_file() and (out / "training.json").is_file()
    return whole and read_record(out / "training.json").get("key") == key


def train(
    settings: Mapping[str, Any],
    file: Path,
    data: Path,
    *,
    seed: int,
    device: torch.device,
    state: Path,
    out: Path,
    team: Team,
    keep: Collection[int] = (),
    until: int | None = None,
    kept: Path | None = None,
) -> None:
    """Train one method, or resume it, and write `out`/weights.safetensors and, last, training.json.

    Args:
        data: folder that the stage data or embed wrote.
        seed: seed of weights, batches and noise.
        state: folder of the checkpoint.
        team: the processes that share the shards of each batch; the first of them writes.
        keep: steps whose averaged weights stay in `state`.
        until: the last step; that of the settings unless given.
        kept: `state` of the whole training run, which may have kept the weights of step `until`.

    Raises:
        UserError: an input is missing or broken, the loss is not finite, or the process was asked to stop.
    """
    torch.manual_seed(seed)
    method, experiment = build_method(settings, file, read_card(data))
    arrays = training_set(read_prepared(data, "train"), settings, method)
    key = training_key(settings, seed, file, data)
    if type(method).prepare is not Method.prepare:  # converts the whole set to floats, so only for methods that use it
        whole = {name: arrays[name] for name in method.spec.modalities if name in arrays}
        method.prepare(to_batch(whole, method.spec.modalities))
    weights: Mapping[str, Tensor] = method.state_dict()
    log, parameters = new_log(), 0
    if is_trained(method, file):
        parameters = sum(p.numel() for p in method.parameters() if p.requires_grad)
        training = Training(
            method,
            experiment,
            settings,
            arrays,
            modalities=experiment.modalities(read_card(data)),
            seed=seed,
            device=device,
            state=state,
            key=key,
            team=team,
            validation=read_prepared(data, "validation") if "validation" in read_card(data)["splits"] else None,
        )
        snapshot = load_snapshot(kept, key, until, training.ema) if kept and until else None
        if snapshot:
            print(f"{training.label}: the weights of step {until} were kept by the whole training", flush=True)
        else:
            training.run(until or settings["train"]["steps"], keep)
        weights, log = training.ema, snapshot or training.log
        team.any(False)  # wait until all have read the files that the first removes
    if not team.first:
        return
    record = {
        "parameters": parameters,
        **cost_of(log, settings, device),
        "processes": team.size,
        **described(method, data),
        "settings": settings,
        "seed": seed,
        "key": key,
        "provenance": provenance(settings, {"method": file, "data": data / "card.json"}),
    }
    save_weights(out / "weights.safetensors", weights)
    write_json(out / "training.json", record)
    remove_checkpoint(state)  # a later run of this training starts again on purpose
    if kept and until:
        snapshot_path(kept, until).unlink(missing_ok=True)  # the results have it now


def is_trained(method: Method, file: Path) -> bool:
    """Whether there is anything to train: a file may declare no training, and a judge may have nothing to judge."""
    return read_literals(file).get("TRAINED", True) and any(p.requires_grad for p in method.parameters())


def cost_of(log: Mapping[str, Any], settings: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """The cost of a training run, by its log."""
    return {
        "steps": log["step"],
        "images_seen": log["step"] * settings["train"]["batch_size"],
        "flops": (log["flops_per_step"] or 0) * log["step"],
        "seconds": log["seconds"],
        "peak_memory_bytes": peak_memory(device),
        "device": str(device),
        "hardware": hardware(device),
        "curve": log["curve"],
        "validation_curve": log["validation_curve"],
        "gradient_cosines": log["gradient_cosines"],
    }


def run(
    settings: Mapping[str, Any],
    file: Path,
    data: Path,
    *,
    seed: int,
    state: Path,
    out: Path,
    threads: int,
    device: str,
    processes: int = 1,
    **more: Any,
) -> None:
    """`train` with `processes` processes, after waiting for other processes of the same training to end.

    Args:
        settings, file, data, seed, state, out: see `train`.
        threads: CPU threads of all processes together.
        device: `auto`, `cpu` or `cuda`.
        processes: how many to start; started processes, by this function or by torchrun, start no others.
        more: `keep`, `until` and `kept` of `train`.
    """
    shards = settings["train"].get("shards", 1)
    if processes > 1 and not launched():
        Team(processes).share(shards)
        paths = {"method": file, "data": data, "state": state, "out": out}
        launch("mmbench.stages.train", words({**paths, "seed": seed, "device": device, **more}), settings,
               processes, threads)  # fmt: skip
        return
    with joined(device) as team, alone(state, "training") if team.first else nullcontext(False) as waited:
        team.share(shards)
        chosen = choose_device(device, threads)
        if team.any(waited) and finished(out, training_key(settings, seed, file, data)):
            print(f"{out}: the other process has finished this training", flush=True)
            return
        train(settings, file, data, seed=seed, device=team.device or chosen, state=state, out=out, team=team,
              **more)  # fmt: skip


def words(options: Mapping[str, Any]) -> list[str]:
    """The words of a command line with these options; options without a value are left out."""
    lists = {name: v if isinstance(v, list) else [v] for name, v in options.items() if v not in (None, [])}
    return [word for name, values in lists.items() for word in (f"--{name}", *map(str, values))]


def command(
    settings: SettingsFile,
    method: MethodFile,
    data: DataFolder,
    seed: Seed,
    state: StateFolder,
    out: MethodFolder,
    keep: Annotated[list[int] | None, Option(min=1, help="Steps whose averaged weights stay in --state.")] = None,
    until: Annotated[
        int | None, Option(min=1, help="The step to end with.", show_default="the last of the settings")
    ] = None,
    kept: Annotated[Path | None, Option(help="--state of the whole training: weights of --until that it kept.")] = None,
    processes: Processes = 1,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Train one method with one seed, resuming where an earlier run of the same training stopped."""
    run(
        read_settings(settings, "train"),
        method,
        data,
        seed=seed,
        state=state,
        out=out,
        threads=threads,
        device=device,
        processes=processes,
        keep=keep or [],
        until=until,
        kept=kept,
    )


main = stage_main(command, "train")

if __name__ == "__main__":
    run_member(main)
