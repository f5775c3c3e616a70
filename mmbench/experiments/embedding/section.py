"""Embedding: what a frozen network says of images, images of that, and both drawn together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and embedding"
LEAD = (
    "Three questions: what would the frozen extractor say of a test image, paint an image for a given embedding, and "
    "draw an image and its embedding together. Painted and drawn images are embedded anew to see whether they fit."
)
RETRIEVED = (
    "R@k/a-b: share of the a's with their own partner among the k nearest b's of the case; median rank: its median "
    "place, 1 is best."
)
SHUFFLED = "Shuffled cosine: every embedding beside another item's, which is what agrees by chance."
PAINTED = Pictures(
    "Test images, not selected, and what each method paints when it is given their embeddings. Below each: cosine of "
    "the given embedding and that of the painted image.",
    answers=("image",),
    stored=[("truth/image", "Real image")],
    metric="cosine",
)
DRAWN = Pictures(
    "Images drawn with an embedding, not selected, from the same noise where methods share it. Below each: cosine of "
    "the drawn embedding and that of the drawn image.",
    answers=("image",),
    metric="cosine",
)
QUESTIONS = (
    Question("embed", "Embedding images", "cosine", also=("retrieval@1/predicted-true",), paired="cosine",
             notes=(RETRIEVED,)),
    Question("paint", "Painting given embeddings", "cosine", also=("fd",), paired="cosine", real="Real images",
             control="shuffled_cosine", notes=(RETRIEVED, SHUFFLED), pictures=PAINTED),
    Question("generate", "Drawing image and embedding together", "fd", also=("fd_embedding", "cosine"),
             paired="cosine", real="Real images", control="shuffled_cosine", notes=(RETRIEVED, SHUFFLED),
             pictures=DRAWN),
)  # fmt: skip
#: Models of one task each.
SINGLES = ("regression", "rcg")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "cosine")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [])
