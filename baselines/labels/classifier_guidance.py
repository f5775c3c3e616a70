"""An unconditional DDPM guided by the gradient of a classifier of z_t (Dhariwal and Nichol 2021, algorithm 2).

The noise estimate becomes `eps - scale sqrt(1 - alpha_bar) grad log p(label | z_t)`, which moves the estimate of z_0 by
`scale (1 - alpha_bar) / sqrt(alpha_bar) grad`; it is then clamped to [-1, 1].

Departures: the classifier has half the width of the denoiser, and both are trained together on the same z_t. In pure
noise the factor of the gradient is unbounded and the gradient is meaningless, so the factor is at most `MAX_GAIN`. A
step takes one evaluation of the denoiser, and one forward and backward pass of the classifier, which costs about the
same. Guided sampling therefore has half the steps, and the counted evaluations are those of the denoiser.
"""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from _guidance import draw_labels, log_likelihood_gradient, shares_of
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.modalities import kind_of
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet, VectorReader

TITLE = "Classifier guidance"
TASKS = ("paint", "generate")
SAMPLES = True
TUNE = {"scale": (1.0, 3.0, 10.0, 30.0)}
TUNE_BY = ("paint", "kjd")
SIZE_DIFFERS = "a second network classifies"

MAX_GAIN = 10.0


class Method(DiffusionMethod):
    """A denoiser of images, and a smaller classifier of noised ones.

    Args:
        spec: modalities and network.
        scale: strength of the classifier's gradient; 1 is Bayes' rule.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet
    shares: Tensor

    def __init__(self, spec: Spec, *, scale: float = 3.0, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        if scale < 0:
            raise UserError(f"classifier_guidance: scale: {scale} is negative; give a number from 0")
        self.scale = scale
        colours, self.classes = spec.modalities["image"].shape[0], spec.modalities["label"].classes
        self.backbone = UNet(colours, **spec.network)
        self.head = PixelHead(self.backbone, colours)
        half = max(8, self.backbone.width // 16 * 8)
        self.classifier = UNet(colours, **{**spec.network, "width": half})
        self.reader = VectorReader(self.classifier, self.classes)
        self.register_buffer("shares", torch.full((self.classes,), 1 / self.classes))

    def prepare(self, train: Batch) -> None:
        """Store the share of each class."""
        self.shares = shares_of(train["label"], self.classes)

    def classify(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Class logits (n, classes) of z_t (n, 3, h, w) at steps t (n,)."""
        return self.reader(self.classifier(z_t, t))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the denoiser and cross-entropy of the classifier, at a uniform step of 1..T."""
        z0 = batch["image"]
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        denoise = self.error(self.head(self.backbone(z_t, t).map), z0, eps, t).mean()
        classify = kind_of(self.spec.modalities["label"]).recovery(self.classify(z_t, t), batch["label"]).mean()
        return {"loss": denoise + classify, "denoise": denoise.detach(), "classify": classify.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Generate images of the given labels, or of labels sampled with their frequencies in training."""
        label = given["label"] if "label" in given else draw_labels(self.shares, count, generator)
        if (guided := self.scale > 0) and sampling.nfe < 2:
            raise UserError(f"classifier_guidance: scale: {self.scale} takes two evaluations a step; raise sample.nfe")

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            z0 = self.estimate(self.head(self.backbone(z_t, t).map), z_t, t)
            if guided:
                signal, noise = self.process.coefficients(t, z_t)
                gradient = log_likelihood_gradient(lambda x: self.classify(x, t), z_t, label)
                z0 = z0 + self.scale * (noise**2 / signal).clamp(max=MAX_GAIN) * gradient
            return z0.clamp(-1, 1)

        noise = self.pure_noise(count, self.spec.modalities["image"].shape, generator)
        image = self.draw(estimate, noise, sampling, generator, nfe=sampling.nfe // 2 if guided else None)
        answer = {"image": image, "label": F.one_hot(label, self.classes).float()}
        return {name: answer[name] for name in task.want}
