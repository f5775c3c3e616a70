"""The configuration of one method or variant of an experiment: settings of its class, and keys of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmbench.config.check import check, unknown
from mmbench.config.schema import Profile, SampleOverride
from mmbench.errors import UserError
from mmbench.experiments import Tasks

BUDGET, PER_TASK = "budget", "per_task"  # a share of the steps, for comparisons at equal compute
LABELLED = "labelled"  # shares of the training items that keep a modality
MODALITIES = "modalities"  # the only ones that are learnt
SAMPLE = "sample"  # another sampler and number of evaluations
WIDEN = "widen"  # a multiple of the profile's width, for comparisons with larger single tasks
#: Keys of a method's section that are no arguments of its class.
OF_THE_RUN = (BUDGET, LABELLED, MODALITIES, SAMPLE, WIDEN)


@dataclass(frozen=True)
class MethodSection:
    """The section of a method; a variant's is its method's with the variant's changes on top.

    Attributes:
        where: the beginning of errors.
        values: the values of all keys.
        changes: keys that a variant changes; none for a method.
        used: the used modalities of an experiment that also runs with fewer than all; none for other experiments.
        can_be_missing: modalities that an item may lack.

    Every property but `settings` raises UserError if its key has a wrong value.
    """

    where: str
    values: Mapping[str, Any]
    changes: Collection[str]
    profile: Profile
    tasks: Tasks
    used: Collection[str]
    can_be_missing: Collection[str]

    def check(self) -> None:
        """Raise UserError if any key of the run has a wrong value."""
        _ = self.steps, self.width, self.labelled, self.sample, self.modalities

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The arguments of its class."""
        return {key: value for key, value in self.values.items() if key not in OF_THE_RUN}

    @property
    def only_samples(self) -> bool:
        """Whether a variant differs only in sampling, so that it uses its method's weights."""
        return set(self.changes) == {SAMPLE}

    @cached_property
    def steps(self) -> int:
        """Updates of its training: the profile's, or the share of them that `budget` says."""
        budget = self.values.get(BUDGET, 1)
        if budget == PER_TASK:
            budget = 1 / len(self.used or self.tasks.tasks)
        if not is_number(budget) or not 0 < budget <= 1:
            raise UserError(
                f"{self.where}: {BUDGET}: got {budget!r}; write a share of the steps above 0 up to 1, or {PER_TASK} "
                "for one by the number of tasks"
            )
        return max(1, round(self.profile.train.steps * budget))

    @cached_property
    def width(self) -> int:
        """Channels of its backbone: the profile's, or `widen` times as many, rounded to the nearest multiple of 8."""
        widen = self.values.get(WIDEN, 1)
        if not is_number(widen) or not 0 < widen <= 4:
            raise UserError(
                f"{self.where}: {WIDEN}: got {widen!r}; write a multiple of network.width, a number above 0 up to 4"
            )
        return 8 * max(1, round(widen * self.profile.network.width / 8))

    @cached_property
    def sample(self) -> dict[str, Any]:
        """The sampler and number of evaluations that it has instead of the profile's."""
        section, where = self.values.get(SAMPLE, {}), f"{self.where}: {SAMPLE}"
        if not isinstance(section, Mapping):
            raise UserError(f"{where}: got {section!r}; write sampler or nfe and its value below it")
        return check(SampleOverride, dict(section), where).model_dump(exclude_none=True)

    @cached_property
    def modalities(self) -> list[str]:
        """The only modalities that it is trained on, of those that are used; empty for all."""
        listed, known, where = self.values.get(MODALITIES), self.tasks.optional, f"{self.where}: {MODALITIES}"
        if listed is None:
            return []
        if not known:
            raise UserError(f"{where}: this experiment needs all of its modalities; take the key out")
        names = [str(name) for name in listed] if isinstance(listed, list) else []
        for name in names:
            if name not in known:
                raise unknown(where, name, known)
        if known[0] not in names or len(set(names)) < max(2, len(names)):
            raise UserError(f"{where}: got {listed!r}; list {known[0]} and at least one other, each once")
        return names

    @cached_property
    def labelled(self) -> dict[str, float]:
        """Shares of the training items that keep a modality, for those modalities of which some items lack it."""
        shares, able, where = self.values.get(LABELLED, {}), list(self.can_be_missing), f"{self.where}: {LABELLED}"
        if not isinstance(shares, Mapping):
            raise UserError(f"{where}: got {shares!r}; write modalities and their shares below it, e.g. mask: 0.5")
        for name, share in shares.items():
            if name not in able and name in self.tasks.known:
                raise UserError(f"{where}: {name} cannot be missing; there are {', '.join(able) or 'none'}")
            if name not in able:
                raise unknown(where, str(name), able)
            if not is_number(share) or not 0 < share <= 1:
                raise UserError(f"{where}: {name}: got {share!r}; write a share of the items above 0 up to 1")
        return dict(shares)


def is_number(value: Any) -> bool:
    """Whether a plain value is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
