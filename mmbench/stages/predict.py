"""Let one trained method answer every case of its experiment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from typer import Option

from mmbench.command import stage_main
from mmbench.config.choice import FIELDS, Drawing, first_drawing
from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.errors import run_command
from mmbench.experiments.experiment import Case, Experiment, asked, check_cases, read_cases
from mmbench.experiments.methods import build_method
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_file, write_json
from mmbench.files.weights import load_weights
from mmbench.inference.answer import Evaluations, answer_case, unused_modalities
from mmbench.method import Method, Sampling, Task
from mmbench.modalities.image import to_uint8
from mmbench.models.device import choose_device, hardware, peak_memory, place
from mmbench.models.diffusion import sampler
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_card, read_settings, read_tuned
from mmbench.stages._options import (
    CasesFolder,
    DataFolder,
    Device,
    MethodFile,
    MethodFolder,
    Seed,
    SettingsFile,
    Threads,
    WeightsFile,
)

FRAMES = 8  # stored estimates of an image on its trajectory from noise


def trajectory(case: str, trace: sampler.Trace, answers: Arrays) -> Arrays:
    """The trajectory of a case's first image, as trajectory.npz stores it.

    Args:
        answers: the answers to the case, as stored.

    Returns:
        `<case>/image` uint8 (frames, 3, h, w): the noise, then up to `FRAMES` estimates of the image, the last of which
        is the answer; `<case>/step` int64 (frames,): the step of each. Empty if no sampler made the image, or if its
        last estimate is not the answer, because the sampler did not sample the image.
    """
    answer = answers.get(f"{case}/image")
    if answer is None or not trace or trace[0][1].numel() < answer[0].size:
        return {}
    last = len(trace) - 1
    chosen = [0, *sorted({round(1 + (last - 1) * i / (FRAMES - 1)) for i in range(FRAMES)})]
    # an image that is sampled together with other modalities is the first of them
    frames = [trace[i][1].flatten()[: answer[0].size].reshape(answer[0].shape) for i in chosen]
    images = to_uint8(torch.stack(frames))
    if not np.array_equal(images[-1], answer[0]):
        return {}
    return {f"{case}/image": images, f"{case}/step": np.array([trace[i][0] for i in chosen], np.int64)}


def questions(
    cases: Sequence[Case], experiment: Experiment, file: Path, settings: Mapping[str, Any]
) -> Iterator[tuple[Case, Task]]:
    """The cases that a method's file claims to answer, each with its task."""
    literals = read_literals(file)
    tasks = claimed_tasks(literals["TASKS"], experiment.tasks)
    for case in cases:
        task = asked(experiment, case, literals.get("ANSWERS", settings.get("modalities")))
        if case.task in tasks and task.want and not unused_modalities(task, settings):
            yield case, task


@dataclass(frozen=True)
class Answered:
    """The answers of a method.

    Attributes:
        predictions: arrays `<case>/<modality>`.
        trajectory: the trajectories of generated images, see `trajectory`.
        cost: by case, the evaluations of the network per item, the total seconds, and the sampling.
    """

    predictions: Arrays
    trajectory: Arrays
    cost: dict[str, dict[str, Any]]


def answer_all(
    method: Method,
    asked_of: Sequence[tuple[Case, Task]],
    drawings: Mapping[str, Drawing],
    batch_size: int,
    device: torch.device,
    label: str,
) -> Answered:
    """Answer every case with the sampling in `drawings` for its task, and print the time of each after `label`."""
    answered = Answered({}, {}, {})
    for case, task in asked_of:
        drawing, heeds = drawings[task.name], method.heeds(task)
        evaluations, begin = Evaluations(getattr(method, "backbone", None)), time.monotonic()
        trace: sampler.Trace = []
        answers = answer_case(
            method,
            task,
            case,
            sampling=Sampling(**drawing),
            batch_size=batch_size,
            device=device,
            trace=None if task.given else trace,
        )
        seconds = time.monotonic() - begin
        answered.predictions.update(answers)
        answered.trajectory.update(trajectory(case.name, trace, answers))
        answered.cost[case.name] = {"nfe": evaluations.items / case.count, "seconds": seconds}
        if heeds:
            answered.cost[case.name]["drawing"] = {name: drawing[name] for name in FIELDS if name in heeds}
        print(f"{label}: {case.name}, {case.count} items in {seconds:.1f} s", flush=True)
    return answered


def predict(
    settings: Mapping[str, Any],
    file: Path,
    *,
    weights: Path,
    data: Path,
    cases: Path,
    seed: int,
    device: torch.device,
    out: Path,
    tuned: Path | None = None,
) -> None:
    """Write `out`/predictions.npz, trajectory.npz and, last, predictions.json.

    Args:
        weights: safetensors that the stage train wrote.
        data: folder that the stage data or embed wrote.
        cases: folder that the stage cases wrote.
        seed: seed of the training run, which is printed.
        tuned: the choices of the stage tune: settings that override the others, and the sampling.

    Raises:
        UserError: a file is missing or broken, or does not belong to these inputs.
    """
    chosen, by_task = read_tuned(tuned) if tuned else ({}, {})
    settings = {**settings, "method_settings": {**settings["method_settings"], **chosen}}
    card, listed = read_card(data), read_cases(cases)
    method, experiment = build_method(settings, file, card)
    load_weights(weights, method)
    check_cases(listed, experiment, experiment.modalities(card), cases)
    place(method, device).eval()
    asked_of = list(questions(listed, experiment, file, settings))
    tasks = {task.name: task for _, task in asked_of}
    drawings = {n: by_task.get(n) or first_drawing(settings, n, method.heeds(task)) for n, task in tasks.items()}
    batch_size, label = settings["sample"]["batch_size"], f"{settings['method']} seed {seed}"
    answered = answer_all(method, asked_of, drawings, batch_size, device, label)
    save_arrays(out / "predictions.npz", answered.predictions)
    save_arrays(out / "trajectory.npz", answered.trajectory)
    inputs = {"method": file, "weights": weights, "cases": cases / "cases.json"}
    record = {
        "cases": answered.cost,
        "tuned": chosen,
        "peak_memory_bytes": peak_memory(device),
        "device": str(device),
        "hardware": hardware(device),
        "predictions_sha256": sha256_file(out / "predictions.npz"),
        "provenance": provenance(settings, inputs),
    }
    write_json(out / "predictions.json", record)


def command(
    settings: SettingsFile,
    method: MethodFile,
    weights: WeightsFile,
    data: DataFolder,
    cases: CasesFolder,
    seed: Seed,
    out: MethodFolder,
    tuned: Annotated[Path | None, Option(help="tuned.json of the stage tune.")] = None,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Let one trained method answer every case of its experiment."""
    with alone(out, "prediction"):
        predict(
            read_settings(settings, "predict"),
            method,
            weights=weights,
            data=data,
            cases=cases,
            seed=seed,
            device=choose_device(device, threads),
            out=out,
            tuned=tuned,
        )


main = stage_main(command, "predict")

if __name__ == "__main__":
    run_command(main)
