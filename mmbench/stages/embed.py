"""Command line: a prepared data folder with an embedding of every image beside it, as another prepared data folder.

Each dimension is centred on the training split's mean, and all are divided by one deviation; both are in scaling.npz.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.data import SPLITS, read_card, read_prepared
from mmbench.errors import Parser, UserError, counting_number, run_command
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_arrays, write_json
from mmbench.frozen.embedders import Embedder, fit_scaling, load_embedder
from mmbench.stages.runtime import choose_device

#: Of the training split only: the embedding of the mirrored image, for a training that mirrors images.
MIRRORED = "embedding_mirrored"


def embedded(arrays: Arrays, split: str, embedder: Embedder) -> Arrays:
    """The raw embeddings of a split's images; of the training split, those of the mirrored images too."""
    images = arrays["image"]
    found = {"embedding": embedder(images)}
    if split == "train":
        found[MIRRORED] = embedder(np.ascontiguousarray(images[..., ::-1]))
    if not all(np.isfinite(array).all() for array in found.values()):
        raise UserError(f"{embedder.name}: the embedding of a {split} image is not finite; use another extractor")
    return found


def write_embedded(extractor: str, *, weights: Path, data: Path, out: Path, device: torch.device) -> dict[str, Any]:
    """Write `out`/{train,validation,test}.npz, scaling.npz and, last, card.json; returns the card.

    Args:
        extractor: name of the network, see `mmbench.frozen.embedders`.
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        data: folder that `python -m mmbench.stages.data` wrote.
        out: folder to write to.
        device: where to compute.

    Raises:
        UserError: the extractor does not exist, or its weights or the data are missing.
    """
    card = read_card(data)
    if "embedding" in card["modalities"]:
        raise UserError(f"{data}: its images are embedded already; name the folder that mmbench.stages.data wrote")
    embedder = load_embedder(extractor, weights, device)
    splits: dict[str, Any] = {}
    for split in SPLITS:  # the training split first: it has the scaling
        arrays = read_prepared(data, split)
        found = embedded(arrays, split, embedder)
        if split == SPLITS[0]:
            scaling = fit_scaling(found["embedding"])
        arrays |= {name: scaling(array) for name, array in found.items()}
        save_arrays(out / f"{split}.npz", arrays)
        shapes = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()}
        splits[split] = {**card["splits"][split], "sha256": sha256_arrays(arrays), "arrays": shapes}
        print(f"{card['name']} {split}: {len(arrays['image'])} images by {extractor}", flush=True)
    save_arrays(out / "scaling.npz", scaling.arrays())
    described = {"extractor": extractor, "size": len(scaling.mean), "weights_sha256": embedder.weights_sha256}
    written = {**card, "modalities": [*card["modalities"], "embedding"], "embedding": described, "splits": splits}
    write_json(out / "card.json", written)
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.embed --extractor NAME --weights DIR --data DIR --out DIR`."""
    parser = Parser(prog="python -m mmbench.stages.embed", description=__doc__)
    parser.add_argument("--extractor", required=True, help="vgg16-relu5_3-gap or clip.<model>.<weights>")
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.frozen.lpips wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder that mmbench.stages.data wrote")
    parser.add_argument("--threads", type=counting_number, default=1, help="CPU threads to compute with")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="folder for the splits, scaling.npz and card.json")
    args = parser.parse_args(argv)
    device = choose_device(args.device, args.threads)
    with alone(args.out, "embedding"):
        write_embedded(args.extractor, weights=args.weights, data=args.data, out=args.out, device=device)


if __name__ == "__main__":
    run_command(main)
