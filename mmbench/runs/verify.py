"""Compares a run's files with its manifest: the hashes are computed again, and the differences are listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmbench.config.check import TOP
from mmbench.config.configuration import Config
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.runs.manifest import contents, list_files, read_records
from mmbench.runs.manifest_schema import Configured, Content, Manifest
from mmbench.runs.provenance import provenance

ROOT = Path(__file__).parents[2]
SHOWN = 8  # differences of the configuration that are listed

#: The inputs whose hashes a record has, and their files: `here` is the record's folder, `all` the experiment's.
LINKS = {
    "predictions.json": {"cases": "{all}/cases.json"},
    "metrics.json": {
        "predictions": "{here}/predictions.npz",
        "cases": "{all}/cases.npz",
        "judge": "{all}/judge/weights.safetensors",
    },
    "reference.json": {"judge": "{all}/judge/weights.safetensors"},
}


@dataclass(frozen=True)
class Findings:
    """The differences between a run's files and its manifest.

    Attributes:
        changed, missing, new: files, as paths from the folder of results.
        broken: the records of which an input is a different file now, with that input.
        kept: number of files that did not change.
    """

    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    kept: int = 0

    @property
    def failed(self) -> bool:
        """Whether the numbers may differ from those of the run."""
        return bool(self.changed or self.missing or self.broken)


def check_files(folder: Path, manifest: Manifest) -> Findings:
    """Compare the files with the manifest in `folder`; files that a copy left out may be absent."""
    folder = folder.resolve()
    results = folder if manifest.results == "." else folder.parent
    experiments = {name.partition("/")[0] for name in manifest.methods}
    files = contents(results, list_files(results, folder, experiments))
    known = manifest.files | manifest.left_out
    return Findings(
        changed=[name for name, content in files.items() if name in known and content != known[name]],
        missing=[name for name in manifest.files if name not in files],
        new=[name for name in files if name not in known],
        broken=list(broken_links(results, manifest, files)),
        kept=sum(content == known.get(name) for name, content in files.items()),
    )


def broken_links(results: Path, manifest: Manifest, files: Mapping[str, Content]) -> Iterator[str]:
    """The records of this run of which an input is a different file than the present one, or the one of the run."""
    known = {name: content.sha256 for name, content in {**manifest.left_out, **files}.items()}
    cards = {digest for name, digest in known.items() if name.endswith("/card.json")}
    records = read_records(results, [name for name in manifest.files if name in files])
    for name, record in records.items():  # predictions.npz is not kept with the small files, but its hash is
        if name.endswith("/predictions.json") and record.get("predictions_sha256"):
            known.setdefault(name.replace(".json", ".npz"), record["predictions_sha256"])
    for name, record in records.items():
        parent, _, file = name.rpartition("/")
        inputs: Mapping[str, str] = record["provenance"].get("inputs_sha256") or {}
        for key, pattern in LINKS.get(file, {}).items():
            source = pattern.format(here=parent, all=name.partition("/")[0])
            if key in inputs and known.get(source, inputs[key]) != inputs[key]:
                yield f"{name}: made from another {source}"
        if "data" in inputs and cards and inputs["data"] not in cards:
            yield f"{name}: made from other data"


def differences(then: Any, now: Any, path: str = "") -> Iterator[str]:
    """The values that differ between two nested mappings, as `key: then -> now`."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in [*then, *(key for key in now if key not in then)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(then.get(key, "absent"), now.get(key, "absent"), inner)
    elif then != now:
        yield f"{path}: {then} -> {now}"


def configuration_notes(manifest: Manifest, root: Path) -> Iterator[str]:
    """The differences between the checkout's configuration and the run's."""
    then = manifest.configuration
    choices = {"profile": then.profile, "override": then.override} if isinstance(then, Configured) else {}
    try:
        config = Config(read_yaml(root / TOP, root) | ({"profile": manifest.profile} | choices), root)
        if isinstance(then, Configured):
            now = config.described(then.values["experiments"])["values"]
            yield from differences(then.values, now)
            return
        for training in then.trainings:
            methods = sorted({tuple(name.split("/")[:2]) for name in training.of})
            for experiment, method in methods:
                settings = config.settings("train", experiment, method)
                yield from differences({**training.settings, "experiment": experiment, "method": method}, settings,
                                       f"{experiment}/{method}")  # fmt: skip
    except UserError as error:
        yield f"this checkout has no such configuration ({error})"
    except KeyError as error:
        yield f"this checkout has no experiment {error}"
    except TypeError:
        yield "the configuration in the manifest cannot be read"


def notes(manifest: Manifest, root: Path = ROOT) -> Iterator[str]:
    """The recorded differences between this checkout and environment and those that made the run."""
    now = provenance({}, {})
    commits = [code.git_sha for code in manifest.code]
    if now["git_sha"] not in commits or now["git_dirty"] or len(commits) > 1:
        made = ", ".join(
            f"{(code.git_sha or 'unknown')[:12]}{' with changes' if code.git_dirty else ''} ({code.records} records)"
            for code in manifest.code
        )
        commit = (now["git_sha"] or "unknown")[:12]
        yield f"code: made at commit {made}; this checkout is at {commit}{' with changes' if now['git_dirty'] else ''}"
    for lock in sorted({code.lock_sha256 for code in manifest.code if code.lock_sha256} - {now["lock_sha256"]}):
        yield f"lock: requirements.lock was {lock[:12]}; here it is {(now['lock_sha256'] or 'absent')[:12]}"
    for environment in manifest.environments:
        for key in ("packages", "python", "processor"):
            yield from (f"{key}: {text}" for text in differences(getattr(environment, key), now[key]))
    changes = list(configuration_notes(manifest, root))
    yield from (f"configuration: {text}" for text in changes[:SHOWN])
    if len(changes) > SHOWN:
        yield f"configuration: and {len(changes) - SHOWN} more differences"
