"""The cases of joint: subsets of the modalities as inputs, and masked images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mmbench.experiments.experiment import Case, stored_cases
from mmbench.experiments.joint.tasks import TASKS
from mmbench.files.store import Arrays
from mmbench.modalities import Modality
from mmbench.modalities.masked_image import hide_stored


def cases(test: Arrays, modalities: Mapping[str, Modality], settings: Mapping[str, Any]) -> list[Case]:
    """`stored_cases` of the tasks in `questions`, or of all possible ones, and a case of masked images.

    The masked images, of which `share` is hidden, are as many as the items of the tasks that generate no image.
    """
    tasks = {name: task for name, task in TASKS.items() if name in settings.get("questions", TASKS)}
    asked = stored_cases(tasks, test, modalities, settings["evaluate"])
    if "masked_image" in modalities and "reconstruct" in tasks:
        first = slice(settings["evaluate"]["reconstructions"])
        want = tuple(name for name in TASKS["reconstruct"].want if name in modalities)
        truth = {name: test[name][first] for name in want}
        generator = torch.Generator().manual_seed(0)  # the masks are part of the benchmark, not of a run
        given = {"masked_image": hide_stored(test["image"][first], settings["share"], generator)}
        count, detail = len(given["masked_image"]), {"share": settings["share"]}
        asked.append(Case("reconstruct", "reconstruct", count, given, truth, detail, want))
    return asked
