"""Labels: classes of clean and noised images, images of classes, and both drawn together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and label"
LEAD = (
    "Four questions: name the class of a test image, and of one with noise, paint an image of a given class, and draw "
    "an image and its label together. What an image shows is said by a judge, a classifier trained on real images that "
    "is no method here."
)
JUDGED = "Judged: whether the judge sees the label in the image; for real images, the true one. IS is with the judge."
JOINT = "FJD: Fréchet distance of images beside their labels, so it also rises when pairs do not fit."
SHUFFLED = "Shuffled: judged accuracy with every label beside another image, which is what agrees by chance."
PAINTED = Pictures(
    "What each method paints for the classes, the first two items of each.", answers=("image",), by_label=True
)
DRAWN = Pictures(
    "Images and labels drawn together, not selected, from the same noise where methods share it. Below each image: the "
    "likeliest label.",
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
        "Painting given labels",
        "fd",
        also=("judged_accuracy",),
        paired="judged_accuracy",
        real="Real images",
        notes=(JUDGED, JOINT),
        pictures=PAINTED,
    ),
    Question(
        "generate",
        "Drawing image and label together",
        "fjd",
        also=("fd", "judged_accuracy"),
        paired="judged_accuracy",
        real="Real images",
        control="shuffled_accuracy",
        notes=(JUDGED, JOINT, SHUFFLED),
        pictures=DRAWN,
    ),
)
#: Models of one task each.
SINGLES = ("classifier", "noised_classifier", "cfg_ddpm")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "judged_accuracy")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [])
