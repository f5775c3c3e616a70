"""CPU seconds until a quality is reached: ours, diffusers' example, and denoising-diffusion-pytorch, in turns.

All learn to draw the same images with networks of as many parameters: ours at its best, the others with their defaults.
Two more say where a difference comes from: ours without patches, and the example at our learning rate. After some CPU
seconds of training each draws images from noise, and restores noised ones that it has not seen, with the same sampler
for all; the first are scored by FD, the second by LPIPS. Prints tables; `--out` writes the same with the machine as
JSON. The split scored is `validation`: our settings were chosen on `test`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from loops import Diffusers, Loop, Lucidrains, Ours, unet
from measure import Turns, machine, operations
from PIL import Image
from tables import table, write_record
from torch import Tensor

from mmbench.data import DataSettings, load
from mmbench.errors import UserError, run_command
from mmbench.frozen.features import EXTRACTOR, load_extractor
from mmbench.frozen.lpips import load_lpips
from mmbench.method import Modality, Spec, load_method
from mmbench.modalities.image import to_uint8, to_unit
from mmbench.runs.provenance import provenance
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.perceptual import lpips_of_stored

ROOT = Path(__file__).parents[1]
SIDE, BATCH = 32, 50
ALPHA_BAR = 0.5
WARM_UP = 2  # steps in which programs load what they need, whose seconds do not count
OURS, PLAIN = "mmbench", "mmbench without patches"
DIFFUSERS, FASTER = "diffusers' example", "diffusers' example at our rate"
LUCIDRAINS = "denoising-diffusion-pytorch"
NAMES = (OURS, PLAIN, DIFFUSERS, FASTER, LUCIDRAINS)
LOWEST = -4.0  # half the log-SNR below which an image is noise
#: Ours at its best: the network and settings of `ddpm`, as wide as makes the parameters of the others.
TRAINED_AT_ONCE = 16
NETWORK = {"width": 16, "channel_mult": [1, 2, 4], "layers": 1, "patch": 2, "attention": True}
SETTINGS = {"batch_size": TRAINED_AT_ONCE, "precision": "fp32", "learning_rate": 3e-3, "warmup": 30, "ema": 0.995}
RATE = ("learning_rate", "warmup")

Estimate = Callable[[Tensor, Tensor], Tensor]


def nodes(alpha_bar: Tensor, start: int, evaluations: int) -> list[int]:
    """Indices from `start` down to 0, even in the log-SNR, so that all schedules are asked at the same noise."""
    half = 0.5 * (alpha_bar / (1 - alpha_bar)).log()
    wanted = torch.linspace(max(LOWEST, float(half[start])), float(half[0]), evaluations)
    return [start, *sorted(set((half - wanted[1:, None]).abs().argmin(dim=1).tolist()) - {start}, reverse=True)]


@torch.no_grad()
def ddim(estimate: Estimate, alpha_bar: Tensor, x: Tensor, start: int, evaluations: int) -> Tensor:
    """From x (n, c, h, w) at index `start` of `alpha_bar` to images (Song et al. 2021, without noise)."""
    indices = nodes(alpha_bar, start, evaluations)
    for now, later in zip(indices, [*indices[1:], None], strict=True):
        x_0 = estimate(x, torch.full((len(x),), now)).clamp(-1, 1)
        alpha_bar_t = alpha_bar[now]
        after = torch.tensor(1.0) if later is None else alpha_bar[later]
        x = after.sqrt() * x_0 + (1 - after).sqrt() * (x - alpha_bar_t.sqrt() * x_0) / (1 - alpha_bar_t).sqrt()
    return x


class Contender(Loop):
    """A loop that is asked to draw and to restore, by what it knows of images at any noise.

    Args:
        loop: what trains.
        alpha_bar: of each step that `estimate` knows, from little noise to much.
        averaged: gives, for the weights as they are now, the estimate of x_0 from x_t and steps (n,).
        seed: of the noise.
        test: images to restore, uint8.
        count: of images to draw.
        evaluations: of the network, for an image drawn; half of them for one restored.
    """

    def __init__(
        self,
        loop: Loop,
        alpha_bar: Tensor,
        averaged: Callable[[], Estimate],
        seed: int,
        test: np.ndarray,
        count: int,
        evaluations: int,
    ) -> None:
        self.loop, self.network, self.alpha_bar, self.averaged = loop, loop.network, alpha_bar.float(), averaged
        self.seed, self.test, self.count, self.evaluations = seed, test, count, evaluations

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.loop.steps(count)

    def answers(self) -> dict[str, np.ndarray]:
        """Drawn and restored images, uint8, from the same noise for all."""
        estimate, generator = self.averaged(), torch.Generator().manual_seed(self.seed)
        noise = torch.randn(self.count, *self.test.shape[1:], generator=generator)
        eps = torch.randn(self.test.shape, generator=generator)
        start = int((self.alpha_bar - ALPHA_BAR).abs().argmin())
        alpha_bar_t = self.alpha_bar[start]
        noised = alpha_bar_t.sqrt() * to_unit(torch.from_numpy(self.test)) + (1 - alpha_bar_t).sqrt() * eps

        def run(x: Tensor, first: int, evaluations: int) -> np.ndarray:
            parts = [ddim(estimate, self.alpha_bar, part, first, evaluations) for part in x.split(BATCH)]
            return to_uint8(torch.cat(parts))

        last = len(self.alpha_bar) - 1
        return {
            "drawn": run(noise, last, self.evaluations),
            "restored": run(noised, start, max(2, self.evaluations // 2)),
        }


def make(which: str, folder: Path, train: np.ndarray, seed: int, **asked: Any) -> Contender:
    """One of `NAMES`, on the same images, with weights and noise from a seed."""
    torch.manual_seed(seed)
    asked = {"seed": seed, **asked}
    if which in (OURS, PLAIN):
        return ours(train, NETWORK if which == OURS else {**NETWORK, "patch": 1}, **asked)
    if which in (DIFFUSERS, FASTER):
        return diffusers(train, {} if which == DIFFUSERS else {k: SETTINGS[k] for k in RATE}, **asked)
    return lucidrains(folder, **asked)


def ours(train: np.ndarray, network: Mapping[str, Any], steps: int, **asked: Any) -> Contender:
    """The baseline `ddpm` of this project."""
    spec = Spec({"image": Modality("image", train.shape[1:])}, network)
    method, used = (cast(Any, load_method(ROOT / "baselines" / "masking" / "ddpm.py", spec)) for _ in range(2))
    loop = Ours(train, method, steps=steps, **SETTINGS)

    def averaged() -> Estimate:
        used.eval().load_state_dict(loop.training.ema)
        return lambda x, t: used.estimate(used(x, t + 1, {}), x, t + 1)

    return Contender(loop, method.process.alpha_bar[1:], averaged, **asked)


def diffusers(train: np.ndarray, other: Mapping[str, Any], steps: int, **asked: Any) -> Contender:
    """The example with its defaults but for `other`: batches of 16, its learning rate, schedule and average."""
    del steps  # its own 100 epochs
    loop = Diffusers(train, unet(SIDE, (16, 32, 64), seed=asked["seed"]), TRAINED_AT_ONCE, "fp32", **other)

    def averaged() -> Estimate:
        used: Any = copy.deepcopy(loop.accelerator.unwrap_model(loop.network)).eval()
        loop.ema.copy_to(used.parameters())

        def estimate(x: Tensor, t: Tensor) -> Tensor:
            alpha_bar_t = loop.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
            return (x - (1 - alpha_bar_t).sqrt() * used(x, t, return_dict=False)[0]) / alpha_bar_t.sqrt()

        return estimate

    return Contender(loop, loop.scheduler.alphas_cumprod, averaged, **asked)


def lucidrains(folder: Path, steps: int, **asked: Any) -> Contender:
    """`Trainer` and `GaussianDiffusion` with their defaults, and a `Unet` of the parameters of the others."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # noqa: PLC0415

    del steps  # its own 100,000
    diffusion = GaussianDiffusion(Unet(dim=16, dim_mults=(1, 2, 4)), image_size=SIDE)
    loop = Lucidrains(folder, diffusion)

    def averaged() -> Estimate:
        used = loop.trainer.ema.ema_model.eval()
        return lambda x, t: used.model_predictions(x, t, clip_x_start=True).pred_x_start

    return Contender(loop, diffusion.alphas_cumprod, averaged, **asked)


def reached(points: Sequence[dict[str, float]], metric: str, value: float) -> float | None:
    """CPU seconds until a metric is as low as a value, between two points on a line; None if it is never."""
    if points and points[0][metric] <= value:
        return points[0]["cpu"]
    for before, after in pairwise(points):
        if after[metric] <= value < before[metric]:
            share = (before[metric] - value) / (before[metric] - after[metric])
            return before["cpu"] + share * (after["cpu"] - before["cpu"])
    return None


def race(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Let all train for the same CPU seconds, and score them after each of `--budgets`; yields what is known.

    Raises:
        UserError: ours is faster than its schedule was made for.
    """
    settings = DataSettings("toy_streets", SIDE, args.train, args.real, 1)
    train, unseen = (load(split, settings)["image"] for split in ("train", "validation"))
    for number, image in enumerate(train):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:05d}.png")
    truth = unseen[: args.restored]
    asked = {"test": truth, "count": args.drawn, "evaluations": args.evaluations, "steps": args.steps}
    given = {"folder": folder, "train": train, **asked}
    extractor, lpips = load_extractor(args.weights, torch.device("cpu")), load_lpips("alex", args.weights)
    real, points = extractor(unseen), list[dict[str, Any]]()
    known: dict[str, Any] = {
        "extractor": EXTRACTOR,
        "floor": frechet_distance(real, extractor(train[: args.drawn])),
        "flops_per_image": {name: operations(make(name, seed=0, **given)) / TRAINED_AT_ONCE for name in NAMES},
        "points": points,
    }
    for seed in range(args.seeds):
        spent, done = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, WARM_UP)
        with Turns({name: (make, {"which": name, "seed": seed, **given}) for name in NAMES}) as turns:
            for name in NAMES:
                turns.steps(name, WARM_UP)
            for budget, name in product(args.budgets, NAMES):
                while spent[name] < budget:
                    spent[name] += args.chunk * turns.steps(name, args.chunk)["cpu"]
                    done[name] += args.chunk
                if done[OURS] > args.steps:
                    raise UserError(
                        f"--steps: our schedule of {args.steps} ends before {budget} CPU seconds; give more"
                    )
                answers = turns.answers(name)
                (distances,) = lpips_of_stored(lpips, truth, [answers["restored"]], torch.device("cpu"))
                scores = {"fd": frechet_distance(real, extractor(answers["drawn"])), "lpips": float(distances.mean())}
                about = {"name": name, "seed": seed, "budget": budget, "cpu": spent[name], "steps": done[name]}
                points.append({**about, **scores})
                print(points[-1], flush=True)
                complete = len(points) == args.seeds * len(args.budgets) * len(NAMES)
                yield {**known, "parameters": turns.parameters, "complete": complete}


def ratios(record: dict[str, Any], peer: str, metric: str, budget: float) -> list[str]:
    """For each seed, how many times sooner ours is as good as a peer is after a budget."""
    cells = []
    for seed in range(record["seeds"]):
        ours, theirs = (
            [p for p in record["points"] if p["name"] == name and p["seed"] == seed] for name in (OURS, peer)
        )
        for point in theirs:
            if point["budget"] == budget:
                seconds = reached(ours, metric, point[metric])
                at_least = "≥ " if ours and seconds == ours[0]["cpu"] else ""
                cells.append("not yet" if seconds is None else f"{at_least}{point['cpu'] / seconds:.1f}")
    return cells


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    text = (
        f"toy_streets of {SIDE} x {SIDE}, {record['train']} to learn from; one thread of "
        f"{record['provenance']['processor']}. FD[{record['extractor']}] of {record['drawn']} drawn images to "
        f"{record['real']} real ones, from which as many training images have {record['floor']:.1f}; LPIPS (alex) of "
        f"{record['restored']} unseen images noised to alpha_bar {ALPHA_BAR} and restored; DDIM, "
        f"{record['evaluations']} and half as many evaluations. Each cell has {record['seeds']} seeds, of weights, "
        "batches and noise.\n"
    )
    text += "" if record["complete"] else "**Interrupted: not all was measured.**\n"
    rows = [
        [name, f"{record['parameters'][name]:,}", f"{record['flops_per_image'][name] / 1e6:.0f}"]
        for name in record["parameters"]
    ]
    text += "\n" + table(["", "parameters", "MFLOP of a training step for each image"], rows)
    budgets = record["budgets"]
    for metric, digits in (("fd", 0), ("lpips", 3)):
        rows = []
        for name in record["parameters"]:
            cells = []
            for budget in budgets:
                points = [p for p in record["points"] if (p["name"], p["budget"]) == (name, budget)]
                cells.append(" / ".join(f"{p[metric]:.{digits}f}" for p in points) or "–")
            rows.append([name, *cells])
        text += "\n" + table([f"{metric.upper()} after CPU seconds of training", *(f"{b:g}" for b in budgets)], rows)
    rows = []
    for name, metric in product(NAMES[1:], ("fd", "lpips")):
        cells = [" / ".join(ratios(record, name, metric, budget)) or "–" for budget in budgets]
        rows.append([f"{metric.upper()} of {name}", *cells])
    header = [f"as good as, {OURS} is this many times sooner", *(f"at {b:g} s" for b in budgets)]
    return text + "\n" + table(header, rows)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/quality.py --weights results/weights`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/quality.py", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.frozen.lpips wrote")
    parser.add_argument(
        "--budgets", type=float, nargs="+", default=[2.5, 5, 10, 20, 40, 80], help="CPU seconds of training"
    )
    parser.add_argument(
        "--steps", type=int, default=5000, help="of our learning rate's schedule; more than are made in the last budget"
    )
    parser.add_argument("--seeds", type=int, default=2, help="of weights, batches and noise")
    parser.add_argument("--chunk", type=int, default=10, help="steps between two looks at the clock")
    parser.add_argument("--train", type=int, default=2000, help="images to learn from")
    parser.add_argument("--real", type=int, default=500, help="unseen ones that drawn ones are compared with")
    parser.add_argument("--drawn", type=int, default=200, help="images drawn from noise")
    parser.add_argument("--restored", type=int, default=64, help="unseen images restored from noise")
    parser.add_argument("--evaluations", type=int, default=15, help="of the network for an image drawn")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    names = ("budgets", "steps", "seeds", "train", "real", "drawn", "restored", "evaluations")
    options = {key: getattr(args, key) for key in names}
    about = {"machine": machine(), "provenance": provenance(options, {})}
    with tempfile.TemporaryDirectory() as folder:
        for known in race(args, Path(folder)):  # an interrupted run leaves what it has
            record = {**options, "settings": {"network": NETWORK, **SETTINGS}, **known, **about}
            write_record(args.out, record, as_text(record))
    print(as_text(record))


if __name__ == "__main__":
    run_command(main)
