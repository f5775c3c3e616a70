"""Image and features diffused jointly with one timestep, in the manner of ReDi (Kouzelis et al. 2025).

The features are the leading principal components of the embedding; in the paper they are those of a feature map. Here
they are a vector, which enters the network with the time embedding and is predicted from the pooled features. One
network predicts both, with squared errors. Known values replace those of the estimate of z_0 at every step; the network
has no input that marks them as known.

Departures: images are diffused as pixels, and there is no representation guidance. Schedule, prediction and loss
weighting are those of the multitask model.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _vectors import pack, unpack
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet, VectorHead

TITLE = "ReDi-like"
TASKS = ("embed", "paint", "generate")
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of images and of principal components.

    Args:
        spec: modalities and network.
        components: principal components that are diffused, at most the embedding's dimensions.
        feature_weight: weight of the components' loss; that of the image's loss is 1.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet
    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(
        self,
        spec: Spec,
        *,
        components: int = 128,
        feature_weight: float = 1.0,
        **settings: Unpack[DiffusionSettings],
    ) -> None:
        super().__init__(spec, **settings)
        if components < 1:
            raise UserError(f"redi: components: {components} is less than 1; give a whole number from 1")
        self.feature_weight = feature_weight
        self.shape, size = spec.modalities["image"].shape, spec.modalities["embedding"].shape[0]
        self.components = min(components, size)
        self.backbone = UNet(self.shape[0], **spec.network)
        hidden = 8 * self.backbone.pooled_width  # wide, since the other layers are small for few components
        self.enter = nn.Sequential(
            nn.Linear(self.components, hidden), nn.SiLU(), nn.Linear(hidden, self.backbone.vector_width)
        )
        self.head = PixelHead(self.backbone, self.shape[0])
        self.leave = VectorHead(self.backbone, self.components)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, self.components))
        self.register_buffer("scale", torch.ones(()))

    def prepare(self, train: Batch) -> None:
        """Fit the principal components; one scale gives them unit variance on average and keeps their proportions."""
        x = train["embedding"].double()
        mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        self.mean.copy_(mean)
        self.basis.copy_(vectors[:, -self.components :].flip(1))
        self.scale.copy_(values[-self.components :].mean().clamp(min=1e-12).sqrt())

    def to_features(self, embedding: Tensor) -> Tensor:
        """Embeddings (n, d) as scaled principal components (n, components)."""
        return (embedding - self.mean) @ self.basis / self.scale

    def from_features(self, features: Tensor) -> Tensor:
        """Scaled principal components (n, components) as embeddings (n, d)."""
        return self.mean + features * self.scale @ self.basis.T

    def forward(self, image: Tensor, features: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The predictions (n, 3, h, w) and (n, components) at a noised image, noised components and steps t (n,)."""
        shared = self.backbone(image, t, self.enter(features))
        return self.head(shared.map), self.leave(shared.pooled)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared errors of both predictions at one uniform step of 1..T."""
        image, features = batch["image"], self.to_features(batch["embedding"])
        t = self.draw_steps(len(image), generator)
        noised_image, eps = self.noised(image, t, generator)
        noised_features, nu = self.noised(features, t, generator)
        outputs = self(noised_image, noised_features, t)
        of_image = self.error(outputs[0], image, eps, t).mean()
        of_features = self.error(outputs[1], features, nu, t).mean()
        total = of_image + self.feature_weight * of_features
        return {"loss": total, "image": of_image.detach(), "features": of_features.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample both; given values replace those of every estimate of z_0."""

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            state = unpack(z_t, self.shape)
            image, features = (
                self.estimate(output, part, t) for output, part in zip(self(*state, t), state, strict=True)
            )
            image = given["image"] if "image" in given else image.clamp(-1, 1)
            features = self.to_features(given["embedding"]) if "embedding" in given else features
            return pack(image, features)

        noise = pack(*(self.pure_noise(count, shape, generator) for shape in (self.shape, (self.components,))))
        image, features = unpack(self.draw(estimate, noise, sampling, generator), self.shape)
        answer = {"image": image.clamp(-1, 1), "embedding": self.from_features(features)}
        return {name: answer[name] for name in task.want}
