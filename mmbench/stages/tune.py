"""Command line: choose a trained method's settings on the validation split, before it is asked anything.

A method's file names the candidates (`TUNE`) and what they are judged by (`TUNE_BY`, a task and a metric). Every
combination answers that task's cases, made of validation items in place of test items; the best is what
`mmbench.stages.predict` uses, and the others' scores are kept beside it.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmbench.config.discovery import read_literals
from mmbench.data import read_prepared
from mmbench.errors import Parser, UserError, run_command
from mmbench.experiments.experiment import Case, Experiment, asked, load_experiment, used_modalities
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, write_json
from mmbench.files.weights import load_weights
from mmbench.frozen.features import Reference, load_extractor, vectors
from mmbench.frozen.judges import load_judge
from mmbench.method import Sampling
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_card, read_settings
from mmbench.scoring.scores import Tools, load_scores
from mmbench.stages.predict import answer_case
from mmbench.stages.runtime import add_run_arguments, build_method, choose_device

SPLIT = "validation"


def candidates(tune: Mapping[str, Sequence[float]], fixed: Mapping[str, Any]) -> list[dict[str, float]]:
    """Every combination of the candidates of the settings that are not `fixed` in the configuration."""
    free = {name: values for name, values in tune.items() if name not in fixed}
    return [dict(zip(free, values, strict=True)) for values in itertools.product(*free.values())]


def validation_cases(experiment: Experiment, settings: Mapping[str, Any], arrays: Arrays, task: str) -> list[Case]:
    """The cases of a task over validation items, as many as there are at most."""
    count, evaluate = len(arrays["image"]), settings["evaluate"]
    fewer = {name: min(evaluate[name], count) for name in ("reconstructions", "samples")}
    cases = experiment.cases(arrays, {**settings, "evaluate": {**evaluate, **fewer}})
    return [case for case in cases if case.task == task]


def value_of(metrics: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, bool]:
    """The mean over cases of the metric called `metric`, up to its extractor in brackets, and whether higher is better.

    Raises:
        UserError: the task has no metric of this name.
    """
    rows = [row for row in metrics if row["name"].partition("[")[0] == metric]
    if not rows:
        names = sorted({row["name"].partition("[")[0] for row in metrics})
        raise UserError(f"TUNE_BY: the task has no metric '{metric}'; it has {', '.join(names)}")
    return math.fsum(row["value"] for row in rows) / len(rows), bool(rows[0]["higher_is_better"])


class Trial:
    """Asks and scores one method on the validation split, with whatever settings.

    Args:
        args: the command line.
        settings: the settings of predictions, and those of scores.
    """

    def __init__(self, args: argparse.Namespace, settings: Mapping[str, Any]) -> None:
        self.args, self.settings = args, settings
        self.device = choose_device(args.device, args.threads)
        self.experiment = load_experiment(settings["experiment"])
        self.scores = load_scores(settings["experiment"])
        literals = read_literals(args.method)
        (self.task, self.metric), self.answers = literals["TUNE_BY"], literals.get("ANSWERS")
        arrays = read_prepared(args.data, SPLIT)
        card = read_card(args.data)
        modalities = used_modalities(self.experiment, card, settings)
        self.cases = validation_cases(self.experiment, {**settings, "modalities": list(modalities)}, arrays, self.task)
        judge = load_judge(args.judge, settings["experiment"], modalities, self.device) if args.judge else None
        features = load_extractor(args.lpips, self.device)(arrays["image"])
        real = Reference(features, {"split": SPLIT}, vectors(arrays))
        self.tools = Tools(args.lpips, real, self.device, judge, card, args.data)

    def run(self, chosen: Mapping[str, float]) -> list[dict[str, Any]]:
        """The metrics of the method with the settings `chosen` on top of its own."""
        own = {**self.settings["method_settings"], **chosen}
        method, _ = build_method({**self.settings, "method_settings": own}, self.args.method, self.args.data)
        load_weights(self.args.weights, method)
        method.to(self.device).eval()
        sample = self.settings["sample"]
        answered = []
        for case in self.cases:
            task = asked(self.experiment, case, self.answers)
            arrays = answer_case(
                method,
                task,
                case,
                sampling=Sampling(sample["sampler"], sample["nfe"]),
                batch_size=sample["batch_size"],
                device=self.device,
            )
            answered.append((case, {want: arrays[f"{case.name}/{want}"] for want in task.want}))
        return self.scores.score(answered, self.tools).metrics


def tune(args: argparse.Namespace) -> dict[str, Any]:
    """Try every combination, write tuned.json, and return what it holds."""
    settings = read_settings(args.settings, "tune")
    trial = Trial(args, settings)
    tried: list[dict[str, Any]] = []
    for chosen in candidates(read_literals(args.method)["TUNE"], settings["method_settings"]):
        metrics = trial.run(chosen)
        value, higher = value_of(metrics, trial.metric)
        tried.append({"settings": chosen, "value": value, "metrics": metrics})
        shown = ", ".join(f"{name} {number:g}" for name, number in chosen.items())
        print(f"{settings['method']} seed {args.seed}: {shown}: {trial.metric} {value:.4f}", flush=True)
    best = sorted(tried, key=lambda entry: float(entry["value"]), reverse=higher)[0]
    record = {
        "chosen": best["settings"],
        "by": {"task": trial.task, "metric": trial.metric, "split": SPLIT, "n": sum(c.count for c in trial.cases)},
        "tried": tried,
        "provenance": provenance(settings, {"method": args.method, "weights": args.weights}),
    }
    write_json(args.out / "tuned.json", record)
    return record


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.tune --settings S.json --method FILE --weights W --lpips DIR --data DIR ...`."""
    parser = Parser(prog="python -m mmbench.stages.tune", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--weights", type=Path, required=True, help="the weights.safetensors that training wrote")
    parser.add_argument("--lpips", type=Path, required=True, help="folder that mmbench.frozen.lpips wrote")
    parser.add_argument("--judge", type=Path, help="folder of the experiment's trained judge, if it has one")
    args = parser.parse_args(argv)
    with alone(args.out, "choice"), torch.no_grad():
        tune(args)


if __name__ == "__main__":
    run_command(main)
