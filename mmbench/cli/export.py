"""`mmbench export`: write a trained model to a folder for another machine, or to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mmbench
from mmbench.errors import UserError


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of one training run.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for the three files.")],
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Also upload the model to this Hugging Face repository.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Write a trained model to a folder that one call loads on another machine, or to a hub.

    A folder to copy to another machine:

      mmbench export results/quick/joint/mt_diffusion/seed0 street-model

    The same as a private repository of a hub that you are logged in to (`hf auth login`):

      mmbench export results/quick/joint/mt_diffusion/seed0 street-model \\
        --push you/street-model --private

    There, `mmbench.load("street-model")` loads the folder, and `Model.from_pretrained("you/street-model")` of
    `mmbench.inference.model` the repository.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already; name a new folder")
    model = mmbench.load(folder, "cpu")
    model.save_pretrained(out)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if push:
        try:
            print(model.push_to_hub(push, private=private or None))
        except Exception as error:  # errors of the hub's library and of its HTTP client have no common base
            reason = " ".join(str(error).split())
            raise UserError(f"--push {push}: {reason:.200}; log in, or copy {out} there yourself") from None
