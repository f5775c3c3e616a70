"""Write a prepared data folder with an embedding of every image, as another prepared data folder.

Each dimension is centred on the training split's mean, and all are divided by one deviation; scaling.npz has both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from typer import Option

from mmbench.command import stage_main
from mmbench.data import SPLITS, read_card, read_prepared
from mmbench.errors import UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_arrays, write_json
from mmbench.frozen.embedders import Embedder, fit_scaling, load_embedder
from mmbench.models.device import choose_device
from mmbench.stages._options import Device, NetworksFolder, Threads

#: The embedding of the mirrored image, in the training split only, for training runs that mirror images.
MIRRORED = "embedding_mirrored"


def embedded(arrays: Arrays, split: str, embedder: Embedder) -> Arrays:
    """The raw embeddings of a split's images; for the training split, also those of the mirrored images."""
    images = arrays["image"]
    embeddings = {"embedding": embedder(images)}
    if split == "train":
        embeddings[MIRRORED] = embedder(np.ascontiguousarray(images[..., ::-1]))
    for array in embeddings.values():
        for item in np.flatnonzero(~np.isfinite(array).all(axis=1))[:1]:
            raise UserError(
                f"{embedder.name}: the embedding of {split} item {item} is not finite; use another extractor"
            )
    return embeddings


def write_embedded(extractor: str, *, weights: Path, data: Path, out: Path, device: torch.device) -> dict[str, Any]:
    """Write `out`/{train,validation,test}.npz, scaling.npz and, last, card.json; returns the card.

    Args:
        extractor: name of the network, see `mmbench.frozen.embedders`.
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        data: folder that `python -m mmbench.stages.data` wrote.

    Raises:
        UserError: the extractor does not exist, or its weights or the data are missing.
    """
    card = read_card(data)
    if "embedding" in card["modalities"]:
        raise UserError(f"{data}: its images are embedded already; name the folder that mmbench.stages.data wrote")
    embedder = load_embedder(extractor, weights, device)
    splits: dict[str, Any] = {}
    for split in SPLITS:  # the training split first: the scaling is computed on it
        arrays = read_prepared(data, split)
        embeddings = embedded(arrays, split, embedder)
        if split == SPLITS[0]:
            scaling = fit_scaling(embeddings["embedding"])
        arrays |= {name: scaling(array) for name, array in embeddings.items()}
        save_arrays(out / f"{split}.npz", arrays)
        shapes = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()}
        splits[split] = {**card["splits"][split], "sha256": sha256_arrays(arrays), "arrays": shapes}
        print(f"{card['name']} {split}: {len(arrays['image'])} images by {extractor}", flush=True)
    save_arrays(out / "scaling.npz", scaling.arrays())
    described = {"extractor": extractor, "size": len(scaling.mean), "weights_sha256": embedder.weights_sha256}
    listed = card["modalities"]
    named = {**listed, "embedding": "vector"} if isinstance(listed, dict) else [*listed, "embedding"]
    written = {**card, "modalities": named, "embedding": described, "splits": splits}
    write_json(out / "card.json", written)
    return written


def command(
    extractor: Annotated[str, Option(help="vgg16-relu5_3-gap or clip.<model>.<weights>.")],
    weights: NetworksFolder,
    data: Annotated[Path, Option(help="Folder that the stage data wrote.")],
    out: Annotated[Path, Option(help="Folder for the splits, scaling.npz and card.json.")],
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Write a prepared data folder with an embedding of every image, as another prepared data folder."""
    chosen = choose_device(device, threads)
    with alone(out, "embedding"):
        write_embedded(extractor, weights=weights, data=data, out=out, device=chosen)


main = stage_main(command, "embed")

if __name__ == "__main__":
    run_command(main)
