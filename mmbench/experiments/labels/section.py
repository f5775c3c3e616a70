"""Labels: classes of clean and noised images, images of classes, and both generated together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and label"
LEAD = (
    "Methods have four tasks: classify a test image, classify a noised one, generate an image of a given class, and "
    "generate an image and its label together. A judge determines what an image shows: a classifier that is trained "
    "on real images and is not one of the methods compared."
)
JUDGED = (
    "Judged: whether the judge sees the label in the image; for real images, the true label. IS uses the judge's "
    "predictions."
)
JOINT = "FJD: Fréchet distance of pairs of image and label, so it also rises if image and label do not fit."
SHUFFLED = "Shuffled: judged accuracy with every label paired with another image, which is the value by chance."
PAINTED = Pictures(
    "Images that each method generates for the classes, the first two of each.", answers=("image",), by_label=True
)
DRAWN = Pictures(
    "Images and labels generated together, not selected, from the same noise where methods share it. Below each image: "
    "its most probable label.",
    answers=("image",),
    likeliest=True,
)
QUESTIONS = (
    Question("classify", "Classifying", "accuracy", also=("ece",), paired="accuracy"),
    Question(
        "classify_noised",
        "Classifying noised images",
        "accuracy",
        paired="accuracy",
        level="alpha_bar",
        level_name="signal left in the image (ᾱ)",
    ),
    Question(
        "paint",
        "Generating images of given labels",
        "fd",
        also=("judged_accuracy",),
        paired="judged_accuracy",
        real="Real images",
        notes=(JUDGED, JOINT),
        pictures=PAINTED,
    ),
    Question(
        "generate",
        "Generating image and label together",
        "fjd",
        also=("fd", "judged_accuracy"),
        paired="judged_accuracy",
        real="Real images",
        control="shuffled_accuracy",
        notes=(JUDGED, JOINT, SHUFFLED),
        pictures=DRAWN,
    ),
)
#: Single-task models.
SINGLES = ("classifier", "noised_classifier", "cfg_ddpm")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "judged_accuracy")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [])
