"""Score one method's predictions with one seed, whoever made them.

Reads predictions.npz, arrays `<case>/<modality>`, and writes metrics.json and items.csv. No checkpoint is needed.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from typer import Option

from mmbench.command import stage_main
from mmbench.config.extractors import named, user_code
from mmbench.errors import UserError, closest, run_command
from mmbench.experiments.experiment import (
    Case,
    Experiment,
    asked,
    check_cases,
    load_experiment,
    read_cases,
    used_modalities,
)
from mmbench.files.atomic import write_text
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, load_arrays, read_headers, write_json
from mmbench.frozen.judges import load_judge
from mmbench.modalities import Modality, kind_of
from mmbench.models.device import choose_device, hardware
from mmbench.runs.provenance import provenance
from mmbench.runs.records import Cost, Predicted, checked, read_card, read_settings
from mmbench.scoring.scores import Scored, Tools, load_scores
from mmbench.stages._options import (
    CacheFolder,
    CasesFolder,
    DataFolder,
    Device,
    JudgeFolder,
    NetworksFolder,
    Seed,
    SettingsFile,
    Threads,
)


def claimed_tasks(
    cases: Sequence[Case],
    names: set[str],
    experiment: Experiment,
    tasks: Sequence[str] | None,
    path: Path,
    answers: Sequence[str] | None = None,
) -> set[str]:
    """The tasks to score: the named ones, or those with any answered case among the arrays `names`.

    Raises:
        UserError: a named task does not exist, or an array belongs to no case of a claimed task, or to a modality that
            is not among those that the method `answers`.
    """
    of_array = {f"{c.name}/{want}": c.task for c in cases for want in asked(experiment, c).want}
    for name in sorted(names):
        if name not in of_array:
            near = closest(name, of_array)
            hint = f"did you mean '{near}'?" if near else f"the arrays asked for are {', '.join(sorted(of_array))}"
            raise UserError(f"{path}: array '{name}' answers no case; {hint}")
        modality = name.rpartition("/")[2]
        if answers is not None and modality not in answers:
            raise UserError(f"{path}: answers '{modality}', which the method does not claim; add it to its ANSWERS")
    answered = {of_array[name] for name in names}
    if tasks is None:
        return answered
    if unknown := sorted(set(tasks) - experiment.tasks.keys()):
        raise UserError(f"--tasks {unknown[0]}: no such task; the experiment's are {', '.join(experiment.tasks)}")
    if extra := sorted(answered - set(tasks)):
        raise UserError(f"{path}: answers task '{extra[0]}', which the method does not claim; add it to its TASKS")
    return set(tasks)


def read_answers(
    path: Path,
    cases: Sequence[Case],
    experiment: Experiment,
    modalities: Mapping[str, Modality],
    tasks: Sequence[str] | None,
    answers: Sequence[str] | None = None,
) -> list[tuple[Case, Arrays]]:
    """The checked answers in predictions.npz to every case of the claimed tasks; cases without any are left out.

    Args:
        tasks: the tasks that must be answered; without them, those that are answered.
        answers: the modalities that the method answers; without them, all outputs of a case.

    Raises:
        UserError: a case is not answered, or an answer does not fit its case.
    """
    headers = read_headers(path)
    claimed = claimed_tasks(cases, set(headers), experiment, tasks, path, answers)
    wanted: list[tuple[Case, tuple[str, ...]]] = []
    for case in (c for c in cases if c.task in claimed):
        wanted.append((case, asked(experiment, case, answers).want))
        for want in wanted[-1][1]:
            name = f"{case.name}/{want}"
            if name not in headers:
                raise UserError(f"{path}: array '{name}' is missing; answer every case of the task '{case.task}'")
            kind_of(modalities[want]).check_header(f"{path}: array '{name}'", headers[name], case.count)
    arrays = load_arrays(path)  # the size of each has been checked
    answered = []
    for case, wants in wanted:
        answer = {}
        for want in wants:
            name = f"{case.name}/{want}"
            answer[want] = kind_of(modalities[want]).check_answer(f"{path}: array '{name}'", arrays[name], case.count)
        if answer:
            answered.append((case, answer))
    if not answered:
        raise UserError(f"{path}: holds no answer; save at least one task's cases as arrays `<case>/<modality>`")
    return answered


def read_cost(predictions: Path, training: Path | None) -> dict[str, Any]:
    """The cost of training and prediction, as far as it is recorded; None where it is not.

    Raises:
        UserError: a record has another form; an external method may have written it.
    """
    remedy = "correct or delete it (docs/results.md describes its content)"
    trained = checked(training, Cost, remedy) if training and training.is_file() else {}
    record = predictions / "predictions.json"
    predicted = checked(record, Predicted, remedy) if record.is_file() else {}
    cases = predicted.get("cases", {})
    seconds = [entry["seconds"] for entry in cases.values() if entry.get("seconds") is not None]
    peaks = [x["peak_memory_bytes"] for x in (trained, predicted) if x.get("peak_memory_bytes") is not None]
    return {
        "parameters": trained.get("parameters"),
        "images_seen": trained.get("images_seen"),
        "training_flops": trained.get("flops"),
        "nfe": {name: entry.get("nfe") for name, entry in cases.items()},
        "train_seconds": trained.get("seconds"),
        "predict_seconds": sum(seconds) if seconds else None,
        "peak_memory_bytes": max(peaks, default=None),
        "device": predicted.get("device", trained.get("device")),
    }


def write_items(path: Path, scored: Scored) -> None:
    """Write one row per case, item and metric."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["case", "item", "metric", "value"])
    rows.writerows((case, item, metric, f"{value:.9g}") for case, item, metric, value in scored.items)
    write_text(path, table.getvalue())


def evaluate(
    settings: Mapping[str, Any],
    predictions: Path,
    *,
    method: str,
    seed: int,
    cases: Path,
    reference: Path,
    weights: Path,
    data: Path,
    device: torch.device,
    out: Path,
    title: str | None = None,
    tasks: Sequence[str] | None = None,
    answers: Sequence[str] | None = None,
    training: Path | None = None,
    judge: Path | None = None,
    cache: Path | None = None,
) -> Scored:
    """Write `out`/items.csv and, last, metrics.json; returns the scores.

    Args:
        predictions: predictions.npz, or its folder.
        method: name in the results.
        seed: seed of the training run behind these predictions.
        cases: folder that the stage cases wrote.
        reference: reference.npz of the stage reference.
        weights: folder that the stage lpips wrote.
        data: folder that the stage data or embed wrote.
        title: name for readers; the method's name unless given.
        tasks: the tasks that must be answered; without them, those that are answered.
        answers: the modalities that the method answers; without them, all outputs of a case.
        training: training.json; the one in the folder of predictions.npz unless given.
        judge: folder of the experiment's trained judge, if it has one.
        cache: folder for outputs of networks, which are read instead of computed again; None for no cache.

    Raises:
        UserError: a file is missing or broken, or an answer does not fit its case.
    """
    begin = time.monotonic()
    experiment, scores = load_experiment(settings["experiment"]), load_scores(settings["experiment"])
    path = predictions if predictions.is_file() else predictions / "predictions.npz"
    card, listed = read_card(data), read_cases(cases)
    modalities = used_modalities(experiment, card, settings)
    check_cases(listed, experiment, modalities, cases)
    answered = read_answers(path, listed, experiment, modalities, tasks or None, answers or None)
    cost = read_cost(path.parent, training or path.parent / "training.json")
    trained = load_judge(judge, settings["experiment"], modalities, device) if judge else None
    looked = settings.get("evaluate", {})
    tools = Tools(weights, reference, device, trained, card, data, cache, named(looked))
    scored = scores.score(answered, tools)
    inputs = {"predictions": path, "cases": cases / "cases.npz", "weights": weights / "weights.json"}
    inputs |= user_code(looked, weights)
    if judge:
        inputs["judge"] = judge / "weights.safetensors"
    record = {
        "schema": 1,
        "experiment": settings["experiment"],
        "method": method,
        "title": title or method,
        "seed": seed,
        "metrics": scored.metrics,
        "cost": cost,
        "evaluate_seconds": time.monotonic() - begin,
        "hardware": hardware(device),
        "provenance": provenance(settings, inputs),
    }
    write_items(out / "items.csv", scored)
    write_json(out / "metrics.json", record)
    return scored


def command(
    settings: SettingsFile,
    weights: NetworksFolder,
    data: DataFolder,
    cases: CasesFolder,
    reference: Annotated[Path, Option(help="reference.npz of the stage reference.")],
    predictions: Annotated[Path, Option(help="predictions.npz, or its folder.")],
    method: Annotated[str, Option(help="Name in the results.")],
    seed: Seed,
    out: Annotated[Path, Option(help="Folder for metrics.json and items.csv.")],
    title: Annotated[str | None, Option(help="Name for a reader.", show_default="the method's")] = None,
    tasks: Annotated[
        list[str] | None, Option(help="Tasks that must be answered.", show_default="those answered")
    ] = None,
    answers: Annotated[
        list[str] | None, Option(help="Modalities that are answered.", show_default="all that a case wants")
    ] = None,
    training: Annotated[
        Path | None, Option(help="training.json.", show_default="the one beside predictions.npz")
    ] = None,
    judge: JudgeFolder = None,
    cache: CacheFolder = None,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Score one method's predictions with one seed, whoever made them."""
    values = read_settings(settings, "evaluate")
    with alone(out, "scoring"):
        scored = evaluate(
            values,
            predictions,
            method=method,
            seed=seed,
            cases=cases,
            reference=reference,
            weights=weights,
            data=data,
            device=choose_device(device, threads),
            out=out,
            title=title,
            tasks=tasks,
            answers=answers,
            training=training,
            judge=judge,
            cache=cache,
        )
    for row in scored.metrics:
        print(f"{method} seed {seed}: {row['case']} {row['name']} {row['value']:.4f}")


main = stage_main(command, "evaluate")

if __name__ == "__main__":
    run_command(main)
