"""MT-Diffusion as a method: one network that generates an image and recovers every other modality.

The image is z_0. Every other modality is encoded into the same space and aggregated by the forward process. In training
each item draws, per aggregated modality, one of three states: `absent` (not aggregated: plain DDPM), `unknown`
(aggregated, to be recovered from z_t) and `known` (aggregated, and given to the network). So one network answers every
question: whatever is given is known, whatever is wanted is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion.aggregation import Aggregation
from mmbench.models.diffusion.answers import Answers
from mmbench.models.diffusion.balance import GENERATE, RECOVER, Balance, Uncertainty, by_task, upgrad_backward
from mmbench.models.diffusion.model import MultimodalDenoiser
from mmbench.models.diffusion.objective import Noised, add_noise, evaluate, recovery_terms, simple_terms, vlb_terms
from mmbench.models.diffusion.parameterisation import Prediction
from mmbench.models.diffusion.process import OmegaShape, Process, Schedule
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.states import Shares, States, at_the_ends, complete, draw_states, each, state_shares
from mmbench.models.nets.unet import UNet

TITLE = "MT-Diffusion"
TASKS = ("*",)
SAMPLES = True

Conditioning = Literal["aggregate", "impose", "channels", "channels+impose"]
NOISED = "noised_image"
SCALE, SHARES = 0.25, (0.4, 0.2, 0.4)


class Method(BaseMethod):
    """The multitask model.

    Args:
        spec: modalities and network.
        target: the modality that is z_0.
        omega: shape of the aggregation weights; `zero` is plain DDPM with heads.
        scale: largest omega. A number is shared out: each of N modalities has an Nth, so that what they add up to is
            as high as one alone would be. A mapping has the heights of single modalities, as they are.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the generation loss's weight on an error in z_0 (see `parameterisation.snr_weight`).
        conditioning: how known modalities enter: `aggregate` only through z_t (the paper's rule), `impose` also by
            setting known pixels in the estimate of z_0, `channels` as inputs of the network with a flag.
        generation: whether drawing from noise aggregates the decoders' predictions (`joint`, the paper's rule) or
            leaves them out (`absent`; needs items trained in that state).
        states: probabilities of absent, unknown and known, for all modalities or by modality; only `channels`
            conditioning has other states than unknown.
        nothing_known: share of the items whose known modalities are turned into unknown ones. With many modalities,
            drawn independently, there are few items else that are told nothing.
        one_pass: share of the items with something known trained at t = T, where the target's decoder answers in one
            evaluation; the objective `vlb` needs uniform steps and has no such share.
        clean: share of the items with something to recover trained at t = 1, where the target is all but given and
            the other decoders answer in one evaluation; none for `vlb`, either.
        ends_generate: whether the items that `one_pass` and `clean` put at the ends of t carry the generation loss of
            the objective `simple`, too. At t = 1 its weight is at its highest, and all there is to learn is to copy.
        recover_absent: whether a decoder also learns from items whose z_t does not hold its modality's encoding: for
            modalities that the image tells of (a label, a mask), unlike a random hole.
        guidance: how far sampling goes beyond the estimate of z_0 given what is known, away from that of nothing
            known; 0 is the former, in one evaluation a step and not two. `Sampling.guidance` takes its place.
        objective: `simple` or `vlb`.
        weights: weight of the generation loss (`generate`) and of each decoder's recovery, by modality. They, `states`
            and `scale` may name modalities that the data set does not have.
        balance: how the tasks' weighted losses share the network: `fixed`, their sum; `uncertainty`, learned weights;
            `upgrad`, gradients of the backbone without what conflicts, one backward pass for each task.

    Raises:
        UserError: a setting names no modality, or guidance cannot be had from the others.
    """

    handles_missing = True

    def __init__(
        self,
        spec: Spec,
        *,
        target: str = "image",
        omega: OmegaShape = "bridge",
        scale: float | Mapping[str, float] = SCALE,
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
        conditioning: Conditioning = "channels+impose",
        generation: Literal["joint", "absent"] = "absent",
        states: Shares | Mapping[str, Shares] = SHARES,
        nothing_known: float = 0.0,
        one_pass: float = 0.25,
        clean: float = 0.0,
        ends_generate: bool = False,
        recover_absent: bool = False,
        guidance: float = 0.0,
        objective: Literal["simple", "vlb"] = "simple",
        weights: Mapping[str, float] | None = None,
        balance: Balance = "fixed",
    ) -> None:
        super().__init__(spec)
        if conditioning not in get_args(Conditioning):
            raise ValueError(f"conditioning '{conditioning}' is not one of {get_args(Conditioning)}")
        if balance not in get_args(Balance):
            raise ValueError(f"balance '{balance}' is not one of {get_args(Balance)}")
        self.target, self.objective, self.max_weight = target, objective, max_weight
        self.channels = conditioning.startswith("channels")
        self.one_pass, self.clean, self.ends_generate = one_pass, clean, ends_generate
        self.recover_absent = recover_absent
        others = [name for name in spec.modalities if name != target]
        self.others = {name: spec.modalities[name] for name in others}
        self.shares = state_shares(states if self.channels else (0.0, 1.0, 0.0), others, SHARES, spec.absent)
        self.nothing_known = nothing_known
        self._check_guidance(guidance)
        self.generate_weight, self.recovery_weights = self._weights(weights or {})
        heights = scale if isinstance(scale, Mapping) else scale / max(1, len(others))
        scales = each(heights, others, SCALE / max(1, len(others)), "scale", spec.absent)
        self.process = Process(len(others), schedule=schedule, omega=omega, scale=list(scales.values()))
        self.model = MultimodalDenoiser(
            spec.modalities,
            target,
            aggregated=others,
            conditions=others if self.channels else [],
            decoded=spec.modalities,
            network=spec.network,
        )
        tasks = [*[GENERATE] * bool(self.generate_weight), *(f"{RECOVER}{name}" for name in self.recovery_weights)]
        self.uncertainty = Uncertainty(tasks) if balance == "uncertainty" else None
        self.balance = balance
        self.aggregation = Aggregation(self.model, self.process, prediction)
        self.answers = Answers(
            self.aggregation,
            absent={name for name, shares in self.shares.items() if shares[0]},
            joint=generation == "joint" or not self.channels,
            impose=conditioning in ("impose", "channels+impose"),
            guidance=guidance,
        )

    @property
    def guidable(self) -> bool:
        """Whether items were trained with what is given known and with nothing known, which is what guidance needs."""
        always_known = any(shares[2] == 1 for shares in self.shares.values())
        return self.channels and (bool(self.nothing_known) or not always_known)

    def _check_guidance(self, guidance: float) -> None:
        if not 0 <= guidance < float("inf"):
            raise UserError(f"mt_diffusion: guidance: {guidance} is negative or no number; give a number from 0")
        if guidance and not self.guidable:
            raise UserError(
                "mt_diffusion: guidance: needs conditioning: channels, and items trained with nothing known; set "
                "nothing_known above 0, or guidance: 0"
            )

    def heeds(self, task: Task) -> frozenset[str]:
        """Nothing where the target is given; else sampler and evaluations, and what the rest of the question allows.

        That is guidance where something is given or committed, and committing where more than the target is wanted.
        """
        if self.target in task.given or NOISED in task.given:
            return frozenset()
        commits = self.channels and any(name in task.want for name in self.others if name not in task.given)
        guided = self.guidable and (bool(task.given) or commits)
        return frozenset(["sampler", "nfe", *["guidance"] * guided, *["commit"] * commits])

    def _weights(self, weights: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """The weight of generation, and those of the recoveries that have one."""
        if unknown := set(weights) - {"generate", *self.spec.modalities, *self.spec.absent}:
            raise ValueError(f"weights names {sorted(unknown)}; there are generate, {', '.join(self.spec.modalities)}")
        recovered = {name: weight for name, weight in weights.items() if weight and name in self.spec.modalities}
        return weights.get("generate", 1.0), recovered

    @property
    def backbone(self) -> UNet:  # type: ignore[override]  # a property: registered twice, it would be saved twice
        """The shared network."""
        return self.model.backbone

    def draw_states(self, count: int, generator: torch.Generator) -> States:
        """Draw absent, unknown or known for each item and aggregated modality."""
        return draw_states(self.shares, count, generator, self.nothing_known)

    def draw_steps(self, states: States, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Steps (count,) of 1..T, and which items carry the generation loss at theirs (count,), as 0/1 floats.

        Steps are uniform for `vlb`, and all items carry it; else the shares `one_pass` and `clean` are put at both
        ends for the decoders' sake.
        """
        t = torch.randint(1, self.process.steps + 1, (count,), generator=generator)
        if self.objective == "vlb":
            return t, torch.ones(count)
        ends = {"one_pass": self.one_pass, "clean": self.clean}
        t, put = at_the_ends(t, states, self.process.steps, generator, **ends)
        return t, torch.ones(count) if self.ends_generate else (~put).float()

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The weighted terms of `mmbench.models.diffusion.loss` on one batch; items may lack modalities.

        `loss` is their sum, or what `balance` makes of them.
        """
        noised = self.noise(batch, generator)
        output = evaluate(self.aggregation, noised)
        terms = {}
        if self.generate_weight:
            if self.objective == "simple":
                generation = simple_terms(self.aggregation, noised, output, self.max_weight)
            else:
                generation = vlb_terms(self.aggregation, noised, output)
            terms = {name: self.generate_weight * value for name, value in generation.items()}
        terms |= recovery_terms(
            self.aggregation, noised, output, self.recovery_weights, self.target, self.recover_absent
        )
        if self.uncertainty is not None:
            return {"loss": self.uncertainty(by_task(terms)), **terms}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Set the gradients, as `balance` says.

        Raises:
            UserError: it is `upgrad`, and TorchJD is not installed.
        """
        if self.balance != "upgrad":
            super().backward(terms)
            return
        shared = list(self.backbone.parameters())
        single = [p for p in self.parameters() if all(p is not other for other in shared)]
        upgrad_backward(by_task(terms), shared, single)

    def noise(self, batch: Batch, generator: torch.Generator) -> Noised:
        """A batch noised: states, steps and noise are drawn for each item; items may lack modalities."""
        z0 = batch[self.target]
        values, available = complete(batch, self.others)
        states = self.draw_states(len(z0), generator).limited(available)
        t, generates = self.draw_steps(states, len(z0), generator)
        eps = noise_like(z0, generator)
        return add_noise(self.aggregation, values, states.to(z0), z0, eps, t, generates.to(z0))

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample z_0 and read the other wanted modalities off the decoders at the last evaluation.

        A given target, or a noised one, needs no sampling: the decoders read it in one evaluation. What is given and
        wanted is returned as it was given.

        Raises:
            UserError: guidance, which takes two evaluations a step, has one, or cannot be had; or the image is noised,
                and the decoders have not learnt from items without an encoding.
        """
        self._check_guidance(sampling.guidance or 0.0)
        known = {name: given[name] for name in self.others if name in given}
        z0 = given.get(self.target)
        if z0 is not None:
            decoded = self.answers.read(z0, known, task.want, generator)
        elif NOISED in given:
            if not self.recover_absent or not all(self.shares[name][0] for name in task.want):
                raise UserError("noised images need recover_absent: true and a share of absent items; set both")
            t = self.process.step_of(given["alpha_bar"])
            decoded = self.answers.read_noised(given[NOISED].float(), t, known)
        else:
            decoded, committed, z0 = self.answers.draw(self.empty(count), known, task.want, sampling, generator)
            known |= committed
        kinds = self.model.kinds
        answer = {name: kinds[name].answer(value) for name, value in decoded.items()}
        answer |= {name: kinds[name].given_answer(value) for name, value in known.items()}
        if z0 is not None:
            answer[self.target] = z0
        return {name: answer[name] for name in task.want}

    def predict_at_once(self, given: Batch, count: int, generator: Noise) -> Tensor:
        """The target's decoder at t = T, given the rest: one evaluation, no sampling.

        Raises:
            UserError: the model was not trained with `channels` conditioning, so it cannot be told what is given.
        """
        if not self.channels:
            raise UserError("the one-pass answer needs conditioning: channels; change the method's settings")
        decoded = self.answers.at_once(self.empty(count), given, generator)
        return self.model.kinds[self.target].value(decoded[self.target])

    def empty(self, count: int) -> Tensor:
        """A tensor of z_t's shape and device for that many items."""
        return torch.empty(count, *self.model.space, device=next(self.parameters()).device)
