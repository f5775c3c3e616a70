"""Checks that the parts of a configuration agree with each other, before hours of training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmbench.config.check import TOP, origin, unknown
from mmbench.config.methods import method_of, tag_of
from mmbench.config.schema import COMPARED, Choice, Experiment, Profile, Top
from mmbench.errors import UserError

#: Rules whose jobs may have a time limit: those of all methods, and those of one.
OF_ALL = ("data", "lpips", "efficientnet", "embed", "cases", "judge", "reference")
OF_A_METHOD = ("train", "tune", "predict", "evaluate")
LIMITED = (*OF_ALL, *OF_A_METHOD)


def check_data(profile: Profile, file: str, override: Mapping[str, Any], root: Path) -> None:
    """Check that the data set exists, its images fit the network, and its splits are large enough for scoring.

    In every check here, `file` is the file for errors, `override` has the profile's values from the key `override`, and
    a fault raises a UserError.
    """
    data, network, evaluate = profile.data, profile.network, profile.evaluate

    def where(section: str, key: str) -> str:
        return f"{origin(override, [section, key], file)}: {section}.{key}"

    known = sorted(path.stem for path in (root / "mmbench" / "data").glob("[!_]*.py"))
    if data.name not in known:
        raise unknown(where("data", "name"), data.name, known)
    multiple = network.patch * 2 ** (len(network.channel_mult) - 1)
    if any(side % multiple for side in (data.size if isinstance(data.size, list) else [data.size])):
        raise UserError(
            f"{where('data', 'size')}: {data.size} does not fit the network; write multiples of {multiple} "
            "(network.patch, doubled by each further level of network.channel_mult)"
        )
    if data.test is not None and evaluate.reconstructions > data.test:
        raise UserError(
            f"{where('evaluate', 'reconstructions')}: {evaluate.reconstructions} test images wanted, data.test has "
            f"{data.test}; lower the one or raise the other"
        )
    floor = "test" if evaluate.reference == "train" else "train"  # real images that the reference is compared with
    for split in dict.fromkeys([evaluate.reference, floor, "test"]):
        count = getattr(data, split)
        if count is not None and count < COMPARED:
            raise UserError(
                f"{where('data', split)}: got {count}; its images are compared with others (evaluate.reference: "
                f"{evaluate.reference}), which takes {COMPARED}; write more"
            )


def check_processes(top: Top, profile: Profile, file: str, override: Mapping[str, Any]) -> None:
    """Check that the processes of a training run can divide the shards of its batches evenly."""
    shards = profile.train.shards
    if shards % top.processes:
        raise UserError(
            f"{TOP}: processes: {top.processes} of them cannot share {shards} shards of a batch evenly; set "
            f"train.shards to a multiple (now {origin(override, ['train', 'shards'], file)}), or processes to a divisor"
        )


def check_limits(top: Top) -> None:
    """Check that every limit names a rule, or a rule and a method; `check_limited` checks the methods."""
    for key in top.limits:
        rule, _, method = key.partition("/")
        if rule not in LIMITED:
            raise unknown(f"{TOP}: limits", rule, LIMITED)
        if method and rule not in OF_A_METHOD:
            raise UserError(f"{TOP}: limits: {key}: {rule} has no job for each method; write {rule}")


def check_limited(top: Top, methods: Collection[str]) -> None:
    """Check that every method or variant with a time limit exists."""
    for key in top.limits:
        if (method := key.partition("/")[2]) and method not in methods:
            raise unknown(f"{TOP}: limits: {key}", method, sorted(methods))


def check_listed(profile: Profile, file: str, experiments: Mapping[str, Experiment]) -> None:
    """Check that one of a profile's experiments describes every variant and axis that the profile lists."""
    sections = experiments.values()
    described = {
        "variants": {name for section in sections for name in section.every_variant()},
        "ablations": {axis for section in sections for axis in section.ablations},
    }
    for key, names in described.items():
        for name in getattr(profile, key) or ():
            if name not in names:
                raise unknown(f"{file}: {key}", name, sorted(names))


def check_ablations(section: Experiment, file: str) -> None:
    """Check that each variant is described once, and that the settings of whole methods are not in the ablation."""
    seen = set(section.variants)
    for axis, entries in section.ablations.items():
        for name, changes in entries.items():
            where = f"{file}: ablations.{axis}: {name}"
            if name in seen:
                raise UserError(f"{where} is there already; give each variant one place")
            if not tag_of(name) and changes:
                raise UserError(f"{where} is a whole method; write {name}: {{}}, or {name}@<tag>")
            seen.add(name)


def check_choices(choices: Mapping[str, Choice], tasks: Collection[str], file: str) -> None:
    """Check that candidates are stated for existing tasks, and once for each."""
    seen: set[str] = set()
    for task, choice in choices.items():
        for name in (task, *choice.also):
            where = f"{file}: choice.{task}"
            if name not in tasks:
                raise unknown(where, name, sorted(tasks))
            if name in seen:
                raise UserError(f"{where}: '{name}' is there already; name each task once")
            seen.add(name)


def check_described(section: Experiment, methods: Collection[str], file: str) -> None:
    """Check that every method in an experiment's file exists."""
    places: dict[str, Collection[str]] = {"methods": section.methods, "variants": section.variants}
    places |= {f"ablations.{axis}": entries for axis, entries in section.ablations.items()}
    for key, entries in places.items():
        for name in entries:
            if method_of(name) not in methods:
                raise unknown(f"{file}: {key}", method_of(name), sorted(methods))


def check_chosen(profile: Profile, file: str, methods: Mapping[str, Collection[str]], root: Path) -> None:
    """Check that every method that a profile lists exists in one of its experiments.

    An entry `<experiment>/<method>` of an experiment that the profile does not run is not checked, so that an
    experiment can be removed without its methods.
    """
    names = sorted({name for of_one in methods.values() for name in of_one})
    paths = [f"{experiment}/{name}" for experiment, of_one in methods.items() for name in of_one]
    others = [path.stem for path in (root / "config" / "experiments").glob("*.yaml") if path.stem not in methods]
    for name in profile.methods or ():
        if name not in names and name not in paths and name.partition("/")[0] not in others:
            raise unknown(f"{file}: methods", name, paths if "/" in name else names)
