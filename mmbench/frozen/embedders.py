"""Frozen networks that embed images, by name: those of the metrics, or any CLIP that open_clip has.

An extractor's name is also the name of the folder of its embeddings: `vgg16-relu5_3-gap`, `efficientnet-lite0`, or
`clip.<model>.<weights>` as open_clip calls the two, e.g. `clip.ViT-B-32.laion2b_s34b_b79k`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmbench.config.extractors import EFFICIENTNET, VGG16
from mmbench.errors import UserError, near
from mmbench.files.store import Arrays, load_arrays, sha256_arrays
from mmbench.frozen.features import load_extractor

CLIP = "clip"
#: A CLIP in evaluation mode, and what makes a PIL image its input (c, h, w).
BuiltClip = tuple[nn.Module, Callable[[Image.Image], Tensor]]


class Embedder(Protocol):
    """The interface of an embedder: uint8 images (n, 3, h, w) to float32 embeddings (n, d)."""

    @property
    def name(self) -> str:
        """The extractor's name."""

    @property
    def weights_sha256(self) -> str:
        """Hash of its weights."""

    def __call__(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Embeddings of images."""


@dataclass(frozen=True)
class ClipEmbedder:
    """The image tower of a CLIP (Radford et al. 2021); its embeddings have unit length.

    Attributes:
        preprocess: the model's own preparation of a PIL image.
        weights_sha256: hash of the weights as loaded (`files.sha256_arrays`).
    """

    name: str
    model: Any
    preprocess: Callable[[Image.Image], Tensor]
    weights_sha256: str
    device: torch.device

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Embeddings, float32 (n, d), of images, uint8 (n, 3, h, w)."""
        embeddings = []
        for start in range(0, len(images), batch_size):
            pictures = [Image.fromarray(x.transpose(1, 2, 0)) for x in images[start : start + batch_size]]
            batch = torch.stack([self.preprocess(picture) for picture in pictures]).to(self.device)
            embeddings.append(self.model.encode_image(batch, normalize=True).float().cpu())
        return torch.cat(embeddings).numpy()


def open_clip_model(name: str) -> BuiltClip:
    """The pretrained CLIP of the extractor `name`, from open_clip's cache or downloaded by it.

    Raises:
        UserError: open_clip is not installed, knows no such model or weights, or cannot get the weights.
    """
    try:
        import open_clip  # noqa: PLC0415  # an extra: most users need none of it
    except ImportError:
        raise UserError(f"extractor: {name} needs open_clip; run `pip install 'mmbench[clip]'`") from None
    _, model, tag = name.split(".")
    if model not in (models := open_clip.list_models()):
        raise UserError(f"extractor: {name}: open_clip has no model '{model}'{near(model, models)}; name one it has")
    if tag not in (tags := open_clip.list_pretrained_tags_by_model(model)):
        raise UserError(f"extractor: {name}: open_clip has no weights '{tag}' of {model}; there are {', '.join(tags)}")
    try:
        built = open_clip.create_model_from_pretrained(model, tag)
    except Exception as error:  # every source of weights has errors of its own, which share no base
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"extractor: {name}: its weights are not in open_clip's cache and could not be fetched ({reason}); run "
            f"again with access to them, or use the extractor {VGG16}"
        ) from None
    return built


def load_clip(name: str, device: torch.device, build: Callable[[str], BuiltClip] = open_clip_model) -> ClipEmbedder:
    """The CLIP called `clip.<model>.<weights>`, frozen; `build` makes it with its preprocessing from that name."""
    model, preprocess = build(name)
    model = model.to(device).requires_grad_(False).eval()
    digest = sha256_arrays({key: value.cpu().numpy() for key, value in model.state_dict().items()})
    return ClipEmbedder(name, model, preprocess, digest, device)


def load_embedder(name: str, weights: str | Path, device: torch.device) -> Embedder:
    """The extractor called `name`.

    Args:
        name: `vgg16-relu5_3-gap`, `efficientnet-lite0` or `clip.<model>.<weights>`.
        weights: folder that `python -m mmbench.stages.lpips`, or the stage `efficientnet`, wrote.

    Raises:
        UserError: there is no such extractor, or its weights cannot be had.
    """
    if name in (VGG16, EFFICIENTNET):
        return load_extractor(weights, device, name)
    if name.partition(".")[0] != CLIP or name.count(".") != 2:
        raise UserError(
            f"extractor: '{name}' does not exist; there are {VGG16}, {EFFICIENTNET} and {CLIP}.<model>.<weights>"
        )
    return load_clip(name, device)


@dataclass(frozen=True)
class Scaling:
    """Mean (d,) of each dimension over the training split, and the deviation `sd` (), one for all dimensions.

    With a separate deviation for each dimension, features that are rarely active (most of VGG16's, on small images)
    would reach hundreds of deviations where they are, and dominate the others.
    """

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, embedding: np.ndarray) -> np.ndarray:
        """Embeddings (n, d) centred and scaled, float32."""
        return ((embedding - self.mean) / self.sd).astype(np.float32)

    def arrays(self) -> Arrays:
        """As they are stored."""
        return {"mean": self.mean, "sd": self.sd}


def fit_scaling(embedding: np.ndarray) -> Scaling:
    """The scaling to mean 0 in each dimension of embeddings (n, d), and mean square 1 over all of them.

    If all embeddings are equal, they are only centred.
    """
    wide = embedding.astype(np.float64)
    sd = np.sqrt(wide.var(axis=0).mean())
    constant = sd <= 1e-6 * np.abs(wide).max()  # what is left by rounding is no signal to blow up
    return Scaling(wide.mean(axis=0), np.asarray(1.0 if constant else sd))


def read_scaling(folder: str | Path) -> Scaling:
    """What `python -m mmbench.stages.embed` wrote to `folder`/scaling.npz; UserError if it is missing or broken."""
    path = Path(folder) / "scaling.npz"
    arrays = load_arrays(path)
    fits = arrays.keys() == {"mean", "sd"} and arrays["mean"].ndim == 1 and arrays["sd"].shape == ()
    finite = all(np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all() for array in arrays.values())
    if not (fits and finite and arrays["sd"] > 0):
        raise UserError(f"{path}: not the mean and sd of embeddings; delete {folder} and embed the data again")
    return Scaling(**arrays)


@dataclass(frozen=True)
class Standardised:
    """An extractor with the scaling of a data folder: it embeds images as the folder's `embedding` was made."""

    embedder: Embedder
    scaling: Scaling


def load_standardised(card: Any, folder: str | Path, weights: str | Path, device: torch.device) -> Standardised:
    """The extractor that made the embeddings of a data folder, with the folder's scaling.

    Args:
        folder: what `python -m mmbench.stages.embed` wrote.
        weights: folder that `python -m mmbench.stages.lpips` wrote.

    Raises:
        UserError: the folder has no embeddings, or they were made with other weights.
    """
    described = card.get("embedding")
    if not described:
        raise UserError(f"{folder}: has no embeddings; write them with `python -m mmbench.stages.embed`")
    embedder = load_embedder(described["extractor"], weights, device)
    if embedder.weights_sha256 != described["weights_sha256"]:
        raise UserError(
            f"{folder}: its embeddings were made with other weights of {embedder.name}; delete it and embed again"
        )
    return Standardised(embedder, read_scaling(folder))
