"""One network for every task by independent timesteps, in the manner of UniDiffuser (Bao et al. 2023).

Image and embedding have separate noise and separate timesteps, so that the network learns every conditional
distribution: a given part has the first timestep, parts that are generated together have the same timestep.

Departures: the paper's network is a transformer on tokens of both. Here it is the backbone of every other method, which
the noised embedding and its timestep enter together with the image's timestep. Images are diffused as pixels; there is
no guidance. A given part enters at t = 1, the least noisy step of training. Schedule, prediction and loss weighting are
those of the multitask model.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _vectors import pack, time_features, unpack
from torch import Tensor, nn

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet, VectorHead

TITLE = "UniDiffuser-like"
TASKS = ("embed", "paint", "generate")
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of images and embeddings with a timestep for each.

    Args:
        spec: modalities and network.
        embedding_weight: weight of the embedding's loss; that of the image's loss is 1.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, embedding_weight: float = 1.0, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        self.embedding_weight = embedding_weight
        self.shape, self.size = spec.modalities["image"].shape, spec.modalities["embedding"].shape[0]
        self.backbone = UNet(self.shape[0], **spec.network)
        self.clock = 2 * self.backbone.width
        self.enter = nn.Linear(self.size + self.clock, self.backbone.vector_width)
        self.head = PixelHead(self.backbone, self.shape[0])
        self.leave = VectorHead(self.backbone, self.size)

    def forward(self, image: Tensor, embedding: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """The predictions (n, 3, h, w) and (n, d) at an image noised to steps t (n,) and an embedding to s (n,)."""
        vector = torch.cat([embedding, time_features(s, self.clock, embedding)], dim=1)
        shared = self.backbone(image, t, self.enter(vector))
        return self.head(shared.map), self.leave(shared.pooled)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared errors of both predictions, each at a uniform step of 1..T of its own."""
        image, embedding = batch["image"], batch["embedding"]
        t, s = (self.draw_steps(len(image), generator) for _ in range(2))
        noised_image, eps = self.noised(image, t, generator)
        noised_embedding, nu = self.noised(embedding, s, generator)
        outputs = self(noised_image, noised_embedding, t, s)
        of_image = self.error(outputs[0], image, eps, t).mean()
        of_embedding = self.error(outputs[1], embedding, nu, s).mean()
        total = of_image + self.embedding_weight * of_embedding
        return {"loss": total, "image": of_image.detach(), "embedding": of_embedding.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample the outputs; inputs stay unchanged, at the first timestep."""

        def estimate(z_t: Tensor, now: Tensor) -> Tensor:
            image, embedding = unpack(z_t, self.shape)
            image, embedding = given.get("image", image), given.get("embedding", embedding)
            t, s = (torch.ones_like(now) if name in given else now for name in ("image", "embedding"))
            outputs = self(image, embedding, t, s)
            image = given.get("image", self.estimate(outputs[0], image, t).clamp(-1, 1))
            embedding = given.get("embedding", self.estimate(outputs[1], embedding, s))
            return pack(image, embedding)

        noise = pack(*(self.pure_noise(count, shape, generator) for shape in (self.shape, (self.size,))))
        image, embedding = unpack(self.draw(estimate, noise, sampling, generator), self.shape)
        answer = {"image": image.clamp(-1, 1), "embedding": embedding}
        return {name: answer[name] for name in task.want}
