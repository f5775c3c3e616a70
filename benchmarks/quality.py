"""CPU seconds until a quality is reached: ours, diffusers' example, and denoising-diffusion-pytorch, in turns.

All learn to draw the same images with networks of as many parameters, each as it comes. After some CPU seconds of
training each draws images from noise, and restores noised test images, with the same sampler for all; the first are
scored by FD, the second by LPIPS. Prints tables; `--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from loops import Diffusers, Loop, Lucidrains, Ours, unet
from measure import Turns, machine
from PIL import Image
from tables import table, write_record
from torch import Tensor

from mmbench.data import DataSettings, load
from mmbench.errors import UserError, run_command
from mmbench.experiments import to_uint8, to_unit
from mmbench.features import EXTRACTOR, load_extractor
from mmbench.method import Modality, Spec, load_method
from mmbench.metrics.frechet import frechet_distance
from mmbench.metrics.perceptual import lpips_of_stored
from mmbench.provenance import provenance
from mmbench.weights import load_lpips

ROOT = Path(__file__).parents[1]
SIDE, BATCH = 32, 50
ALPHA_BAR = 0.5
WARM_UP = 2  # steps in which programs load what they need, whose seconds do not count
OURS, DIFFUSERS, LUCIDRAINS = "mmbench", "diffusers' example", "denoising-diffusion-pytorch"
#: Ours at its best: the network and settings of `ddpm`, as wide as makes the parameters of the others.
NETWORK = {"width": 16, "channel_mult": [1, 2, 4], "layers": 1, "patch": 2, "attention": True}
SETTINGS = {"batch_size": 16, "precision": "fp32", "learning_rate": 3e-3, "warmup": 30, "ema": 0.995}

Estimate = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def ddim(estimate: Estimate, alpha_bar: Tensor, x: Tensor, start: int, evaluations: int) -> Tensor:
    """From x (n, c, h, w) at index `start` of `alpha_bar` to images (Song et al. 2021, without noise)."""
    indices = np.linspace(start, 0, evaluations, dtype=int).tolist()
    for now, later in pairwise([*indices, None]):
        x_0 = estimate(x, torch.full((len(x),), now)).clamp(-1, 1)
        here = alpha_bar[now]
        after = torch.tensor(1.0) if later is None else alpha_bar[later]
        x = after.sqrt() * x_0 + (1 - after).sqrt() * (x - here.sqrt() * x_0) / (1 - here).sqrt()
    return x


class Contender(Loop):
    """A loop that is asked to draw and to restore, by what it knows of images at any noise.

    Args:
        loop: what trains.
        alpha_bar: of each step that `estimate` knows, from little noise to much.
        averaged: gives, for the weights as they are now, the estimate of x_0 from x_t and steps (n,).
        test: images to restore, uint8.
        count: of images to draw.
        evaluations: of the network, for an image drawn; half of them for one restored.
    """

    def __init__(
        self,
        loop: Loop,
        alpha_bar: Tensor,
        averaged: Callable[[], Estimate],
        test: np.ndarray,
        count: int,
        evaluations: int,
    ) -> None:
        self.loop, self.network, self.alpha_bar, self.averaged = loop, loop.network, alpha_bar.float(), averaged
        self.test, self.count, self.evaluations = test, count, evaluations

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.loop.steps(count)

    def answers(self) -> dict[str, np.ndarray]:
        """Drawn and restored images, uint8, from the same noise for all."""
        estimate, generator = self.averaged(), torch.Generator().manual_seed(0)
        noise = torch.randn(self.count, *self.test.shape[1:], generator=generator)
        eps = torch.randn(self.test.shape, generator=generator)
        start = int((self.alpha_bar - ALPHA_BAR).abs().argmin())
        here = self.alpha_bar[start]
        noised = here.sqrt() * to_unit(torch.from_numpy(self.test)) + (1 - here).sqrt() * eps

        def run(x: Tensor, first: int, evaluations: int) -> np.ndarray:
            parts = [ddim(estimate, self.alpha_bar, part, first, evaluations) for part in x.split(BATCH)]
            return to_uint8(torch.cat(parts))

        last = len(self.alpha_bar) - 1
        return {
            "drawn": run(noise, last, self.evaluations),
            "restored": run(noised, start, max(2, self.evaluations // 2)),
        }


def make(which: str, folder: Path, train: np.ndarray, **asked: Any) -> Loop:
    """One of the three, on the same images."""
    if which == OURS:
        return ours(train, **asked)
    if which == DIFFUSERS:
        return diffusers(train, **asked)
    return lucidrains(folder, **asked)


def ours(train: np.ndarray, steps: int, **asked: Any) -> Contender:
    """The baseline `ddpm` of this project."""
    torch.manual_seed(0)
    spec = Spec({"image": Modality("image", train.shape[1:])}, NETWORK)
    method, used = (cast(Any, load_method(ROOT / "baselines" / "masking" / "ddpm.py", spec)) for _ in range(2))
    loop = Ours(train, method, steps=steps, **SETTINGS)

    def averaged() -> Estimate:
        used.eval().load_state_dict(loop.training.ema)
        return lambda x, t: used.kind.estimate(used(x, t + 1, {}), x, t + 1)

    return Contender(loop, method.process.alpha_bar[1:], averaged, **asked)


def diffusers(train: np.ndarray, steps: int, **asked: Any) -> Contender:
    """The example with its defaults: batches of 16, its learning rate, schedule and average."""
    del steps  # its own 100 epochs
    loop = Diffusers(train, unet(SIDE, (16, 32, 64)), 16, "fp32")

    def averaged() -> Estimate:
        used: Any = copy.deepcopy(loop.accelerator.unwrap_model(loop.network)).eval()
        loop.ema.copy_to(used.parameters())

        def estimate(x: Tensor, t: Tensor) -> Tensor:
            here = loop.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
            return (x - (1 - here).sqrt() * used(x, t, return_dict=False)[0]) / here.sqrt()

        return estimate

    return Contender(loop, loop.scheduler.alphas_cumprod, averaged, **asked)


def lucidrains(folder: Path, steps: int, **asked: Any) -> Contender:
    """`Trainer`, `Unet` and `GaussianDiffusion` with their defaults, but for one level less than in the README."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # noqa: PLC0415

    del steps  # its own 100,000
    torch.manual_seed(0)
    diffusion = GaussianDiffusion(Unet(dim=16, dim_mults=(1, 2, 4)), image_size=SIDE)
    loop = Lucidrains(folder, diffusion)

    def averaged() -> Estimate:
        used = loop.trainer.ema.ema_model.eval()
        return lambda x, t: used.model_predictions(x, t, clip_x_start=True).pred_x_start

    return Contender(loop, diffusion.alphas_cumprod, averaged, **asked)


def reached(points: Sequence[dict[str, float]], metric: str, value: float) -> float | None:
    """CPU seconds until a metric is as low as a value, between two points on a line; None if it is never."""
    for before, after in pairwise(points):
        if after[metric] <= value < before[metric]:
            share = (before[metric] - value) / (before[metric] - after[metric])
            return before["cpu"] + share * (after["cpu"] - before["cpu"])
    return points[0]["cpu"] if points and points[0][metric] <= value else None


def race(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Let all three train for the same CPU seconds, and score them after each of `--budgets`; yields what is known.

    Raises:
        UserError: ours is faster than its schedule was made for.
    """
    settings = DataSettings("toy_streets", SIDE, args.train, 1, args.test)
    train, test = (load(split, settings)["image"] for split in ("train", "test"))
    for number, image in enumerate(train):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:05d}.png")
    asked = {"test": test[: args.restored], "count": args.drawn, "evaluations": args.evaluations, "steps": args.steps}
    names = (OURS, DIFFUSERS, LUCIDRAINS)
    extractor, lpips = load_extractor(args.weights, torch.device("cpu")), load_lpips("alex", args.weights)
    real = extractor(test)
    points: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    spent, done = dict.fromkeys(names, 0.0), dict.fromkeys(names, WARM_UP)
    given = {"folder": folder, "train": train, **asked}
    with Turns({name: (make, {"which": name, **given}) for name in names}) as turns:
        for name in names:
            turns.steps(name, WARM_UP)
        for budget, name in product(args.budgets, names):
            while spent[name] < budget:
                spent[name] += args.chunk * turns.steps(name, args.chunk)["cpu"]
                done[name] += args.chunk
            if done[OURS] > args.steps:
                raise UserError(
                    f"--steps: our schedule of {args.steps} steps ends before {budget} CPU seconds; give more"
                )
            answers = turns.answers(name)
            (distances,) = lpips_of_stored(lpips, asked["test"], [answers["restored"]], torch.device("cpu"))
            point = {"cpu": spent[name], "steps": done[name]}
            point |= {"fd": frechet_distance(real, extractor(answers["drawn"])), "lpips": float(distances.mean())}
            points[name].append(point)
            print(f"{name}: {point}", flush=True)
            yield {"parameters": turns.parameters, "points": points, "extractor": EXTRACTOR}


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    points = record["points"]
    text = (
        f"toy_streets of {SIDE} x {SIDE}, {record['train']} to learn from; parameters: "
        + ", ".join(f"{name} {count:,}" for name, count in record["parameters"].items())
        + f"; one thread of {record['provenance']['processor']}. FD of {record['drawn']} drawn images to the test "
        f"split, LPIPS of {record['restored']} test images noised to alpha_bar {ALPHA_BAR} and restored; DDIM, "
        f"{record['evaluations']} and half as many evaluations.\n\n"
    )
    rows = [
        [name, f"{p['cpu']:.0f}", f"{p['steps']:.0f}", f"{p['fd']:.1f}", f"{p['lpips']:.4f}"]
        for name, found in points.items()
        for p in found
    ]
    text += table(["", "CPU seconds of training", "steps", f"FD[{record['extractor']}]", "LPIPS (alex)"], rows)
    rows = []
    for name in (DIFFUSERS, LUCIDRAINS):
        for metric in ("fd", "lpips") if points[name] and points[OURS] else ():
            best = min(points[name], key=lambda p: p[metric])
            own = reached(points[OURS], metric, best[metric])
            first = own == points[OURS][0]["cpu"]  # or before it
            rows.append(
                [
                    f"{metric.upper()} {best[metric]:.4g}, the best of {name}",
                    f"{best['cpu']:.1f}",
                    "not yet" if own is None else f"{'at most ' * first}{own:.1f}",
                    "–" if own is None else f"**{'at least ' * first}{best['cpu'] / own:.1f}**",
                ]
            )
    return text + "\n" + table(["until", "it took CPU seconds", OURS, "ratio"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/quality.py --weights results/weights`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/quality.py", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.weights wrote")
    parser.add_argument(
        "--budgets", type=float, nargs="+", default=[2.5, 5, 10, 20, 40, 80, 160], help="CPU seconds of training"
    )
    parser.add_argument("--steps", type=int, default=5000, help="of our learning rate's schedule")
    parser.add_argument("--chunk", type=int, default=10, help="steps between two looks at the clock")
    parser.add_argument("--train", type=int, default=2000, help="images to learn from")
    parser.add_argument("--test", type=int, default=500, help="real ones that drawn ones are compared with")
    parser.add_argument("--drawn", type=int, default=200, help="images drawn from noise")
    parser.add_argument("--restored", type=int, default=64, help="test images restored from noise")
    parser.add_argument("--evaluations", type=int, default=15, help="of the network for an image drawn")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    options = {
        key: getattr(args, key) for key in ("budgets", "steps", "train", "test", "drawn", "restored", "evaluations")
    }
    about = {"machine": machine(), "provenance": provenance(options, {})}
    with tempfile.TemporaryDirectory() as folder:
        for known in race(args, Path(folder)):  # an interrupted run leaves what it has
            record = {**options, "settings": {"network": NETWORK, **SETTINGS}, **known, **about}
            write_record(args.out, record, as_text(record))
    print(as_text(record))


if __name__ == "__main__":
    run_command(main)
