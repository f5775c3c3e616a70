"""Files of the configuration by their names: profiles and experiments."""

from __future__ import annotations

import re
from pathlib import Path

from mmbench.config.check import TOP, unknown
from mmbench.errors import UserError

#: Names of profiles: they are parts of paths in the shell commands of the workflow.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
RESERVED = ("weights", "reference")  # folders of results/ that belong to no profile
SUFFIXES = (".yaml", ".yml")


def find_named(name: str, folder: Path, where: str) -> Path:
    """`folder`/`name`.yaml.

    Raises:
        UserError: it does not exist, or its name is not plain; the line has the names there are.
    """
    path = folder / f"{name}.yaml"
    known = sorted(p.stem for p in folder.glob("*.yaml") if PLAIN.fullmatch(p.stem))
    if name in known:
        return path
    if "/" not in name and path.is_file():
        raise UserError(f"{where}: '{name}' is no plain name; rename its file (letters, digits, _ . and -)")
    raise unknown(where, name, known)


def find_profile(profile: str, root: Path) -> Path:
    """A profile by its name in config/profiles, or by its path.

    Raises:
        UserError: it does not exist, or its results would lie where others are.
    """
    folder = root / "config" / "profiles"
    if not profile.endswith(SUFFIXES):
        return find_named(profile, folder, f"{TOP}: profile")
    path = Path(profile).absolute()
    taken = path.stem in RESERVED or ((folder / f"{path.stem}.yaml").is_file() and path.parent != folder)
    if taken or not PLAIN.fullmatch(path.stem):
        raise UserError(
            f"{TOP}: profile: results of {profile} would go to '{path.stem}', which is "
            f"{'taken' if taken else 'no plain name'}; rename the file (letters, digits, _ . and -)"
        )
    return path


def profile_name(profile: str) -> str:
    """The name of a profile that is given by name or by path; the folder of its results has this name."""
    return Path(profile).stem if profile.endswith(SUFFIXES) else profile
