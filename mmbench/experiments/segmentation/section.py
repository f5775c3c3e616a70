"""Segmentation: class maps of images, images of class maps, and both generated together."""

from __future__ import annotations

from mmbench.report.parts.frontier import frontier
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.task_pictures import Pictures
from mmbench.report.parts.tasks import Question, build_tasks

TITLE = "Image and mask"
LEAD = (
    "Methods have three tasks: classify each pixel of a test image, generate an image for a test mask, and generate "
    "an image and its mask together. A judge determines what an image shows: a segmenter that is trained on real "
    "images and is not one of the methods compared."
)
JUDGED = "Judged: what the judge sees in an image, against the mask it should show; for real images, the true mask."
SHUFFLED = "Shuffled: the same with every mask paired with another image, which is the value by chance."
SEGMENTED = Pictures(
    "Test images, not selected, their true masks, and the mask of each method. Below each: its pixel accuracy.",
    answers=("mask",),
    stored=[("given/image", "Source"), ("truth/mask", "True mask")],
    metric="pixel_accuracy",
)
PAINTED = Pictures(
    "Test masks, not selected, and the images that each method generates for them. The real image is only one of many "
    "that fit the mask. Below each: judged accuracy.",
    answers=("image",),
    stored=[("given/mask", "Given mask"), ("truth/image", "Real image")],
    metric="judged_accuracy",
)
DRAWN = Pictures(
    "Images and masks generated together, not selected, from the same noise where methods share it. Below each mask: "
    "judged accuracy.",
    answers=("image", "mask"),
    metric="judged_accuracy",
)
QUESTIONS = (
    Question(
        "segment",
        "Segmenting",
        "miou",
        paired="pixel_accuracy",
        apart="iou/",
        apart_caption="IoU of each class; higher is better. A class that is in no test mask and was never predicted "
        "has none.",
        pictures=SEGMENTED,
    ),
    Question(
        "paint",
        "Generating images of given masks",
        "judged_miou",
        also=("fd",),
        paired="judged_accuracy",
        real="Real images",
        notes=(JUDGED,),
        pictures=PAINTED,
    ),
    Question(
        "generate",
        "Generating image and mask together",
        "judged_miou",
        also=("fd",),
        paired="judged_accuracy",
        real="Real images",
        control="shuffled_miou",
        notes=(JUDGED, SHUFFLED),
        pictures=DRAWN,
    ),
)
#: Single-task models.
SINGLES = ("unet", "segdiff")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    drawing = frontier(context, "fd", "judged_miou")
    return build_tasks(context, TITLE, LEAD, QUESTIONS, SINGLES, extra=[drawing] if drawing else [], classes=True)
