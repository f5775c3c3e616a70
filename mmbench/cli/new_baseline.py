"""`mmbench new-baseline`: one file that is a baseline, works as it is, and says where to edit it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmbench.config.check import TOP
from mmbench.config.checkout import find_checkout
from mmbench.config.configuration import Config
from mmbench.config.discovery import NAME, find_in
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError, near
from mmbench.files.atomic import write_text

TEMPLATES = PackageLoader("mmbench.cli")
#: Folders beside those of the methods in an experiment's results.
TAKEN = ("judge", "log")


@dataclass(frozen=True)
class Start:
    """What a new baseline of an experiment begins with: a task, what it is given and wants, and the code for it."""

    task: str
    given: str
    want: str
    head: str
    make_head: str
    forward_says: str
    loss: tuple[str, ...]
    predict_says: str
    predict: str
    pixels: bool = False
    answers: str = ""


_MASK = {
    "given": "image",
    "want": "mask",
    "head": "PixelHead, UNet",
    "make_head": 'PixelHead(self.backbone, spec.modalities["mask"].classes)',
    "forward_says": "Class logits (n, classes, h, w) of an image (n, 3, h, w) in [-1, 1].",
    "loss": ('return {"loss": F.cross_entropy(answer, truth, ignore_index=255)}',),
    "predict_says": "the likeliest class of each pixel",
    "predict": 'self(given["image"]).argmax(dim=1)',
    "pixels": True,
}
STARTS = {
    "masking": Start(
        task="reconstruct",
        given="masked_image",
        want="image",
        head="PixelHead, UNet",
        make_head='PixelHead(self.backbone, spec.modalities["image"].shape[0])',
        forward_says="The image (n, 3, h, w) of a masked one (n, 4, h, w), whose last channel is 1 where seen.",
        loss=(
            'hidden = 1 - batch["masked_image"][:, -1:]',
            'error = F.smooth_l1_loss(answer, truth, reduction="none")',
            'return {"loss": (hidden * error).sum() / (hidden.sum() * error.shape[1]).clamp(min=1)}',
        ),
        predict_says="the image, into which the seen pixels are pasted",
        predict='self(given["masked_image"]).clamp(-1, 1)',
        pixels=True,
    ),
    "segmentation": Start(task="segment", **_MASK),  # type: ignore[arg-type]
    "labels": Start(
        task="classify",
        given="image",
        want="label",
        head="UNet, VectorReader",
        make_head='VectorReader(self.backbone, spec.modalities["label"].classes)',
        forward_says="Class logits (n, classes) of an image (n, 3, h, w) in [-1, 1].",
        loss=('return {"loss": F.cross_entropy(answer, truth, label_smoothing=0.1)}',),
        predict_says="class probabilities",
        predict='self(given["image"]).softmax(dim=1)',
    ),
    "embedding": Start(
        task="embed",
        given="image",
        want="embedding",
        head="UNet, VectorReader",
        make_head='VectorReader(self.backbone, spec.modalities["embedding"].shape[0])',
        forward_says="The embedding (n, d) of an image (n, 3, h, w) in [-1, 1].",
        loss=('return {"loss": F.smooth_l1_loss(answer, truth)}',),
        predict_says="the embedding",
        predict='self(given["image"])',
    ),
    "joint": Start(task="from_image", answers="mask", **_MASK),  # type: ignore[arg-type]
}


def render(experiment: str, name: str) -> str:
    """The text of a new baseline."""
    environment = Environment(
        loader=TEMPLATES, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template, start = environment.get_template("baseline.py.j2"), asdict(STARTS[experiment])
    return template.render(experiment=experiment, title=name.replace("_", " ").capitalize(), **start)


def write_baseline(root: Path, experiment: str, name: str) -> Path:
    """Write a baseline to baselines/<experiment>/<name>.py of a checkout; returns the path.

    Raises:
        UserError: there is no such experiment, the name is no name or is taken.
    """
    if experiment not in STARTS:
        raise UserError(f"{experiment}: no experiment{near(experiment, STARTS)}; there are {', '.join(STARTS)}")
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: write a name of a-z, 0-9 and _ that starts with a letter, like my_idea")
    known = find_in(root, experiment)
    if name in known or name in TAKEN:
        where = known[name].path if name in known else "the results"
        raise UserError(f"{name}: is taken by {where}; choose another name")
    path = root / "baselines" / experiment / f"{name}.py"
    write_text(path, render(experiment, name))
    assert name in find_in(root, experiment)
    return path


def left_out(root: Path, experiment: str, name: str) -> str | None:
    """The file of the configured profile, if it names the experiment's methods and this one is not among them."""
    config = Config(read_yaml(root / TOP, root), root)
    used = experiment in config.experiments and name in config.chosen(experiment, [*find_in(root, experiment)])
    return None if used else config.file


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help=", ".join(STARTS), autocompletion=lambda: [*STARTS])
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the file, in a-z, 0-9 and _.")],
) -> None:
    """Write a baseline that works, to be edited: one file, and nothing to register.

    It is trained, asked, scored and tested like all others, and passes their tests as it is.

    Examples:

      mmbench new-baseline masking my_idea
      mmbench run masking --profile smoke
      mmbench results results/smoke
    """
    root = find_checkout()
    path = write_baseline(root, experiment, name)
    here = path.relative_to(root)
    print(f"written: {here} (in {root})\n")
    if file := left_out(root, experiment, name):
        print(f"first    add {experiment}/{name} to `methods` in {file}, which names those that it runs")
    print(f"edit     {here}: its `loss` first")
    if (root / "tests" / "test_baselines.py").is_file():
        print(f"test     python -m pytest tests/test_baselines.py -k {name}")
    print(f"try      mmbench run {experiment} --profile smoke   (does it run? its numbers mean nothing)")
    print(f"run      mmbench run {experiment}")
    print("see      mmbench results")
