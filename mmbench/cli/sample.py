"""`mmbench sample`: give a trained model some modalities, and write the others as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import mmbench
from mmbench.config.schema import SamplerName
from mmbench.errors import UsageError

Names = Annotated[list[str] | None, typer.Option(metavar="NAME", help="A modality to generate; all others by default.")]


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """`name=value` words as a mapping; UsageError if a word has no `=`, or a name comes twice."""
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise UsageError(f"--given: '{word}' is not modality=value; write e.g. image=street.png")
        if name in values:
            raise UsageError(f"--given: {name} is given twice; give it once")
        values[name] = value
    return values


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of one training run.")],
    out: Annotated[Path, typer.Option(help="Folder for the answers.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="An input: a modality and its file or value.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A further input; the same as NAME=VALUE.")
    ] = None,
    want: Names = None,
    count: Annotated[int, typer.Option(help="Number of answers for each input.")] = 1,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance; by default the tuned one.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    sampler: Annotated[SamplerName | None, typer.Option(help="Sampler; by default the tuned one.")] = None,
    nfe: Annotated[
        int | None, typer.Option(help="Network evaluations for each answer; by default the tuned number.")
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Resize images to the size of the model.")] = False,
    device: Annotated[str, typer.Option(help="Device: auto (a GPU if there is one), cpu or cuda.")] = "auto",
) -> None:
    """Give a trained model some modalities, and write the others as files.

    FOLDER/training.json lists the modalities. Images and masks are image files: a mask holds class numbers as greyscale
    or palette, or the colours of the data set, and a masked image is transparent where the model fills it in. A label
    is a name or a number. Every modality can also be an .npy file, or the .npz file that this command wrote.

    An image's mask, label and embedding, all from one model:

      mmbench sample results/quick/joint/mt_diffusion/seed0 \\
        image=street.png --out answer

    Eight images for one mask and one label:

      mmbench sample results/quick/joint/mt_diffusion/seed0 \\
        mask=map.png label='day, clear' --want image --count 8 --out painted

    Four scenes generated from noise, with all modalities:

      mmbench sample results/quick/joint/mt_diffusion/seed0 \\
        --count 4 --out drawn
    """
    known = pairs([*(given or ()), *(more or ())])
    model = mmbench.load(folder, device)
    model.check_names(known)
    answer = model.generate(
        want=want, count=count, guidance=guidance, seed=seed, sampler=sampler, nfe=nfe, resize=resize, **known
    )
    print(f"{len(answer)} x {', '.join(answer.arrays)}: {answer.save(out)}")
