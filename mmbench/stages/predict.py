"""Command line: let one trained method answer every case of its experiment."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.config.choice import FIELDS, first_drawing
from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.errors import Parser, run_command
from mmbench.experiments.experiment import Case, asked, check_cases, read_cases, to_batch, to_stored, to_uint8
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_file, write_json
from mmbench.files.weights import load_weights
from mmbench.method import Method, Sampling, Task
from mmbench.models.device import place
from mmbench.models.diffusion import sampler
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_card, read_settings, read_tuned
from mmbench.stages.runtime import add_run_arguments, build_method, choose_device, hardware, peak_memory

NOISE_SEED = 20_240_517  # noise of the n-th batch of a case is the same for every method and training seed
FRAMES = 8  # estimates of a picture on its way from noise that are kept


class Evaluations:
    """Counts the evaluations of a network, in items."""

    def __init__(self, network: torch.nn.Module | None) -> None:
        self.items = 0
        if network is not None:
            network.register_forward_pre_hook(self._count)

    def _count(self, _network: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        self.items += len(inputs[0])


def untold(task: Task, settings: Mapping[str, Any]) -> set[str]:
    """What a task gives that is none of the modalities which `settings` say are the only ones; none if they do not."""
    return set(task.given) - set(settings.get("modalities", task.given))


@torch.no_grad()
def answer_case(
    method: Method,
    task: Task,
    case: Case,
    *,
    sampling: Sampling,
    batch_size: int,
    device: torch.device,
    noise_seed: int = NOISE_SEED,
    trace: sampler.Trace | None = None,
) -> Arrays:
    """Answer one case in batches; the noise of a batch depends on its first item only, not on case, method or seed.

    How the case's first item came about, if a sampler made it, is put into `trace`.
    """
    parts: list[Arrays] = []
    for start in range(0, case.count, batch_size):
        end = min(start + batch_size, case.count)
        generator = torch.Generator().manual_seed(noise_seed + start)
        given = to_batch({name: value[start:end] for name, value in case.given.items()}, device)
        with sampler.watch(trace) if trace is not None and start == 0 else nullcontext():
            answer = method.predict(task, given, end - start, sampling, generator)
        parts.append(to_stored(answer, method.spec))
    return {f"{case.name}/{name}": np.concatenate([part[name] for part in parts]) for name in task.want}


def trajectory(case: str, trace: sampler.Trace, answers: Arrays) -> Arrays:
    """How a case's first image came about, as trajectory.npz has it.

    Args:
        case: its name.
        trace: what the sampler went through.
        answers: of the case, as stored.

    Returns:
        `<case>/image` uint8 (frames, 3, h, w): the noise, then up to `FRAMES` estimates of the image, the last of which
        is the answer; `<case>/step` int64 (frames,): the step that each was made at. Nothing where no sampler made the
        image, or where its last estimate is not the answer, as the image is not what it sampled.
    """
    answer = answers.get(f"{case}/image")
    if answer is None or not trace or trace[0][1].numel() < answer[0].size:
        return {}
    last = len(trace) - 1
    chosen = [0, *sorted({round(1 + (last - 1) * i / (FRAMES - 1)) for i in range(FRAMES)})]
    # an image that is sampled with other modalities comes before them
    frames = [trace[i][1].flatten()[: answer[0].size].reshape(answer[0].shape) for i in chosen]
    images = to_uint8(torch.stack(frames))
    if not np.array_equal(images[-1], answer[0]):
        return {}
    return {f"{case}/image": images, f"{case}/step": np.array([trace[i][0] for i in chosen], np.int64)}


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.predict --settings S.json --method FILE --weights W --cases DIR --seed N --out DIR`."""
    parser = Parser(prog="python -m mmbench.stages.predict", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--weights", type=Path, required=True, help="the weights.safetensors that training wrote")
    parser.add_argument("--cases", type=Path, required=True, help="folder that mmbench.stages.cases wrote")
    parser.add_argument("--tuned", type=Path, help="tuned.json of the stage tune: settings on top of the others")
    args = parser.parse_args(argv)
    with alone(args.out, "prediction"):
        predict(args)


def predict(args: argparse.Namespace) -> None:
    """Answer the cases that the command line's `args` name, and write the two files."""
    settings = read_settings(args.settings, "predict")
    device = choose_device(args.device, args.threads)
    tuned, drawn_by = read_tuned(args.tuned) if args.tuned else ({}, {})
    settings["method_settings"] |= tuned
    method, experiment = build_method(settings, args.method, args.data)
    load_weights(args.weights, method)
    place(method, device).eval()
    literals = read_literals(args.method)
    tasks = claimed_tasks(literals["TASKS"], experiment.TASKS)
    arrays: Arrays = {}
    frames: Arrays = {}
    report: dict[str, dict[str, Any]] = {}
    cases = read_cases(args.cases)
    check_cases(cases, experiment, experiment.modalities(read_card(args.data)), args.cases)
    for case in cases:
        task = asked(experiment, case, literals.get("ANSWERS", settings.get("modalities")))
        if case.task not in tasks or not task.want or untold(task, settings):
            continue
        drawing = drawn_by.get(task.name) or first_drawing(settings, task.name, method.heeds(task))
        evaluations, begin = Evaluations(getattr(method, "backbone", None)), time.monotonic()
        trace: sampler.Trace = []
        answers = answer_case(
            method,
            task,
            case,
            sampling=Sampling(**drawing),
            batch_size=settings["sample"]["batch_size"],
            device=device,
            trace=None if task.given else trace,
        )
        seconds = time.monotonic() - begin
        arrays |= answers
        frames |= trajectory(case.name, trace, answers)
        report[case.name] = {"nfe": evaluations.items / case.count, "seconds": seconds}
        if heeds := method.heeds(task):
            report[case.name]["drawing"] = {name: drawing[name] for name in FIELDS if name in heeds}
        print(f"{settings['method']} seed {args.seed}: {case.name}, {case.count} items in {seconds:.1f} s", flush=True)
    save_arrays(args.out / "predictions.npz", arrays)
    save_arrays(args.out / "trajectory.npz", frames)
    inputs = {"method": args.method, "weights": args.weights, "cases": args.cases / "cases.json"}
    record = {
        "cases": report,
        "tuned": tuned,
        "peak_memory_bytes": peak_memory(device),
        "device": str(device),
        "hardware": hardware(device),
        "predictions_sha256": sha256_file(args.out / "predictions.npz"),
        "provenance": provenance(settings, inputs),
    }
    write_json(args.out / "predictions.json", record)


if __name__ == "__main__":
    run_command(main)
