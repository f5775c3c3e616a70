"""MT-Diffusion as a method: one network that generates an image and recovers every other modality.

The image is z_0. Every other modality is encoded into the same space and aggregated by the forward process. In training
each item draws, per aggregated modality, one of three states: `absent` (not aggregated: plain DDPM), `unknown`
(aggregated, to be recovered from z_t) and `known` (aggregated, and given to the network).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.diffusion.model import (
    Known,
    MultimodalDenoiser,
    Output,
    Prediction,
    as_answer,
    as_value,
    to_z0,
    training_target,
)
from mmbench.diffusion.process import OmegaShape, Process, Schedule
from mmbench.diffusion.sampler import estimate_eps, noise_like, sample
from mmbench.errors import UserError
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import UNet

TITLE = "MT-Diffusion"
TASKS = ("*",)

Conditioning = Literal["aggregate", "impose", "channels", "channels+impose"]
STATES = ("absent", "unknown", "known")
NOISED = "noised_image"


@dataclass
class States:
    """The state drawn for each item: per modality 0/1 floats (n,) for aggregated and for known."""

    present: dict[str, Tensor]
    known: dict[str, Tensor]

    def any_known(self, count: int) -> Tensor:
        """1 for the items of which at least one modality is known (n,)."""
        return torch.stack([torch.zeros(count), *(flag.cpu() for flag in self.known.values())]).amax(dim=0)

    def to(self, like: Tensor) -> States:
        """The same on another tensor's device."""
        return States(*({k: v.to(like) for k, v in flags.items()} for flags in (self.present, self.known)))


class Method(BaseMethod):
    """The multitask model.

    Args:
        spec: modalities and network.
        target: the modality that is z_0.
        omega: shape of the aggregation weights; `zero` is plain DDPM with heads.
        scale: largest omega.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the generation loss's weight on an error in z_0 (see `loss.snr_weight`).
        conditioning: how known modalities enter: `aggregate` only through z_t (the paper's rule), `impose` also by
            setting known pixels in the estimate of z_0, `channels` as inputs of the network with a flag.
        generation: whether drawing from noise aggregates the decoders' predictions (`joint`, the paper's rule) or
            leaves them out (`absent`; needs items trained in that state).
        states: probabilities of absent, unknown and known; only `channels` conditioning has other states than unknown.
        one_pass: share of the known items trained at t = T, where the target's decoder answers in one evaluation; the
            objective `vlb` needs uniform steps and has no such share.
        clean: share of the other items trained at t = 1, where the target is all but given and the other decoders
            answer in one evaluation; none for `vlb`, either.
        recover_absent: whether a decoder also learns from items whose z_t does not hold its modality's encoding: for
            modalities that the image tells of (a label, a mask), unlike a random hole.
        objective: `simple` or `vlb`.
        weights: weight of the generation loss (`generate`) and of each decoder's recovery, by modality.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        target: str = "image",
        omega: OmegaShape = "bridge",
        scale: float = 0.25,
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
        conditioning: Conditioning = "channels+impose",
        generation: Literal["joint", "absent"] = "absent",
        states: Sequence[float] = (0.4, 0.2, 0.4),
        one_pass: float = 0.25,
        clean: float = 0.0,
        recover_absent: bool = False,
        objective: Literal["simple", "vlb"] = "simple",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(spec)
        if conditioning not in get_args(Conditioning):
            raise ValueError(f"conditioning '{conditioning}' is not one of {get_args(Conditioning)}")
        self.target, self.prediction, self.objective = target, prediction, objective
        self.impose = conditioning in ("impose", "channels+impose")
        self.channels = conditioning.startswith("channels")
        self.states = tuple(states) if self.channels else (0.0, 1.0, 0.0)
        self.generation = generation if self.channels else "joint"
        self.one_pass, self.clean, self.recover_absent, self.max_weight = one_pass, clean, recover_absent, max_weight
        self.loss_weights = {"generate": 1.0, **(weights or {})}
        if unknown := set(self.loss_weights) - {"generate", *spec.modalities}:
            raise ValueError(f"weights names {sorted(unknown)}; there are generate, {', '.join(spec.modalities)}")
        others = [name for name in spec.modalities if name != target]
        self.process = Process(len(others), schedule=schedule, omega=omega, scale=scale)
        self.model = MultimodalDenoiser(
            spec.modalities,
            target,
            aggregated=others,
            conditions=others if self.channels else [],
            decoded=spec.modalities,
            network=spec.network,
        )

    @property
    def backbone(self) -> UNet:  # type: ignore[override]  # a property: registered twice, it would be saved twice
        """The shared network."""
        return self.model.backbone

    def draw_states(self, count: int, generator: torch.Generator) -> States:
        """Draw absent, unknown or known for each item and aggregated modality."""
        present, known = {}, {}
        for name in self.model.aggregated:
            shares = torch.tensor(self.states, dtype=torch.float64)
            state = torch.multinomial(shares, count, replacement=True, generator=generator)
            present[name] = (state >= STATES.index("unknown")).float()
            known[name] = (state == STATES.index("known")).float()
        return States(present, known)

    def draw_steps(self, known: Tensor, generator: torch.Generator) -> Tensor:
        """Steps (n,) uniform in 1..T; a share `one_pass` of the known items is put at T, `clean` of the others at 1.

        For `vlb` all are uniform.
        """
        t = torch.randint(1, self.process.steps + 1, (len(known),), generator=generator)
        if self.objective == "vlb":
            return t
        special = torch.rand(len(known), generator=generator)
        t = torch.where(special < self.one_pass * known, self.process.steps, t)
        return torch.where(special < self.clean * (1 - known), 1, t)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The weighted terms of `mmbench.diffusion.loss` on one batch."""
        z0 = batch[self.target]
        states = self.draw_states(len(z0), generator)
        t = self.draw_steps(states.any_known(len(z0)), generator)
        states = states.to(z0)
        eps = noise_like(z0, generator)
        encodings = self.aggregate(self.model.encode(batch), states)
        z_t = self.process.marginal(z0, encodings, t, eps)
        output = self.model(z_t, t, Known(batch, states.known), states.present)
        terms = {}
        if self.loss_weights["generate"]:
            generation = self.simple_terms if self.objective == "simple" else self.vlb_terms
            for name, value in generation(output, z0, eps, z_t, t, encodings, batch, states).items():
                terms[name] = self.loss_weights["generate"] * value
        terms |= self.recovery_terms(output, batch, states)
        return {"loss": torch.stack(list(terms.values())).sum(), **{k: v.detach() for k, v in terms.items()}}

    def simple_terms(
        self, output: Output, z0: Tensor, eps: Tensor, _z_t: Tensor, t: Tensor, *_: object
    ) -> dict[str, Tensor]:
        """L1 as the squared error of the network's prediction."""
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        weight = losses.snr_weight(self.prediction, signal, noise, self.max_weight).flatten()
        return {"generate": (weight * losses.simple(output.prediction, target)).mean()}

    def vlb_terms(
        self,
        output: Output,
        z0: Tensor,
        eps: Tensor,
        z_t: Tensor,
        t: Tensor,
        encodings: Sequence[Tensor],
        batch: Batch,
        states: States,
    ) -> dict[str, Tensor]:
        """L0, L1 and L3 in nats per dimension; L1 and L3 share the uniform draw of t, hence the factor T."""
        size, first = z0[0].numel(), (t == 1).to(z0)
        recovered = self.estimate_encodings(output, batch, states)
        z0_hat = self.estimate_z0(output, z_t, t, recovered)
        eps_hat = estimate_eps(self.process, z_t, z0_hat, recovered, t)
        step = losses.step_kl(self.process, eps, eps_hat, encodings, recovered, t.clamp(min=2))
        last = losses.reconstruction(self.process, z0, z0_hat)
        scale = self.process.steps / size
        return {
            "prior": losses.prior_kl(self.process, z0, encodings).mean() / size,
            "step": scale * ((1 - first) * step).mean(),
            "reconstruction": scale * (first * last).mean(),
        }

    def recovery_terms(self, output: Output, batch: Batch, states: States) -> dict[str, Tensor]:
        """L2 of each decoder that has a weight, over the items for which recovery is not a copy.

        An aggregated modality is recovered where it is in z_t without being given, with `recover_absent` wherever it is
        not given; the target where something is given (everywhere, when nothing can be).
        """
        terms = {}
        for name, weight in self.loss_weights.items():
            if name == "generate" or not weight:
                continue
            value = losses.recovery(self.spec.modalities[name], output.decoded[name], batch[name])
            if name != self.target:
                here = torch.ones_like(states.known[name]) if self.recover_absent else states.present[name]
                where = here - states.known[name]
            else:
                where = states.any_known(len(value)).to(value) if self.channels else torch.ones_like(value)
            terms[f"recover_{name}"] = weight * (where * value).mean()
        return terms

    def aggregate(self, encodings: Sequence[Tensor], states: States) -> list[Tensor]:
        """Encodings with those of absent modalities set to zero."""
        names = self.model.aggregated
        return [e * states.present[name][:, None, None, None] for name, e in zip(names, encodings, strict=True)]

    def estimate_encodings(self, output: Output, values: Batch, states: States) -> list[Tensor]:
        """Encodings of the data where a modality is known, of its decoder's prediction where it is not."""
        encodings = []
        for name in self.model.aggregated:
            guess = self.model.encoders[name](as_value(output.decoded[name], self.spec.modalities[name]))
            if states.known[name].any():
                known = states.known[name][:, None, None, None]
                guess = known * self.model.encoders[name](values[name]) + (1 - known) * guess
            encodings.append(guess)
        return self.aggregate(encodings, states)

    def estimate_z0(self, output: Output, z_t: Tensor, t: Tensor, encodings: Sequence[Tensor]) -> Tensor:
        """The network's estimate of z_0, once the drift of `encodings` is taken off z_t."""
        signal, noise = self.process.coefficients(t, z_t)
        return to_z0(output.prediction, self.prediction, z_t - self.process.drift(encodings, t), signal, noise)

    def given_states(
        self, given: Batch, want: Sequence[str], count: int, device: torch.device, joint: bool = True
    ) -> States:
        """The states at generation: what is given is known; the rest is unknown where it is wanted or `joint`."""
        present, known = {}, {}
        for name in self.model.aggregated:
            here = name in given or name in want or (joint and self.generation == "joint")
            present[name] = torch.full((count,), float(here), device=device)
            known[name] = torch.full((count,), float(name in given), device=device)
        return States(present, known)

    def fill(self, given: Batch, count: int, device: torch.device) -> Batch:
        """Values for every condition; one that is not given is zeros, which its flag hides."""
        values = dict(given)
        for name in self.model.aggregated:
            if name not in values:
                modality = self.spec.modalities[name]
                dtype = torch.long if modality.kind in ("mask", "label") else torch.float32
                values[name] = torch.zeros(count, *modality.shape, dtype=dtype, device=device)
        return values

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Sample z_0 and read the other wanted modalities off the decoders at the last evaluation.

        A given target, or a noised one, needs no sampling: the decoders read it in one evaluation.
        """
        if self.target in given or NOISED in given:
            return self.read(task, given, count, generator)
        device = next(self.parameters()).device
        states = self.given_states(given, task.want, count, device)
        values = self.fill(given, count, device)
        known = Known(values, states.known)
        decoded: Batch = {}

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
            output = self.model(z_t, t, known, states.present)
            decoded.update(output.decoded)
            encodings = self.estimate_encodings(output, values, states)
            z0 = self.estimate_z0(output, z_t, t, encodings).clamp(-1, 1)
            return self.constrain(z0, given), encodings

        z_t = self.start(States(states.known, states.known), values, count, generator)
        z0 = sample(self.process, denoise, z_t, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        answer = {name: as_answer(value, self.spec.modalities[name]) for name, value in decoded.items()}
        return {name: z0 if name == self.target else answer[name] for name in task.want}

    def start(self, states: States, values: Batch, count: int, generator: torch.Generator) -> Tensor:
        """z_T (count, c, h, w): noise, and what the process has added to it by then of the modalities present."""
        noise = noise_like(torch.empty(count, *self.model.space, device=next(self.parameters()).device), generator)
        t = torch.full((count,), self.process.steps, dtype=torch.long)
        return noise + self.process.drift(self.aggregate(self.model.encode(values), states), t)

    def constrain(self, z0: Tensor, given: Batch) -> Tensor:
        """The estimate of z_0 with what is certain about it put in: with `impose`, seen pixels."""
        for name, value in given.items():
            if self.impose and self.spec.modalities[name].kind == "masked_image":
                seen = value[:, -1:]
                z0 = seen * value[:, :-1] + (1 - seen) * z0
        return z0

    @torch.no_grad()
    def read(self, task: Task, given: Batch, count: int, generator: torch.Generator) -> Batch:
        """What is wanted, by its decoders in one evaluation: at t = 1 of a given target, at its own t of a noised one.

        Nothing else is in z_1 to speak of, and nothing at all in a noised image: there, what is wanted is absent.

        Raises:
            UserError: the image is noised, and the decoders have not learnt from items without an encoding.
        """
        if noised := NOISED in given:
            if not self.recover_absent or not self.states[0]:
                raise UserError("noised images need recover_absent: true and a share of absent items; set both")
            z_t, t = given[NOISED].float(), self.process.step_of(given["alpha_bar"])
        else:
            t = torch.ones(count, dtype=torch.long)
            z_t = self.process.marginal(given[self.target], [], t, noise_like(given[self.target], generator))
        known = {name: given[name] for name in self.model.aggregated if name in given}
        states = self.given_states(known, () if noised else task.want, count, z_t.device, joint=not noised)
        values = self.fill(known, count, z_t.device)
        encodings = self.aggregate(self.model.encode(values), States(states.known, states.known))
        z_t = z_t + self.process.drift(encodings, t)
        decoded = self.model(z_t, t, Known(values, states.known), states.present).decoded
        answer = {name: as_answer(value, self.spec.modalities[name]) for name, value in decoded.items()}
        return {name: given.get(name, answer[name]) for name in task.want}

    def predict_at_once(self, given: Batch, count: int, generator: torch.Generator) -> Tensor:
        """The target's decoder at t = T, given the rest: one evaluation, no sampling.

        Raises:
            UserError: the model was not trained with `channels` conditioning, so it cannot be told what is given.
        """
        if not self.channels:
            raise UserError("the one-pass answer needs conditioning: channels; change the method's settings")
        device = next(self.parameters()).device
        states = self.given_states(given, (), count, device)
        values = self.fill(given, count, device)
        t = torch.full((count,), self.process.steps, dtype=torch.long)
        z_t = self.start(states, values, count, generator)
        output = self.model(z_t, t, Known(values, states.known), states.present)
        return as_value(output.decoded[self.target], self.spec.modalities[self.target])
