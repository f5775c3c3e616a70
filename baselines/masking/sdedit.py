"""SDEdit (Meng et al. 2022): a coarse filling of the hidden region is partly noised and denoised by the plain DDPM.

The filling is that of pull-push (Gortler et al. 1996): each hidden pixel gets the mean of the visible ones at the
finest scale that has any. Like the strokes of the paper it has colours and no texture; it is neither random nor learnt.

Known pixels are kept at every step, as in the paper's editing with a mask (algorithm 5), which noises the image again
at each step. Here they replace those of the estimate of z_0, as in the other methods, so that any sampler can be used.
The noise level of the filling trades fidelity against realism and is chosen on the validation split.
"""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.painter import Painter
from mmbench.models.diffusion.single import DiffusionSettings

TITLE = "SDEdit"
TASKS = ("reconstruct",)
SAMPLES = True
WEIGHTS_FROM = "ddpm"
TUNE = {"strength": (0.2, 0.4, 0.6, 0.8)}
TUNE_BY = ("reconstruct", "lpips_alex")


def pull_push(colours: Tensor, seen: Tensor) -> Tensor:
    """Fill the hidden pixels of colours (n, c, h, w) where `seen` (n, 1, h, w) is 0; grey if no pixel is visible."""
    if min(colours.shape[2:]) == 1:
        shown = seen.sum(dim=(2, 3), keepdim=True)
        mean = (colours * seen).sum(dim=(2, 3), keepdim=True) / shown.clamp(min=1)
        return seen * colours + (1 - seen) * mean
    share = F.avg_pool2d(seen, 2, ceil_mode=True)
    coarse = F.avg_pool2d(colours * seen, 2, ceil_mode=True) / share.clamp(min=1e-6)
    filled = pull_push(coarse, (share > 0).to(seen))
    finer = F.interpolate(filled, size=colours.shape[2:], mode="bilinear", align_corners=False)
    return seen * colours + (1 - seen) * finer


class Method(Painter):
    """The network of `ddpm`, sampled from a noised filling.

    Args:
        spec: modalities and network.
        strength: the step to which the filling is noised, as a share of T, above 0 up to 1.
        settings: as for `ddpm`.
    """

    def __init__(self, spec: Spec, *, strength: float = 0.6, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        if not 0 < strength <= 1:
            raise UserError(f"sdedit: strength: {strength} is not above 0 and at most 1; give a share of the steps")
        self.strength = strength

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Denoise the noised filling; all evaluations are used for the remaining steps."""
        colours, seen = given["masked_image"][:, :-1], given["masked_image"][:, -1:]
        start = max(1, round(self.strength * self.process.steps))
        z, _ = self.noised(pull_push(colours, seen), torch.full((count,), start, dtype=torch.long), generator)

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            z0 = self.estimate(self(z_t, t, {}), z_t, t).clamp(-1, 1)
            return seen * colours + (1 - seen) * z0

        nfe = min(sampling.nfe, start)
        return {"image": self.draw(estimate, z, sampling, generator, nfe=nfe, start=start)}
