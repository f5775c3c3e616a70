"""U-Net regression of the whole image from the masked one in one pass, trained with the error of hidden pixels.

The loss is the reconstruction loss of context encoders (Pathak et al. 2016, L2) without their adversary; L1, the
default, is sharper and common since pix2pix (Isola et al. 2017).
"""

from __future__ import annotations

from typing import Literal, get_args

from mmbench.errors import UserError
from mmbench.method import Spec
from mmbench.models.diffusion.supervised import HoleFiller

TITLE = "U-Net regression"
TASKS = ("reconstruct",)

Loss = Literal["l1", "l2"]


class Method(HoleFiller):
    """The shared backbone as a regressor.

    Args:
        spec: modalities and network.
        loss: error of a hidden pixel: `l1` or `l2`.
    """

    def __init__(self, spec: Spec, *, loss: Loss = "l1") -> None:
        if loss not in get_args(Loss):
            raise UserError(f"unet_regression: loss: '{loss}' is not one of {', '.join(get_args(Loss))}; choose one")
        super().__init__(spec, power=1 if loss == "l1" else 2)
