"""Training loops of three programs: ours, diffusers' example, and denoising-diffusion-pytorch's.

diffusers' is written from the public structure of its example of unconditional generation (`train_unconditional.py`),
with what that has by default; of its way of loading data only the transforms are left, of pictures in memory.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from mmbench.experiments.experiment import Experiment
from mmbench.method import Batch, Method, Modality, Noise, Sampling, Spec, Task
from mmbench.models.device import choose_device, keep_freed_memory
from mmbench.models.nets.blocks import HEAD
from mmbench.models.nets.unet import UNet
from mmbench.training.loop import Training

EXAMPLE = {"learning_rate": 1e-4, "warmup": 500, "ema": 0.9999}


class Loop(Protocol):
    """A training that can be continued."""

    network: nn.Module

    def steps(self, count: int) -> None:
        """Make that many updates of the weights."""

    def answers(self) -> dict[str, np.ndarray]:
        """What it makes of a test, with the weights it would be used with; only where quality is compared."""
        raise NotImplementedError


def unet(size: int, channels: Sequence[int], layers: int = 1, seed: int = 0) -> UNet2DModel:
    """diffusers' network for images, with attention at its innermost level, of random weights from a seed."""
    torch.manual_seed(seed)
    plain = len(channels) - 1
    return UNet2DModel(
        sample_size=size,
        in_channels=3,
        out_channels=3,
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
        norm_num_groups=8,
        attention_head_dim=HEAD,
    )


def mse(network: nn.Module, images: Tensor, noise: Tensor, t: Tensor, scheduler: Any) -> Tensor:
    """The example's loss: the squared error of the noise."""
    noised = scheduler.add_noise(images, noise, t)
    return F.mse_loss(network(noised, t, return_dict=False)[0].float(), noise.float())


class Alone(Loop):
    """The network's forward and backward pass on the same batch, and nothing else: the floor of our loop."""

    def __init__(self, images: np.ndarray, network: nn.Module, batch_size: int, precision: str) -> None:
        keep_freed_memory()  # as our commands do
        self.network, self.precision = network, precision
        self.x = torch.from_numpy(images[:batch_size]).float() / 127.5 - 1
        self.t = torch.arange(batch_size) * 1000 // batch_size

    def steps(self, count: int) -> None:
        """As `Loop`."""
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
                out = self.network(self.x, self.t, return_dict=False)[0]
            F.mse_loss(out.float(), self.x).backward()
            self.network.zero_grad(set_to_none=True)


class Same(nn.Module):
    """Our network with the weights of diffusers', called as diffusers' is; the same numbers (`tests/test_unet.py`)."""

    def __init__(self, theirs: Any) -> None:
        super().__init__()
        width, layers = theirs.config.block_out_channels[0], theirs.config.layers_per_block
        assert width >= HEAD, "narrower ones of ours have smaller heads"
        multiples = [channels // width for channels in theirs.config.block_out_channels]
        self.backbone = UNet(3, width=width, channel_mult=multiples, layers=layers, attention=True)
        self.conv_out = theirs.conv_out
        weights = {name: value for name, value in theirs.state_dict().items() if not name.startswith("conv_out.")}
        self.backbone.net.load_state_dict(weights)

    def forward(self, x: Tensor, t: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Images (n, 3, h, w) at steps t (n,) to one tensor of the same shape."""
        return (self.conv_out(self.backbone(x, t).map),)


class Plain(Method):
    """The example's objective as a method of ours."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(Spec({}))
        self.backbone = network
        self.scheduler = DDPMScheduler()

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """As `mse`."""
        images = batch["image"]
        noise = torch.randn(images.shape, generator=generator)
        t = torch.randint(1000, (len(images),), generator=generator)
        return {"loss": mse(self.backbone, images, noise, t, self.scheduler)}

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """It is only trained."""
        raise NotImplementedError


class Images(Experiment):
    """Whole images, and nothing made of them."""

    def training_batch(self, batch: Batch, modalities: Mapping[str, Modality], generator: torch.Generator) -> Batch:
        """The images."""
        return batch


class Ours(Loop):
    """`mmbench.stages.train` with a method, from step 1."""

    def __init__(self, images: np.ndarray, method: Method, batch_size: int, precision: str, **train: Any) -> None:
        settings = {"steps": 12_500, "batch_size": batch_size, "precision": precision, "flip": False} | EXAMPLE | train
        self.training = Training(
            method,
            Images("images", {}),
            {"train": settings, "method": "ours"},
            {"image": images},
            modalities={"image": Modality("image", images.shape[1:])},
            seed=0,
            device=choose_device("cpu", torch.get_num_threads()),  # as the command does
            state=Path(),
            key="",
        )
        self.network, self.step, self.losses = method, 0, list[Tensor]()

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.network.train()
        for _ in range(count):
            self.step += 1
            self.losses.append(self.training.step(self.step)["loss"])


class Diffusers(Loop):
    """The example's loop, with a moving average as its flag `--use_ema` adds it; `other` replaces its defaults."""

    def __init__(self, images: np.ndarray, network: Any, batch_size: int, precision: str, **other: Any) -> None:
        example = EXAMPLE | other
        from accelerate import Accelerator  # noqa: PLC0415
        from diffusers.optimization import get_scheduler  # noqa: PLC0415
        from diffusers.training_utils import EMAModel  # noqa: PLC0415
        from PIL import Image  # noqa: PLC0415
        from torchvision import transforms  # noqa: PLC0415

        size = images.shape[-1]
        steps = [transforms.Resize(size), transforms.RandomCrop(size), transforms.ToTensor()]
        augmented = transforms.Compose([*steps, transforms.Normalize([0.5], [0.5])])
        pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
        dataset = [SimpleNamespace(picture=picture) for picture in pictures]
        self.accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=True)
        self.ema = EMAModel(
            network.parameters(),
            decay=example["ema"],
            use_ema_warmup=True,
            inv_gamma=1.0,
            power=0.75,
            model_cls=UNet2DModel,
            model_config=network.config,
        )
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=example["learning_rate"], betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        loader: Any = torch.utils.data.DataLoader(
            dataset,  # type: ignore[arg-type]  # a list
            shuffle=True,
            batch_size=batch_size,
            collate_fn=lambda items: {"input": torch.stack([augmented(item.picture) for item in items])},
        )
        rate = get_scheduler(
            "cosine",
            optimizer=optimizer,
            num_warmup_steps=int(example["warmup"]),
            num_training_steps=len(loader) * 100,
        )
        prepared = self.accelerator.prepare(network, optimizer, loader, rate)
        self.network, self.optimizer, self.loader, self.rate = prepared
        self.batches = self.endless()
        self.logs: list[dict[str, float]] = []

    def endless(self) -> Iterator[Tensor]:
        """Batches of one epoch after the other; the last of each is smaller."""
        while True:
            for batch in self.loader:
                yield batch["input"]

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.network.train()
        for _ in range(count):
            images = next(self.batches)
            noise = torch.randn_like(images)
            t = torch.randint(0, 1000, (len(images),), device=images.device).long()
            with self.accelerator.accumulate(self.network):
                loss = mse(self.network, images, noise, t, self.scheduler)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
                self.optimizer.step()
                self.rate.step()
                self.optimizer.zero_grad()
            if self.accelerator.sync_gradients:
                self.ema.step(self.network.parameters())
            self.logs.append({"loss": loss.detach().item(), "lr": self.rate.get_last_lr()[0]})


class Lucidrains(Loop):
    """denoising-diffusion-pytorch's `Trainer` as it comes, of pictures in a folder; it saves and scores nothing.

    Args:
        folder: of the pictures.
        diffusion: its `GaussianDiffusion`.
    """

    def __init__(self, folder: Path, diffusion: nn.Module) -> None:
        from denoising_diffusion_pytorch import Trainer  # noqa: PLC0415

        with contextlib.redirect_stdout(io.StringIO()):
            self.trainer = Trainer(
                diffusion,
                str(folder),
                results_folder=str(folder / "results"),
                save_and_sample_every=10**9,
                calculate_fid=False,
            )
        self.network = diffusion

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.trainer.train_num_steps = self.trainer.step + count
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            self.trainer.train()
