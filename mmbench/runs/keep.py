"""Copies the small files of a finished run, to publish them: page, tables, figures and records.

Large files (weights, arrays, values of single items) are left out; the copy's manifest has their hashes as `left_out`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from mmbench.config.checkout import ROOT
from mmbench.errors import UserError
from mmbench.files.atomic import write_text
from mmbench.files.store import sha256_file, write_json
from mmbench.runs.manifest import NAME, contents, read_manifest
from mmbench.runs.manifest_schema import Manifest

#: The way to the checkout in a page's links to its files.
CHECKOUT = re.compile(r'(?<=href=")(?:\.\./)+(?=(?:baselines|docs|mmbench)/)')
LARGE = (".npz", ".safetensors", "/items.csv")


def keep(run: Path, out: Path) -> Manifest:
    """Copy the small files of a run's manifest to `out`, in place of an earlier copy; returns the copy's manifest.

    Raises:
        UserError: a file differs from the manifest, or `out` exists and is not such a copy.
    """
    whole = read_manifest(run / NAME)
    if whole.results != ".":
        raise UserError(f"{run}: is a page of a part of {run.parent}; keep the whole run")
    if out.exists() and not (out / "index.html").is_file():
        raise UserError(f"{out}: exists and holds no page; name a new folder, or that of an earlier copy")
    small = {name: content for name, content in whole.files.items() if not name.endswith(LARGE)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as made:
        folder = Path(made) / out.name
        for name, content in small.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (run / name).is_file() or sha256_file(shutil.copyfile(run / name, target)) != content.sha256:
                raise UserError(f"{run / name}: differs from {run / NAME}; finish the run: snakemake --cores all")
        pages = [name for name in small if name.endswith("index.html")]
        for name in pages:
            lead_to_checkout(folder / name, (out / name).parent)
        small |= contents(folder, pages)
        left_out = {name: content for name, content in whole.files.items() if name not in small} | whole.left_out
        manifest = whole.model_copy(update={"files": small, "left_out": left_out})
        write_json(folder / NAME, manifest.model_dump(mode="json"))
        if out.exists():
            shutil.rmtree(out)
        os.replace(folder, out)
    return manifest


def lead_to_checkout(page: Path, place: Path) -> None:
    """Rewrite the links of a page to files of this checkout for the folder `place`, where the page will be."""
    root = ROOT.resolve()
    if place.resolve().is_relative_to(root):
        up = Path(os.path.relpath(root, place.resolve())).as_posix()
        write_text(page, CHECKOUT.sub(f"{up}/", page.read_text(encoding="utf-8")))
