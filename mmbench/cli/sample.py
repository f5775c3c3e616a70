"""`mmbench sample`: give a trained model some modalities, get the others as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import mmbench
from mmbench.config.schema import SamplerName
from mmbench.errors import UsageError

Names = Annotated[list[str] | None, typer.Option(metavar="NAME", help="What to generate; else all that is not given.")]


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """`name=value` words as a mapping.

    Raises:
        UsageError: a word has no `=`, or a name comes twice.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise UsageError(f"--given: '{word}' is no modality=value; write e.g. image=street.png")
        if name in values:
            raise UsageError(f"--given: {name} comes twice; give it once")
        values[name] = value
    return values


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of one training.")],
    out: Annotated[Path, typer.Option(help="Folder for what is generated.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="What is given.")] = None,
    given: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="What is given, too.")] = None,
    want: Names = None,
    count: Annotated[int, typer.Option(help="Answers for each given item.")] = 1,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance; else as chosen.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    sampler: Annotated[SamplerName | None, typer.Option(help="How noise becomes an answer; else as chosen.")] = None,
    nfe: Annotated[int | None, typer.Option(help="Network evaluations for each answer; else as chosen.")] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Resize pictures of another size to the model's.")] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")] = "auto",
) -> None:
    """Give a trained model some modalities, get the others as files.

    FOLDER/training.json says which modalities there are. Images and masks are pictures (a mask holds class numbers as
    greyscale or palette, or the data set's colours; a masked image is transparent where it is to be filled), a label is
    a name or a number, and everything may be an .npy or the .npz that this command wrote.

    An image's mask, label and embedding, all from one model:

      mmbench sample results/quick/joint/mt_diffusion/seed0 \\
        image=street.png --out answer

    Eight images of a mask and a label:

      mmbench sample results/quick/joint/mt_diffusion/seed0 \\
        mask=map.png label='day, clear' --want image --count 8 --out painted

    Four scenes drawn from nothing, with everything about them:

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
