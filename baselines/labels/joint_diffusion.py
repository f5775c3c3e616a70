"""One U-Net that denoises and classifies, in the manner of JointDiffusion (Deja et al. 2023).

The network is trained with the denoising loss at a random step and with the cross-entropy of a head on the pooled
features of the clean image. To generate images of a label, the estimate of z_0 is moved along the gradient of the
network's own log p(label | z_0), multiplied by `scale (1 - alpha_bar)`. A noised image is denoised in one evaluation
and then classified; an image with its label is generated unconditionally and then classified.

Departures: the paper's head pools the features of every level, here it is that of the multitask model's label decoder;
the paper's gradient is taken at the features, here at the estimate of z_0. Guidance takes two evaluations per step, one
of which is also differentiated, and therefore leaves half the steps.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _guidance import log_likelihood_gradient
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.modalities import kind_of
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet, VectorHead

TITLE = "JointDiffusion-like"
TASKS = ("classify", "classify_noised", "paint", "generate")
SAMPLES = True
TUNE = {"scale": (1.0, 3.0, 10.0, 30.0, 100.0)}
TUNE_BY = ("paint", "kjd")


class Method(DiffusionMethod):
    """A denoiser of images with a classifying head.

    Args:
        spec: modalities and network.
        scale: how far the estimate of z_0 moves along the classifier's gradient; 0 ignores the label.
        classify_weight: weight of the cross-entropy; that of the denoising loss is 1.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet

    def __init__(
        self,
        spec: Spec,
        *,
        scale: float = 10.0,
        classify_weight: float = 0.1,
        **settings: Unpack[DiffusionSettings],
    ) -> None:
        super().__init__(spec, **settings)
        if scale < 0:
            raise UserError(f"joint_diffusion: scale: {scale} is negative; give a number from 0")
        self.scale, self.classify_weight = scale, classify_weight
        colours = spec.modalities["image"].shape[0]
        self.backbone = UNet(colours, **spec.network)
        self.head = PixelHead(self.backbone, colours)
        self.reader = VectorHead(self.backbone, spec.modalities["label"].classes)

    def classify(self, image: Tensor) -> Tensor:
        """Class logits (n, classes) of a clean image (n, 3, h, w)."""
        return self.reader(self.backbone(image, torch.zeros(len(image), dtype=torch.long)).pooled)

    def denoise(self, z_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of z_0 (n, 3, h, w) in [-1, 1]."""
        return self.estimate(self.head(self.backbone(z_t, t).map), z_t, t).clamp(-1, 1)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error at a uniform step of 1..T, and cross-entropy on the clean image."""
        z0 = batch["image"]
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        denoise = self.error(self.head(self.backbone(z_t, t).map), z0, eps, t).mean()
        classify = kind_of(self.spec.modalities["label"]).recovery(self.classify(z0), batch["label"]).mean()
        total = denoise + self.classify_weight * classify
        return {"loss": total, "denoise": denoise.detach(), "classify": classify.detach()}

    def heeds(self, task: Task) -> frozenset[str]:
        """Nothing if an image is given."""
        return super().heeds(task) if "image" in task.want else frozenset()

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Class probabilities of given or generated images, and images generated from noise, of a given label."""
        if "image" in given:
            return {"label": self.classify(given["image"]).softmax(dim=1)}
        if "noised_image" in given:
            t = self.process.step_of(given["alpha_bar"].float())
            return {"label": self.classify(self.denoise(given["noised_image"].float(), t)).softmax(dim=1)}
        image = self.towards(given.get("label"), count, sampling, generator)
        if "label" not in task.want:
            return {"image": image}
        return {"image": image, "label": self.classify(image).softmax(dim=1)}

    def towards(self, label: Tensor | None, count: int, sampling: Sampling, generator: Noise) -> Tensor:
        """Images (count, 3, h, w), of labels (count,) if there are any."""
        guided = label is not None and self.scale > 0
        nfe = (
            sampling.nfe // 2 if guided else sampling.nfe - (label is None)
        )  # the last one classifies the generated image
        if nfe < 1:
            raise UserError("joint_diffusion: drawing takes two evaluations at least; raise sample.nfe to 2")

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            z0 = self.denoise(z_t, t)
            if label is not None and guided:
                _, noise = self.process.coefficients(t, z_t)
                z0 = z0 + self.scale * noise**2 * log_likelihood_gradient(self.classify, z0, label)
            return z0.clamp(-1, 1)

        noise = self.pure_noise(count, self.spec.modalities["image"].shape, generator)
        return self.draw(estimate, noise, sampling, generator, nfe=nfe)
