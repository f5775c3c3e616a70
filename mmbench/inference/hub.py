"""A trained model as a separate folder, in the layout of Hugging Face hub repositories.

The folder has `config.json` (the network and its origin), `model.safetensors` and `README.md` (the card). It holds no
code: the installed method of the same name loads it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin, snapshot_download

from mmbench.errors import UserError
from mmbench.files.atomic import atomic_path, write_text
from mmbench.files.store import read_record, write_json
from mmbench.report.cards import model_card

#: The record and the weights in the folder of a training run, and in a published folder.
TRAINING = ("training.json", "weights.safetensors")
PUBLISHED = ("config.json", "model.safetensors")
CARD = "README.md"
#: Entries of training.json that do not describe the model but the course of training.
LEFT_OUT = {"curve", "gradient_cosines"}


def layout(folder: Path) -> tuple[Path, Path]:
    """The record and the weights in a folder of either layout; those of a training run if the folder has neither."""
    record, weights = PUBLISHED if (folder / PUBLISHED[0]).is_file() else TRAINING
    return folder / record, folder / weights


class Published(ModelHubMixin, library_name="mmbench"):
    """`save_pretrained`, `from_pretrained` and `push_to_hub` of a model that knows its folder and its settings."""

    folder: Path
    settings: Mapping[str, Any]
    _hub_mixin_config: Any = {}  # noqa: RUF012 (the base class then takes no arguments of `__init__` for the settings)

    @classmethod
    def read(cls, folder: str | os.PathLike[str], device: str) -> Self:
        """The model of a folder."""
        raise NotImplementedError

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the three files; choices made on the validation split become part of the settings."""
        record, weights = layout(self.folder)
        described = {key: value for key, value in read_record(record).items() if key not in LEFT_OUT}
        write_json(save_directory / PUBLISHED[0], {**described, "settings": dict(self.settings)})
        with atomic_path(save_directory / PUBLISHED[1]) as temporary:
            shutil.copyfile(weights, temporary)
        known = self.folder / CARD
        write_text(save_directory / CARD, known.read_text("utf-8") if known.is_file() else model_card(self.folder))

    @classmethod
    def from_pretrained(  # type: ignore[override] # the settings are the file's: none may be given
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        device: str = "auto",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Self:
        """Load a folder, or a model from a hub.

        Args:
            pretrained_model_name_or_path: a folder of either layout, or `owner/name`.
            device: `auto` (a GPU if there is one), `cpu` or `cuda`.
            revision: branch, tag or commit of the repository; likewise the other arguments are those of
                `huggingface_hub.snapshot_download`.
            cache_dir: folder of downloads.
            local_files_only: whether to use downloads only.

        Raises:
            UserError: there is no such model, it cannot be downloaded, or it is damaged.
        """
        name = os.fspath(pretrained_model_name_or_path)
        if Path(name).is_dir():
            return cls.read(name, device)
        try:
            folder = snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=[*PUBLISHED, CARD],
            )
        except Exception as error:  # errors of the hub's library and of any HTTP client
            reason = " ".join(str(error).split())
            raise UserError(f"{name}: no such folder, and no hub gives it ({reason:.160}); check the name") from None
        return cls.read(folder, device)
