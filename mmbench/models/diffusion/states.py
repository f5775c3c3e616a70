"""Which modalities z_t holds and which are given, item by item: random in training, set by the task for an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmbench.errors import UserError, near
from mmbench.method import Batch, Modality
from mmbench.modalities import kind_of

STATES = ("absent", "unknown", "known")
#: Probabilities of absent, unknown and known.
Shares = Sequence[float]


@dataclass(frozen=True)
class States:
    """The state of each item: per modality 0/1 floats (n,).

    Attributes:
        present: whether z_t holds the modality's encoding.
        known: whether the network is given the modality.
        available: whether the item has a value of the modality; where a training item lacks it, the other two are 0.
    """

    present: dict[str, Tensor]
    known: dict[str, Tensor]
    available: dict[str, Tensor]

    def any_known(self, count: int) -> Tensor:
        """1 for the items of which at least one modality is known (n,), on the CPU."""
        return largest(self.known.values(), count)

    def unsettled(self, count: int) -> Tensor:
        """1 for the items that have a modality which is not known (n,), on the CPU."""
        return largest([self.available[name] - known for name, known in self.known.items()], count)

    def recoverable(self, name: str, absent: bool) -> Tensor:
        """1 for the items from which a modality is recovered (n,): not given, and in z_t unless `absent` is true."""
        return (self.available[name] if absent else self.present[name]) - self.known[name]

    def limited(self, available: Mapping[str, Tensor]) -> States:
        """The same states, but absent where an item has no such modality.

        Args:
            available: which items have each modality (n,).
        """
        available = {name: available[name].to(present) for name, present in self.present.items()}
        present, known = ({k: v * available[k] for k, v in flags.items()} for flags in (self.present, self.known))
        return States(present, known, available)

    def to(self, like: Tensor) -> States:
        """The same states on another tensor's device."""
        every = (self.present, self.known, self.available)
        return States(*({k: v.to(like) for k, v in flags.items()} for flags in every))


def largest(flags: Collection[Tensor], count: int) -> Tensor:
    """The largest of several flags, item by item (count,); 0 if there are none."""
    return torch.stack([torch.zeros(count), *(flag.cpu() for flag in flags)]).amax(dim=0)


def each(setting: Any, names: Sequence[str], default: Any, key: str, absent: Collection[str] = ()) -> dict[str, Any]:
    """A setting that is one value for all modalities, or a mapping of some to their own, by modality.

    Args:
        names: the modalities there are.
        default: the value of modalities that a mapping does not name.
        absent: modalities that the data set does not have, which a mapping may name.

    Raises:
        UserError: the mapping names something that is not a modality.
    """
    if not isinstance(setting, Mapping):
        return dict.fromkeys(names, setting)
    known = [*names, *absent]
    for name in setting:
        if name not in known:
            listed = ", ".join(names)
            raise UserError(f"mt_diffusion: {key}: '{name}' is no modality{near(name, known)}; there are {listed}")
    return {name: setting.get(name, default) for name in names}


def state_shares(
    states: Shares | Mapping[str, Shares], names: Sequence[str], default: Shares, absent: Collection[str] = ()
) -> dict[str, tuple[float, ...]]:
    """The probabilities of absent, unknown and known of every modality.

    Raises:
        UserError: they are not three numbers from 0 that add up to 1.
    """
    by_modality = {name: tuple(shares) for name, shares in each(states, names, default, "states", absent).items()}
    for name, shares in by_modality.items():
        if len(shares) != len(STATES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise UserError(
                f"mt_diffusion: states: {name} has {list(shares)}; write the shares of {', '.join(STATES)}, which add "
                "up to 1"
            )
    return by_modality


def draw_states(
    shares: Mapping[str, Shares], count: int, generator: torch.Generator, nothing_known: float = 0.0
) -> States:
    """Draw absent, unknown or known for each item and modality, independently.

    Args:
        shares: probabilities of the three, by modality.
        generator: on the CPU.
        nothing_known: share of the items whose known modalities are turned into unknown ones.
    """
    present, known = {}, {}
    for name, probabilities in shares.items():
        weights = torch.tensor(probabilities, dtype=torch.float64)
        state = torch.multinomial(weights, count, replacement=True, generator=generator)
        present[name] = (state >= STATES.index("unknown")).float()
        known[name] = (state == STATES.index("known")).float()
    if nothing_known:
        kept = (torch.rand(count, generator=generator) >= nothing_known).float()
        known = {name: flag * kept for name, flag in known.items()}
    return States(present, known, {name: torch.ones(count) for name in shares})


def at_the_ends(
    t: Tensor, states: States, steps: int, generator: torch.Generator, *, one_pass: float, clean: float
) -> tuple[Tensor, Tensor]:
    """Steps t (n,) of which two shares are put at the ends of 1..steps, and which items those are (n,), booleans.

    Of the items with a known modality, the share `one_pass` is put at the last step; of those with a modality to
    recover, the share `clean` at the first. An item with both takes part in both, as far as the sum of the shares
    allows. An item whose t (n,) is an end by chance does not count as put there.
    """
    special = torch.rand(len(t), generator=generator)
    last = one_pass * states.any_known(len(t))
    first = last + clean * states.unsettled(len(t))
    return torch.where(special < last, steps, torch.where(special < first, 1, t)), special < first


def given_states(names: Sequence[str], given: Collection[str], guessed: Collection[str], like: Tensor) -> States:
    """The states of an answer's items: `given` modalities are known, `guessed` ones unknown, all others absent.

    Args:
        like: a tensor (n, ...) whose number of items and device they have.
    """
    one, zero = like.new_ones(len(like)), like.new_zeros(len(like))
    present = {name: one if name in given or name in guessed else zero for name in names}
    return States(present, {name: one if name in given else zero for name in names}, dict.fromkeys(names, one))


def complete(values: Batch, modalities: Mapping[str, Modality]) -> tuple[Batch, dict[str, Tensor]]:
    """A training batch with zeros for every missing value, and which items have each modality (n,) as booleans."""
    filled, available = dict(values), {}
    for name, modality in modalities.items():
        has = available[name] = kind_of(modality).available(values[name])
        if not has.all():
            shape = (-1, *[1] * (values[name].dim() - 1))
            filled[name] = torch.where(has.view(shape), values[name], torch.zeros_like(values[name]))
    return filled, available


def fill(given: Batch, modalities: Mapping[str, Modality], like: Tensor) -> Batch:
    """A value for every modality; one that is not given is all zeros, which its state hides.

    Args:
        like: a tensor (n, ...) whose number of items and device they have.
    """
    values = dict(given)
    for name, modality in modalities.items():
        if name not in values:
            values[name] = kind_of(modality).blank(len(like), like.device)
    return values
