"""The names of metrics, their rounding, and what each measures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_EXTRACTOR = re.compile(r"\[([^\]]*)\]")
_NAME = re.compile(r"(?P<base>[a-z0-9_]+)(?P<rest>.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Metric:
    """A metric for a reader.

    Attributes:
        label: the short name.
        decimals: the number of decimals to show.
        bounds: the smallest and the largest possible value, which may be infinite; None if the smallest is.
    """

    label: str
    decimals: int
    meaning: str
    bounds: tuple[float, float] | None = None


#: The bounds of a share, of a cosine or SSIM, and of a distance or error.
SHARE, COSINE, DISTANCE = (0.0, 1.0), (-1.0, 1.0), (0.0, math.inf)
METRICS = {
    "lpips_alex": Metric("LPIPS (AlexNet)", 4, "learned perceptual distance of the composite to the source", DISTANCE),
    "lpips_vgg": Metric("LPIPS (VGG16)", 4, "learned perceptual distance of the composite to the source", DISTANCE),
    "psnr": Metric("PSNR, dB", 2, "peak signal-to-noise ratio in the hole, per image, then averaged"),
    "ssim": Metric("SSIM", 4, "structural similarity of the whole composite to the source", COSINE),
    "l1": Metric("L1", 4, "mean absolute error in the hole", DISTANCE),
    "miou": Metric(
        "mIoU", 3, "mean over classes of intersection over union, all pixels of the case in one matrix", SHARE
    ),
    "pixel_accuracy": Metric(
        "Pixel accuracy", 4, "share of an image's labelled pixels with the right class, averaged", SHARE
    ),
    "iou": Metric("IoU", 3, "intersection over union of one class", SHARE),
    "judged_miou": Metric(
        "Judged mIoU", 3, "mIoU of what the judge sees in an image against the mask it should show", SHARE
    ),
    "judged_accuracy": Metric(
        "Judged accuracy", 4, "share of images, or of an image's pixels, where the judge sees what it should", SHARE
    ),
    "shuffled_miou": Metric(
        "Shuffled mIoU", 3, "judged mIoU of masks beside other images: what agrees by chance", SHARE
    ),
    "abs_rel": Metric(
        "AbsRel", 3, "absolute error of depth as a share of the true one, mean of an image's pixels", DISTANCE
    ),
    "rmse": Metric("RMSE, m", 1, "root of the mean squared error of an image's depth in metres, averaged", DISTANCE),
    "delta": Metric(
        "δ < 1.25", 3, "share of an image's pixels whose depth is within a factor of 1.25 of the true one", SHARE
    ),
    "judged_delta": Metric(
        "Judged δ", 3, "delta of the depth that the judge sees in an image against what it should be", SHARE
    ),
    "shuffled_delta": Metric(
        "Shuffled δ", 3, "judged delta of depth maps beside other images: what agrees by chance", SHARE
    ),
    "cosine": Metric(
        "Cosine", 4, "cosine of an item's two embeddings: answered and true, or given or generated and seen", COSINE
    ),
    "shuffled_cosine": Metric(
        "Shuffled cosine", 4, "cosine of embeddings beside other images: what agrees by chance", COSINE
    ),
    "retrieval": Metric("R", 3, "share of embeddings that have their partner among the k nearest of the case's", SHARE),
    "median_rank": Metric(
        "Median rank", 1, "median place of an embedding's partner among the case's, by cosine", DISTANCE
    ),
    "fd_embedding": Metric("FD of embeddings", 1, "Fréchet distance of embeddings to the real split's", DISTANCE),
    "accuracy": Metric("Accuracy", 4, "share of images whose likeliest class is the true one", SHARE),
    "macro_precision": Metric(
        "Macro precision", 4, "share of the images called a class that are of it, mean of classes", SHARE
    ),
    "macro_recall": Metric("Macro recall", 4, "share of a class's images that are called so, mean of classes", SHARE),
    "macro_f1": Metric("Macro F1", 4, "harmonic mean of a class's precision and recall, mean of classes", SHARE),
    "ece": Metric(
        "ECE", 4, "expected calibration error: confidence against accuracy, over 15 bins of confidence", SHARE
    ),
    "shuffled_accuracy": Metric(
        "Shuffled accuracy", 4, "judged accuracy of labels beside other images: by chance", SHARE
    ),
    "is": Metric(
        "IS", 2, "inception score with the named classifier: how sure it is of each image, and how varied", DISTANCE
    ),
    "fjd": Metric(
        "FJD", 1, "Fréchet distance of generated to real pairs: image features beside scaled labels", DISTANCE
    ),
    "kjd": Metric("KJD", 4, "kernel distance of generated to real pairs: image features beside scaled labels"),
    "fd": Metric("FD", 1, "Fréchet distance of generated to real images in feature space", DISTANCE),
    "kd": Metric("KD", 4, "kernel distance (MMD², cubic kernel) of generated to real images in feature space"),
    "precision": Metric("Precision", 3, "share of generated images within the real ones' k-NN manifold", SHARE),
    "recall": Metric("Recall", 3, "share of real images within the generated ones' k-NN manifold", SHARE),
    "density": Metric("Density", 3, "how densely real images surround the generated ones", DISTANCE),
    "coverage": Metric("Coverage", 3, "share of real images with a generated one in their k-NN ball", SHARE),
}
_ORDER = list(METRICS)


def _key(name: str) -> str:
    match = _NAME.match(name)
    base = match["base"].lower() if match else name
    if base in METRICS:
        return base
    return next((key for key in _ORDER if base.startswith(f"{key}_")), "")


def describe(name: str) -> Metric:
    """The reader's view of a metric called e.g. `lpips_alex`, `psnr_hole` or `fd[vgg16-relu5_3-gap]`.

    The bracket (extractor) and `@k` stay part of the label, so that no `FD[...]` is taken for the Inception FID. An
    unknown metric is shown by its own name.
    """
    key = _key(name)
    if not key:
        return Metric(name, 4, "")
    metric, match = METRICS[key], _NAME.match(name)
    return replace(metric, label=metric.label + (match["rest"] if match else ""))


def short_label(name: str) -> str:
    """The reader's name of a metric without its network; a cosine with a network is that of images."""
    label, bracket, rest = describe(name).label.partition("[")
    return f"{label} of images" if bracket and measured(name) == "cosine" else label + rest.partition("]")[2]


def extractor_of(name: str) -> str:
    """The part of a metric's name in brackets, usually the network that embeds the images; empty without brackets."""
    match = _EXTRACTOR.search(name)
    return match[1] if match else ""


def measured(name: str) -> str:
    """A metric's name without its brackets, which several extractors may share."""
    return _EXTRACTOR.sub("", name)


def in_order(names: Iterable[str]) -> list[str]:
    """Metric names in the order in which they are shown: known ones first.

    Extractors of the same metric keep the order in which they first occur in `names`.
    """
    given = list(dict.fromkeys(names))
    extractors = ["", *dict.fromkeys(map(extractor_of, given))]

    def place(name: str) -> tuple[int, str, int, str]:
        known = _ORDER.index(_key(name)) if _key(name) else len(_ORDER)
        return known, measured(name), extractors.index(extractor_of(name)), name

    return sorted(given, key=place)


def leading(names: Iterable[str]) -> list[str]:
    """The names in order, without those that repeat a metric of the first extractor with another one."""
    first: dict[str, str] = {}
    order = in_order(names)
    return [name for name in order if not extractor_of(name) or first.setdefault(measured(name), name) == name]
