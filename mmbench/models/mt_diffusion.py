"""MT-Diffusion as a method: one network that generates an image and recovers every other modality.

The image is z_0. Every other modality is encoded into the same space and aggregated by the forward process. In training
each item has, per aggregated modality, one of three random states: `absent` (not aggregated: plain DDPM), `unknown`
(aggregated, to be recovered from z_t) and `known` (aggregated, and given to the network). One network therefore answers
every task: the inputs are known, the outputs are unknown.
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
        target: the modality that is z_0.
        omega: shape of the aggregation weights; `zero` is plain DDPM with heads.
        scale: largest omega. A number is divided by the number of modalities, so that their sum is as high as one
            modality alone would be. A mapping sets the height of each modality, which is not divided.
        prediction: what the network predicts about z_0.
        max_weight: bound of the generation loss's weight on an error in z_0 (see `parameterisation.snr_weight`).
        conditioning: how known modalities enter: `aggregate` only through z_t (the paper's rule), `impose` also by
            setting known pixels in the estimate of z_0, `channels` as inputs of the network with a flag.
        generation: whether sampling from noise aggregates the decoders' predictions (`joint`, the paper's rule) or
            leaves them out (`absent`; needs items trained in that state).
        states: probabilities of absent, unknown and known, for all modalities or by modality; only `channels`
            conditioning has other states than unknown.
        nothing_known: share of the items whose known modalities are turned into unknown ones. With many independent
            modalities, few items would otherwise be trained without any known modality.
        one_pass: share of the items with a known modality that are trained at t = T, where the target's decoder
            answers in one evaluation. The objective `vlb` needs uniform steps and has no such share.
        clean: share of the items with a modality to recover that are trained at t = 1, where z_t is almost the target
            and the other decoders answer in one evaluation. The objective `vlb` has no such share either.
        ends_generate: whether the items that `one_pass` and `clean` put at the ends of t also carry the generation
            loss of the objective `simple`. At t = 1 its weight is highest, and the network can only learn to copy.
        recover_absent: whether a decoder also learns from items whose z_t does not hold its modality's encoding. This
            suits modalities that can be inferred from the image (a label, a mask), unlike a random mask of pixels.
        guidance: strength of guidance: how far the estimate of z_0 given the known modalities is moved away from the
            estimate without them. 0 is no guidance, with one evaluation per step rather than two. `Sampling.guidance`
            overrides it.
        objective: `simple` or `vlb`.
        weights: weight of the generation loss (`generate`) and of each decoder's recovery, by modality. They, `states`
            and `scale` may name modalities that the data set does not have.
        balance: how the tasks' weighted losses share the network: `fixed`, their sum; `uncertainty`, learned weights;
            `upgrad`, gradients of the backbone without their conflicting parts, with one backward pass for each task.

    Raises:
        UserError: a setting names something that is not a modality, or the other settings do not allow guidance.
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
        """Whether items are trained both with known modalities and with none, which guidance needs."""
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
        """Nothing where the target is an input; else sampler and evaluations, and what the task allows.

        A task allows guidance where it has inputs or commits, and committing where it has outputs beside the target.
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
        """Sample absent, unknown or known for each item and aggregated modality."""
        return draw_states(self.shares, count, generator, self.nothing_known)

    def draw_steps(self, states: States, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Steps (count,) of 1..T, and which items carry the generation loss (count,), as 0/1 floats.

        Steps are uniform for `vlb`, and all items carry the loss; else the shares `one_pass` and `clean` are put at
        the two ends, where the decoders are trained.
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
        """Set the gradients by the rule that `balance` names.

        Raises:
            UserError: the rule is `upgrad`, and TorchJD is not installed.
        """
        if self.balance != "upgrad":
            super().backward(terms)
            return
        shared = list(self.backbone.parameters())
        single = [p for p in self.parameters() if all(p is not other for other in shared)]
        upgrad_backward(by_task(terms), shared, single)

    def noise(self, batch: Batch, generator: torch.Generator) -> Noised:
        """A noised batch: states, steps and noise are sampled for each item; items may lack modalities."""
        z0 = batch[self.target]
        values, available = complete(batch, self.others)
        states = self.draw_states(len(z0), generator).limited(available)
        t, generates = self.draw_steps(states, len(z0), generator)
        eps = noise_like(z0, generator)
        return add_noise(self.aggregation, values, states.to(z0), z0, eps, t, generates.to(z0))

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample z_0 and take the other outputs from the decoders at the last evaluation.

        A given target, or a noised one, needs no sampling: the decoders answer in one evaluation. A modality that is
        both input and output is returned as it was given.

        Raises:
            UserError: guidance, which takes two evaluations per step, has only one or is not possible with the
                settings; or the image is noised and the decoders have not learnt from items without an encoding.
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
            UserError: the model was not trained with `channels` conditioning, so the network has no inputs for it.
        """
        if not self.channels:
            raise UserError("the one-pass answer needs conditioning: channels; change the method's settings")
        decoded = self.answers.at_once(self.empty(count), given, generator)
        return self.model.kinds[self.target].value(decoded[self.target])

    def empty(self, count: int) -> Tensor:
        """An uninitialised tensor of z_t's shape and device for `count` items."""
        return torch.empty(count, *self.model.space, device=next(self.parameters()).device)
