"""Embedding: what a frozen network says of images, images of that, and both drawn together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and embedding"
LEAD = (
    "Methods answer three questions: predict the embedding that the frozen extractor has of a test image, generate an "
    "image for a given embedding, and generate an image and its embedding together. Generated images are embedded anew "
    "to measure whether they fit."
)
RETRIEVED = (
    "R@k/a-b: share of the a's with their own partner among the k nearest b's of the case; median rank: its median "
    "place, 1 is best."
)
SHUFFLED = "Shuffled cosine: every embedding beside another item's, which is what agrees by chance."
PAINTED = Pictures(
    "The first test images, and what each method generates from their embeddings. The cosine of the given embedding "
    "and that of the generated image stands below each.",
    answers=("image",),
    stored=[("truth/image", "Real image")],
    metric="cosine",
)
DRAWN = Pictures(
    "Images generated with an embedding, not selected, from the same noise where methods share it. The cosine of the "
    "generated embedding and that of the generated image stands below each.",
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
#: Models of one task each.
SINGLES = ("regression", "rcg")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "cosine")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [])
