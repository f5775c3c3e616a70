"""Two stages in the manner of RCG (Li et al. 2023): an MLP diffuses the embedding, the U-Net the image given it.

Evaluations of either network count towards the number that every method has. Those of the MLP cost almost nothing, so
the U-Net gets most of them.

Departures: the paper's two networks are large, here both together have as many parameters as the multitask model;
images are diffused as pixels; there is no classifier-free guidance. Schedule, prediction and loss weighting are those
of the multitask model.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _vectors import VectorDenoiser
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "RCG-like"
TASKS = ("paint", "generate")
SAMPLES = True


class TwoStages(nn.Module):
    """Both networks in one module, so that the evaluations of both are counted."""

    def __init__(self, spec: Spec, blocks: int) -> None:
        super().__init__()
        channels, size = spec.modalities["image"].shape[0], spec.modalities["embedding"].shape[0]
        self.unet = UNet(channels, **spec.network)
        self.given = nn.Linear(size, self.unet.vector_width)
        self.head = PixelHead(self.unet, channels)
        self.mlp = VectorDenoiser(size, self.unet.pooled_width, blocks)

    def forward(self, z_t: Tensor, t: Tensor, embedding: Tensor | None = None) -> Tensor:
        """The prediction about an image (n, 3, h, w) given its embedding (n, d), or about an embedding (n, d)."""
        if embedding is None:
            return self.mlp(z_t, t)
        return self.head(self.unet(z_t, t, self.given(embedding)).map)


class Method(DiffusionMethod):
    """A denoiser of embeddings and a denoiser of images given the embedding.

    Args:
        spec: modalities and network.
        embedding_share: share of the evaluations that sample the embedding; at least one evaluation.
        blocks: residual blocks of the MLP.
        settings: as for `DiffusionMethod`.
    """

    backbone: TwoStages

    def __init__(
        self,
        spec: Spec,
        *,
        embedding_share: float = 0.25,
        blocks: int = 2,
        **settings: Unpack[DiffusionSettings],
    ) -> None:
        super().__init__(spec, **settings)
        if not 0 < embedding_share < 1:
            raise UserError(f"rcg: embedding_share: {embedding_share} is not between 0 and 1; give a share like 0.25")
        self.embedding_share = embedding_share
        self.backbone = TwoStages(spec, blocks)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of each network's prediction, each at a uniform step of 1..T of its own."""
        image, embedding = batch["image"], batch["embedding"]
        terms = {}
        for name, z0, given in (("image", image, (embedding,)), ("embedding", embedding, ())):
            t = self.draw_steps(len(z0), generator)
            z_t, eps = self.noised(z0, t, generator)
            terms[name] = self.error(self.backbone(z_t, t, *given), z0, eps, t).mean()
        return {"loss": terms["image"] + terms["embedding"], **{k: v.detach() for k, v in terms.items()}}

    def stages(self, task: Task, nfe: int) -> tuple[int, int]:
        """Evaluations of the MLP and of the U-Net, together `nfe`; UserError if they do not suffice."""
        if "embedding" in task.given:
            return 0, nfe
        if nfe < 2:
            raise UserError("sample.nfe: 1 is too few for the two stages of rcg; give at least 2")
        first = min(nfe - 1, max(1, round(self.embedding_share * nfe)))
        return first, nfe - first

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The image given the embedding, which is sampled first if it is not given."""
        first, second = self.stages(task, sampling.nfe)
        shapes = {name: modality.shape for name, modality in self.spec.modalities.items()}
        image = self.pure_noise(count, shapes["image"], generator)

        def estimate_embedding(z_t: Tensor, t: Tensor) -> Tensor:
            flat = z_t.flatten(1)
            return self.estimate(self.backbone(flat, t), flat, t)[:, :, None, None]

        def estimate_image(z_t: Tensor, t: Tensor) -> Tensor:
            return self.estimate(self.backbone(z_t, t, embedding), z_t, t).clamp(-1, 1)

        if first:
            z = self.pure_noise(count, (*shapes["embedding"], 1, 1), generator)
            embedding = self.draw(estimate_embedding, z, sampling, generator, nfe=first).flatten(1)
        else:
            embedding = given["embedding"]
        image = self.draw(estimate_image, image, sampling, generator, nfe=second)
        answer = {"image": image, "embedding": embedding}
        return {name: answer[name] for name in task.want}
