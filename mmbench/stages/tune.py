"""Choose the sampling of a trained method on the validation split, before it is evaluated.

The tasks of an experiment state the candidates of sampling and the metric that decides, the same for every method
(`mmbench.config.choice`). In addition, a method's file may name candidates for its own settings (`TUNE`) and how they
are compared (`TUNE_BY`, a task and a metric); they are chosen first, with the first candidate of sampling. Candidates
answer the cases of a task, made from validation items instead of test items, with the same noise. The stage
`mmbench.stages.predict` uses the best one; the scores of all candidates are recorded.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmbench.command import stage_main
from mmbench.config.choice import Drawing, Trials, first_drawing, plan_trials
from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.config.extractors import named
from mmbench.data import read_prepared
from mmbench.errors import UserError, run_command
from mmbench.experiments.experiment import Case, asked, load_experiment, used_modalities, whole_items
from mmbench.experiments.methods import build_method
from mmbench.files.locks import alone
from mmbench.files.store import write_json
from mmbench.files.weights import load_weights
from mmbench.frozen.features import Reference, load_extractor, vectors
from mmbench.frozen.judges import load_judge
from mmbench.inference.answer import answer_case, unused_modalities
from mmbench.method import Method, Sampling
from mmbench.models.device import choose_device
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_card, read_settings
from mmbench.scoring.scores import Tools, load_scores
from mmbench.stages._options import (
    DataFolder,
    Device,
    JudgeFolder,
    MethodFile,
    MethodFolder,
    NetworksFolder,
    Seed,
    SettingsFile,
    Threads,
    WeightsFile,
)

SPLIT = "validation"
#: The recorded entries of each metric of a candidate.
Metrics = list[dict[str, Any]]


def candidates(tune: Mapping[str, Sequence[float]], fixed: Mapping[str, Any]) -> list[dict[str, float]]:
    """Every combination of the candidates of the settings that are not `fixed` in the configuration."""
    free = {name: values for name, values in tune.items() if name not in fixed}
    return [dict(zip(free, values, strict=True)) for values in itertools.product(*free.values())]


def value_of(metrics: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, bool]:
    """The mean over cases of the metric called `metric`, up to its extractor in brackets, and whether higher is better.

    Raises:
        UserError: the task has no metric of this name.
    """
    rows = [row for row in metrics if row["name"].partition("[")[0] == metric]
    if not rows:
        names = sorted({row["name"].partition("[")[0] for row in metrics})
        raise UserError(f"choice by '{metric}': the task has no such metric; it has {', '.join(names)}")
    return math.fsum(row["value"] for row in rows) / len(rows), bool(rows[0]["higher_is_better"])


class Trial:
    """Evaluates one trained method on the validation split, with any settings and any sampling.

    Args:
        settings: the settings of predictions, those of scores, and those of the choice.
        weights: safetensors that the stage train wrote.
        data: folder that the stage data or embed wrote.
        lpips: folder that the stage lpips wrote.
        judge: folder of the experiment's trained judge, if it has one.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        file: Path,
        *,
        weights: Path,
        data: Path,
        lpips: Path,
        judge: Path | None,
        device: torch.device,
        label: str,
    ) -> None:
        self.settings, self.file, self.weights, self.device, self.label = settings, file, weights, device, label
        self.experiment = load_experiment(settings["experiment"])
        self.scores = load_scores(settings["experiment"])
        self.literals = read_literals(file)
        self.card = read_card(data)
        self.modalities = used_modalities(self.experiment, self.card, settings)
        where = f"{data / SPLIT}.npz: {settings['experiment']}"
        self.arrays = whole_items(read_prepared(data, SPLIT), self.modalities, where)
        trained = load_judge(judge, settings["experiment"], self.modalities, device) if judge else None
        first = named(settings["evaluate"])[:1]  # the choice does not depend on further extractors
        extractor = load_extractor(lpips, device, *first)
        features = {extractor.name: extractor(self.arrays["image"])}
        real = Reference(features, {"split": SPLIT}, vectors(self.arrays))
        self.tools = Tools(lpips, real, device, trained, self.card, data, features=first)

    def cases(self, items: int | None = None) -> list[Case]:
        """The cases that the method answers, over `items` validation items; without it, as many as in the test cases,
        as far as there are.
        """
        evaluate, available = self.settings["evaluate"], len(self.arrays["image"])
        most = {name: min(items or evaluate[name], available) for name in ("reconstructions", "samples")}
        settings = {**self.settings, "evaluate": {**evaluate, **most}}
        cases = self.experiment.cases(self.arrays, self.modalities, settings)
        tasks = claimed_tasks(self.literals["TASKS"], self.experiment.tasks)
        wanted = [case for case in cases if asked(self.experiment, case, self.literals.get("ANSWERS")).want]
        return [
            c for c in wanted if c.task in tasks and not unused_modalities(self.experiment.tasks[c.task], self.settings)
        ]

    def method(self, chosen: Mapping[str, float]) -> Method:
        """The trained method with the settings `chosen` on top of those of the configuration."""
        settings = {**self.settings["method_settings"], **chosen}
        method, _ = build_method({**self.settings, "method_settings": settings}, self.file, self.card)
        load_weights(self.weights, method)
        return method.to(self.device).eval()

    def ask(self, method: Method, cases: Sequence[Case], drawing: Drawing) -> Metrics:
        """The metrics of a method's answers to some cases."""
        answered = []
        for case in cases:
            task = asked(self.experiment, case, self.literals.get("ANSWERS"))
            arrays = answer_case(
                method,
                task,
                case,
                sampling=Sampling(**drawing),
                batch_size=self.settings["sample"]["batch_size"],
                device=self.device,
            )
            answered.append((case, {want: arrays[f"{case.name}/{want}"] for want in task.want}))
        return self.scores.score(answered, self.tools).metrics

    def compare(
        self, options: Sequence[Mapping[str, Any]], ask: Callable[[Mapping[str, Any]], Metrics], by: str
    ) -> dict[str, Any]:
        """The best option by a metric, the first of equals, and all options that were tried."""
        tried: list[dict[str, Any]] = []
        for option in options:
            metrics = ask(option)
            value, higher = value_of(metrics, by)
            tried.append({"settings": dict(option), "value": value, "metrics": metrics})
            words = ", ".join(f"{name} {setting}" for name, setting in option.items() if setting is not None)
            print(f"{self.label}: {words}: {by} {value:.4f}", flush=True)
        best = sorted(tried, key=lambda entry: float(entry["value"]), reverse=higher)[0]
        return {"chosen": best["settings"], "tried": tried}

    def tuned_settings(self) -> dict[str, Any]:
        """The best of the candidates for the method's own settings, if its file has any."""
        options = candidates(self.literals.get("TUNE", {}), self.settings["method_settings"])
        if options == [{}]:
            return {"chosen": {}, "tried": []}
        task, metric = self.literals["TUNE_BY"]
        cases = [case for case in self.cases() if case.task == task]

        def ask(option: Mapping[str, float]) -> Metrics:
            method = self.method(option)
            return self.ask(
                method, cases, first_drawing(self.settings, task, method.heeds(self.experiment.tasks[task]))
            )

        by = {"task": task, "metric": metric, "split": SPLIT, "n": sum(case.count for case in cases)}
        return {**self.compare(options, ask, metric), "by": by}

    def drawing(self, method: Method, trials: Trials) -> dict[str, Any]:
        """The best sampling for a task, and for the tasks that share its choice."""
        cases = [case for case in self.cases(trials.items) if case.task == trials.task]
        chosen = self.compare(trials.drawings, lambda option: self.ask(method, cases, option), trials.by)
        by = {"metric": trials.by, "split": SPLIT, "n": sum(case.count for case in cases)}
        return {"tasks": [trials.task, *trials.also], "by": by, **chosen}

    def drawings(self, method: Method) -> list[dict[str, Any]]:
        """The best sampling for every task that the method samples, if its training run includes the trials."""
        cases = Counter(case.task for case in self.cases())
        heeds = {task: method.heeds(self.experiment.tasks[task]) for task in cases}
        planned = plan_trials(self.settings, cases, heeds, len(self.arrays["image"]))
        return [self.drawing(method, trials) for trials in planned]


def tune(trial: Trial) -> dict[str, Any]:
    """Try every candidate that the training run includes; returns the content of tuned.json without provenance."""
    choice = trial.tuned_settings()
    return {**choice, "drawings": trial.drawings(trial.method(choice["chosen"]))}


def command(
    settings: SettingsFile,
    method: MethodFile,
    weights: WeightsFile,
    lpips: NetworksFolder,
    data: DataFolder,
    seed: Seed,
    out: MethodFolder,
    judge: JudgeFolder = None,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Choose the sampling of a trained method on the validation split, before it is evaluated."""
    values = read_settings(settings, "tune")
    with alone(out, "choice"), torch.no_grad():
        trial = Trial(
            values,
            method,
            weights=weights,
            data=data,
            lpips=lpips,
            judge=judge,
            device=choose_device(device, threads),
            label=f"{values['method']} seed {seed}",
        )
        made = provenance(values, {"method": method, "weights": weights})
        write_json(out / "tuned.json", {**tune(trial), "provenance": made})


main = stage_main(command, "tune")

if __name__ == "__main__":
    run_command(main)
