"""Embedding: embeddings of images by a frozen network, images from embeddings, and both generated together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and embedding"
LEAD = (
    "Methods have three tasks: predict the embedding that the frozen extractor has of a test image, generate an "
    "image for a given embedding, and generate an image and its embedding together. The extractor then embeds the "
    "generated images to measure whether they fit."
)
RETRIEVED = (
    "R@k/a-b: share of the items a whose partner is among the k nearest items b of the case. Median rank: the median "
    "rank of the partner; 1 is best."
)
SHUFFLED = "Shuffled cosine: the cosine of embeddings paired with those of other items, which is the value by chance."
PAINTED = Pictures(
    "The first test images, and what each method generates from their embeddings. Below each: the cosine between the "
    "given embedding and that of the generated image.",
    answers=("image",),
    stored=[("truth/image", "Real image")],
    metric="cosine",
)
DRAWN = Pictures(
    "Images generated together with an embedding, not selected, from the same noise where methods share it. Below "
    "each: the cosine between the generated embedding and that of the generated image.",
    answers=("image",),
    metric="cosine",
)
QUESTIONS = (
    Question("embed", "Embedding images", "cosine", also=("retrieval@1/predicted-true",), paired="cosine",
             notes=(RETRIEVED,)),
    Question("paint", "Generating images of given embeddings", "cosine", also=("fd",), paired="cosine",
             real="Real images", control="shuffled_cosine", notes=(RETRIEVED, SHUFFLED), pictures=PAINTED),
    Question("generate", "Generating image and embedding together", "fd", also=("fd_embedding", "cosine"),
             paired="cosine", real="Real images", control="shuffled_cosine", notes=(RETRIEVED, SHUFFLED),
             pictures=DRAWN),
)  # fmt: skip
#: Single-task models.
SINGLES = ("regression", "rcg")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "cosine")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [])
