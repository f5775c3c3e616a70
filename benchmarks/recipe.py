"""Which recipe learns most in the same CPU seconds: successive halving on the validation split, one change at a time.

Every recipe trains the same method from scratch for so many CPU seconds, with a schedule that ends then, and draws; the
better half by the kernel distance to the validation images, joint with their labels where these are given
(docs/concepts.md says why not by FD), goes on to the next, longer budget, and with it what they are changes of.
`--recipes shared` are changes of the backbone and the training, which all methods have; `--recipes own` those of
MT-Diffusion, beside single-task methods of the same network. Prints a table; `--out` writes it with the machine as
JSON, after every training. docs/ablation.md has what came of it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from measure import machine
from tables import table, write_record
from torch import Tensor, nn

from mmbench.config.configuration import merge
from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.config.yaml_files import read_yaml
from mmbench.data import DataSettings, card, load
from mmbench.errors import UserError, run_command
from mmbench.experiments.experiment import Case, load_experiment, used_modalities
from mmbench.files.store import Arrays
from mmbench.frozen.features import EXTRACTOR, Extractor, load_extractor
from mmbench.inference.answer import answer_case
from mmbench.method import Method, Sampling, load_method
from mmbench.models.device import keep_freed_memory
from mmbench.models.diffusion.single import DiffusionMethod
from mmbench.models.nets.unet import PixelHead, UNet
from mmbench.runs.provenance import provenance
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.joint import kernel_joint_distance
from mmbench.scoring.metrics.kernel import squared_mmd
from mmbench.training.loop import Training

ROOT, CPU = Path(__file__).parents[1], torch.device("cpu")
NETWORK = {"width": 24, "channel_mult": [1, 2, 4], "layers": 1, "patch": 2, "attention": False}
TRAIN = {"batch_size": 32, "learning_rate": 1e-3, "warmup": 0.05, "ema": 0.998, "precision": "fp32", "flip": True}
#: Changes of the profiles' usual settings, by name; `warmup` is a share of the steps.
SHARED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "rate 3e-3": {"train": {"learning_rate": 3e-3}},
    "rate 3e-4": {"train": {"learning_rate": 3e-4}},
    "rate 6e-3": {"train": {"learning_rate": 6e-3}},
    "batches of 16": {"train": {"batch_size": 16}},
    "batches of 64, rate 3e-3": {"train": {"batch_size": 64, "learning_rate": 3e-3}},
    "warm-up of a fifth": {"train": {"warmup": 0.2}},
    "average of 0.99": {"train": {"ema": 0.99}},
    "average of 0.9995": {"train": {"ema": 0.9995}},
    "weight up to 3": {"method": {"max_weight": 3.0}},
    "weight up to 30": {"method": {"max_weight": 30.0}},
    "logit-normal times": {"trial": "times"},
    "rate 3e-3, logit-normal times": {"trial": "times", "train": {"learning_rate": 3e-3}},
    "linear path to the head": {"trial": "path"},
    "v predicted": {"method": {"prediction": "v"}},
    "linear schedule": {"method": {"schedule": "linear"}},
    "attention inside": {"network": {"attention": True}},
    "patch 4, width 64": {"network": {"patch": 4, "width": 64, "channel_mult": [1, 2]}},
    "patch 4, width 48": {"network": {"patch": 4, "width": 48}},
    "patch 1, width 16": {"network": {"patch": 1, "width": 16}},
    "batches of 8": {"train": {"batch_size": 8}},
    "batches of 16, attention inside": {"train": {"batch_size": 16}, "network": {"attention": True}},
    "batches of 16, rate 2e-3": {"train": {"batch_size": 16, "learning_rate": 2e-3}},
    "batches of 16, average of 0.9995": {"train": {"batch_size": 16, "ema": 0.9995}},
    "batches of 16, patch 1, width 16": {"train": {"batch_size": 16}, "network": {"patch": 1, "width": 16}},
}
OWN: dict[str, dict[str, Any]] = {
    "as it is": {},
    "known in 0.6": {"method": {"states": [0.2, 0.2, 0.6]}},
    "known in 0.8": {"method": {"states": [0.1, 0.1, 0.8]}},
    "known in 0.6, clean in 0.6": {"method": {"states": [0.2, 0.2, 0.6], "clean": 0.6}},
    "known in 0.8, then as it is": {"trial": "known first"},
    "absent in 0.6": {"method": {"states": [0.6, 0.1, 0.3]}},
    "ends generate": {"method": {"ends_generate": True}},
    "clean in 0.6": {"method": {"clean": 0.6}},
    "clean in 0": {"method": {"clean": 0.0}},
    "nothing aggregated": {"method": {"omega": "zero"}},
    "omega up to 0.05": {"method": {"scale": 0.05}},
    "omega up to 1": {"method": {"scale": 1.0}},
    "omega persists": {"method": {"omega": "persist"}},
    "recovery 0.02": {"method": {"weights": {"label": 0.02}}},
    "recovery 0.5": {"method": {"weights": {"label": 0.5}}},
    "learned balance": {"method": {"balance": "uncertainty"}},
}
#: Methods of single tasks beside the multitask model's recipes.
OWN |= {f"{name} alone": {"file": f"baselines/labels/{name}.py"} for name in ("cfg_ddpm", "classifier")}
RECIPES = {"shared": SHARED, "own": OWN}


def logit_normal_times(method: DiffusionMethod) -> None:
    """Steps whose log(sigma / alpha) is normal with mean -0.4 and deviation 1, in place of uniform ones.

    sigma / alpha is tau / (1 - tau) of rectified flow's time tau, so that tau is logit-normal (Esser et al. 2024).
    """

    def draw_steps(count: int, generator: torch.Generator) -> Tensor:
        log_ratio = -0.4 + torch.randn(count, generator=generator)
        return method.process.step_of(torch.sigmoid(-2 * log_ratio))  # alpha_bar = 1 / (1 + (sigma / alpha)^2)

    method.draw_steps = draw_steps  # type: ignore[method-assign]


class LinearPath(nn.Module):
    """A head with a linear map of the noised patches beside the features' (both start at zero)."""

    def __init__(self, backbone: UNet, head: PixelHead, colours: int) -> None:
        super().__init__()
        self.head, self.shuffle = head, nn.PixelShuffle(backbone.patch)
        channels = colours * backbone.patch**2
        self.direct = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.direct.weight)
        self.patches: list[Tensor] = []
        backbone.register_forward_pre_hook(self.remember)

    def remember(self, backbone: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Keep the patches of the input for the head."""
        self.patches = [F.pixel_unshuffle(inputs[0], cast(UNet, backbone).patch)]

    def forward(self, features: Tensor) -> Tensor:
        """A map of features to an image, as `PixelHead`."""
        return self.head(features) + self.shuffle(self.direct(self.patches.pop()))


def try_out(trial: str | None, method: Any) -> None:
    """What is tried of a method without being a setting: times, states at first, or a linear path to its head."""
    if trial == "times":
        logit_normal_times(method)
    elif trial == "known first":
        method.late_shares, method.shares = method.shares, {name: (0.1, 0.1, 0.8) for name in method.shares}
    elif trial == "path":
        method.head = LinearPath(method.backbone, method.head, method.spec.modalities["image"].shape[0])


class Contest:
    """One method and task, whose recipes are compared on the same data and noise.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        data = DataSettings(args.data, args.size, args.train, args.real, 1, args.root)
        self.train, self.unseen = (load(split, data) for split in ("train", "validation"))
        self.experiment = load_experiment(args.experiment)
        about = {**card(data).as_dict(), "size": list(data.shape)}
        self.modalities = used_modalities(self.experiment, about, {})
        section = read_yaml(ROOT / "config" / "experiments" / f"{args.experiment}.yaml", ROOT)
        self.settings = section.get("methods", {})
        self.extractor: Extractor = load_extractor(args.weights, CPU)
        self.real = self.extractor(self.unseen["image"]).astype(float)
        self.classes = len(about.get("labels") or ())

    def question(self, name: str, count: int) -> Case:
        """A task of so many items, given the first validation items, if the task gives anything."""
        task = self.experiment.tasks[name]
        given: Arrays = {
            name: np.resize(self.unseen[name], (count, *self.unseen[name].shape[1:])) for name in task.given
        }
        return Case(task.name, task.name, count, given)

    def file(self, recipe: Mapping[str, Any]) -> Path:
        """The method's file that a recipe is of."""
        return ROOT / recipe.get("file", self.args.method)

    def training(self, recipe: Mapping[str, Any], steps: int, seed: int, state: Path) -> Training:
        """A training of a recipe, before its first step."""
        torch.manual_seed(seed)
        file = self.file(recipe)
        usual = self.settings.get(file.stem, {})
        network, method = merge(NETWORK, recipe.get("network", {})), merge(usual, recipe.get("method", {}))
        train = {**TRAIN, **recipe.get("train", {}), "steps": steps, "checkpoint_every": steps + 1}
        train["warmup"] = max(1, round(train["warmup"] * steps))
        settings = {"network": network, "method_settings": method}
        built = load_method(file, self.experiment.spec(self.modalities, settings))
        try_out(recipe.get("trial"), built)
        about = {"method": file.stem, "train": train}
        return Training(
            built,
            self.experiment,
            about,
            self.train,
            modalities=self.modalities,
            seed=seed,
            device=CPU,
            state=state,
            key=str(recipe),
        )

    def learn(self, recipe: Mapping[str, Any], seconds: float, seed: int) -> tuple[Method, int, float]:
        """The averaged network after so many CPU seconds, its steps, and the seconds that they really took."""
        with TemporaryDirectory() as folder:
            probe = self.training(recipe, 100, seed, Path(folder))
            probe.step(1)
            begin = time.process_time()
            for step in range(2, 2 + self.args.probe):
                probe.step(step)
            steps = max(2, round(seconds * self.args.probe / (time.process_time() - begin)))
            training = self.training(recipe, steps, seed, Path(folder))
            begin = time.process_time()
            for step in range(1, steps + 1):
                if step == steps // 2 and hasattr(training.method, "late_shares"):
                    training.method.shares = training.method.late_shares
                training.step(step)
        spent = time.process_time() - begin
        training.method.load_state_dict(training.ema)
        return training.method.eval(), steps, spent

    def point(self, name: str, recipe: Mapping[str, Any], seconds: float, seed: int) -> dict[str, Any]:
        """A recipe after so many CPU seconds: distances of what it generates, and how well it reads labels."""
        method, steps, spent = self.learn(recipe, seconds, seed)
        scores: dict[str, float | None] = {"kd": None, "fd": None, "accuracy": None}
        does = claimed_tasks(read_literals(self.file(recipe))["TASKS"], self.experiment.tasks)
        if self.args.task in does:
            scores |= self.generated(method)
        if self.args.reads and self.args.reads in does:
            case = self.question(self.args.reads, len(self.unseen["image"]))
            label = self.answer(method, case)["label"].argmax(axis=1)
            scores["accuracy"] = float((label == self.unseen["label"]).mean())
        return {"recipe": name, "budget": seconds, "seed": seed, "steps": steps, "cpu": spent, **scores}

    def generated(self, method: Method) -> dict[str, float]:
        """Distances of what a method generates to the validation images, by kernel and Frechet's."""
        case = self.question(self.args.task, self.args.drawn)
        fake = self.extractor(self.answer(method, case)["image"]).astype(float)
        fd = frechet_distance(self.real, fake)
        if "label" in case.given:
            pairs = self.real, self.unseen["label"], fake, case.given["label"]
            return {"kd": kernel_joint_distance(*pairs, self.classes)[0], "fd": fd}
        return {"kd": squared_mmd(self.real, fake), "fd": fd}

    def answer(self, method: Method, case: Case) -> Arrays:
        """What a method answers to a case, by the name of the modality."""
        sampling = Sampling(self.args.sampler, self.args.evaluations, self.args.guidance)
        task = self.experiment.tasks[case.task]
        answers = answer_case(method, task, case, sampling=sampling, batch_size=100, device=CPU)
        return {name.removeprefix(f"{case.name}/"): array for name, array in answers.items()}


def halve(contest: Contest, args: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """Successive halving over the budgets, by the mean kernel distance over seeds; yields the points so far."""
    recipes, points = RECIPES[args.recipes], list[dict[str, Any]]()
    if unknown := set(args.only or recipes) - set(recipes):
        raise UserError(f"--only: {sorted(unknown)[0]} is no recipe; there are {', '.join(recipes)}")
    left = args.only or list(recipes)
    base = left[0]
    for budget in args.budgets:
        for name in left:
            for seed in range(args.seeds):
                points.append(contest.point(name, recipes[name], budget, seed))
                print(points[-1], flush=True)
                yield points
        candidates = [name for name in left if "file" not in recipes[name]]
        best = sorted(candidates, key=lambda name: mean(points, name, budget, "kd"))[: (len(candidates) + 1) // 2]
        left = list(dict.fromkeys([*best, base, *(name for name in left if name not in candidates)]))


def mean(points: Sequence[Mapping[str, Any]], name: str, budget: float, metric: str) -> float:
    """Of a recipe's seeds after a budget; not a number where there are none."""
    values = [p[metric] for p in points if (p["recipe"], p["budget"]) == (name, budget) and p.get(metric) is not None]
    return sum(values) / len(values) if values else math.nan


def as_text(record: Mapping[str, Any]) -> str:
    """The table of a record: the last to be left first."""
    points, budgets = record["points"], record["budgets"]
    names = list(dict.fromkeys(p["recipe"] for p in points))

    def place(name: str) -> tuple[int, float]:
        last = max(i for i, b in enumerate(budgets) if any((p["recipe"], p["budget"]) == (name, b) for p in points))
        kd = mean(points, name, budgets[last], "kd")
        return -last, math.inf if math.isnan(kd) else kd

    def cell(name: str, budget: float) -> str:
        kd, fd, accuracy = (mean(points, name, budget, metric) for metric in ("kd", "fd", "accuracy"))
        distances = "–" if math.isnan(kd) else f"{1000 * kd:.0f} ({fd:.0f})"
        return distances if math.isnan(accuracy) else f"{distances}, {accuracy:.3f}"

    rows = [[name, *(cell(name, budget) for budget in budgets)] for name in sorted(names, key=place)]
    header = ["KD x 1000 (FD), accuracy after CPU seconds", *(f"{budget:g}" for budget in budgets)]
    return (
        f"{record['method']}, {record['task']} of {record['experiment']}, {record['data']} at {record['size']}; "
        f"{record['drawn']} drawn against {record['real']} validation images, {EXTRACTOR}; {record['seeds']} seeds; "
        f"one thread of {record['provenance']['processor']}\n\n" + table(header, rows)
    )


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/recipe.py --weights results/weights`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/recipe.py", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.stages.lpips wrote")
    parser.add_argument("--recipes", choices=RECIPES, default="shared")
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="these of them, the first of which always goes on")
    parser.add_argument("--experiment", default="masking")
    parser.add_argument("--method", type=Path, default=ROOT / "baselines" / "masking" / "ddpm.py", help="its file")
    parser.add_argument("--task", default="generate", help="of the experiment, which draws images")
    parser.add_argument("--data", default="toy_streets")
    parser.add_argument("--root", help="folder of the data set's files")
    parser.add_argument("--size", type=int, default=32, help="side in pixels")
    parser.add_argument("--budgets", type=float, nargs="+", default=[10, 40, 160], help="CPU seconds of a training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--train", type=int, default=4000, help="images to learn from")
    parser.add_argument("--real", type=int, default=500, help="validation images")
    parser.add_argument("--drawn", type=int, default=200, help="images drawn")
    parser.add_argument("--evaluations", type=int, default=20, help="of the network for each of them")
    parser.add_argument("--sampler", default="dpm++sde")
    parser.add_argument("--guidance", type=float, help="of what is given; the method's own by default")
    parser.add_argument("--reads", help="a task of the experiment that answers the labels of validation images")
    parser.add_argument("--probe", type=int, default=5, help="steps that are timed to know how many fit")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table is written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()
    options = {key: value for key, value in vars(args).items() if key not in ("weights", "out", "root")}
    options["method"] = args.method.stem
    about = {"machine": machine(), "provenance": provenance(options, {})}
    record: dict[str, Any] = {}
    for points in halve(Contest(args), args):  # an interrupted run leaves what it has
        record = {**options, "recipe_settings": RECIPES[args.recipes], "points": points, **about}
        write_record(args.out, record, as_text(record))
    print(as_text(record))


if __name__ == "__main__":
    run_command(main)
