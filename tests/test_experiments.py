"""Masks hide what they say, cases are frozen, stored arrays become batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from fake_data import write_splits
from pydantic import ValidationError

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, Experiment, load_experiment, read_cases, to_batch, to_stored
from mmbench.experiments.labels.cases import in_proportion
from mmbench.experiments.labels.options import Options
from mmbench.files.store import Arrays, sha256_arrays
from mmbench.modalities import Modality
from mmbench.modalities.image import to_uint8
from mmbench.modalities.masked_image import draw_masks
from mmbench.stages import cases as cases_command

masking, segmentation, embedding, labels = map(load_experiment, ("masking", "segmentation", "embedding", "labels"))
SETTINGS = {"experiment": "masking", "shares": [0.1, 0.25, 0.5, 0.75], "evaluate": {"reconstructions": 6, "samples": 4}}


PLAIN = {"size": [32, 32]}


def cases(experiment: Experiment, test: Arrays, card: dict, settings: dict) -> list[Case]:
    return experiment.cases(test, experiment.modalities(card), settings)


def some_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (96, 128)])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.95])
def test_masks_hide_their_share(size: tuple[int, int], share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    seen = draw_masks(torch.full((20,), share), *size, generator)
    hidden = 1 - seen.mean(dim=(1, 2, 3))
    assert hidden[::2].sub(share).abs().max() <= 0.5 / 64 + 1e-6  # patches: to half a cell
    assert hidden[1::2].sub(share).abs().max() <= 0.05  # box: to a row or a column
    assert len({tuple(mask.flatten().tolist()) for mask in seen}) >= 12  # a large box has few places


def test_masked_image_hides_colours() -> None:
    image = torch.rand(4, 3, 16, 16) + 0.1
    batch = masking.training_batch({"image": image}, masking.modalities(PLAIN), torch.Generator().manual_seed(0))
    masked = batch["masked_image"]
    seen = masked[:, 3:].bool().expand(-1, 3, -1, -1)
    assert torch.equal(masked[:, :3][seen], image[seen]) and (masked[:, :3][~seen] == 0).all()
    assert set(masked[:, 3].unique().tolist()) <= {0.0, 1.0}


def test_cases_are_frozen_and_survive_their_files(tmp_path) -> None:
    found = cases(masking, {"image": some_images()}, PLAIN, SETTINGS)
    again = cases(masking, {"image": some_images()}, PLAIN, SETTINGS)
    assert [c.name for c in found] == [*(f"reconstruct-{s}" for s in (10, 25, 50, 75)), "generate"]
    assert all(sha256_arrays(a.given) == sha256_arrays(b.given) for a, b in zip(found, again, strict=True))
    image = some_images()
    data = write_splits(tmp_path / "data", {"test": {"image": image}}, size=[32, 32])
    (tmp_path / "s.json").write_text(json.dumps(SETTINGS))
    cases_command.main(["--settings", str(tmp_path / "s.json"), "--data", str(data), "--out", str(tmp_path)])
    stored = read_cases(tmp_path)
    assert [c.name for c in stored] == [c.name for c in found]
    for a, b in zip(found, stored, strict=True):
        assert (a.count, a.task, dict(a.detail)) == (b.count, b.task, dict(b.detail))
        assert sha256_arrays(a.given) == sha256_arrays(b.given) and sha256_arrays(a.truth) == sha256_arrays(b.truth)


def test_batches_of_stored_arrays() -> None:
    image = some_images()
    modalities = {"image": Modality("image", (3, 32, 32)), "label": Modality("label", (), 8)}
    modalities |= {"mask": Modality("class_map", (4, 4), 3), **masking.modalities(PLAIN)}
    stored = {"image": image, "label": np.arange(8), "mask": np.full((8, 4, 4), 255, np.uint8)}
    batch = to_batch(stored, modalities)
    assert batch["image"].min() >= -1 and batch["image"].max() <= 1
    assert np.array_equal(to_uint8(batch["image"]), image)
    assert batch["mask"].dtype == torch.int64 and batch["mask"].max() == 255
    given = cases(masking, {"image": image}, PLAIN, SETTINGS)[2].given
    masked = to_batch(given, modalities)["masked_image"]
    assert set(masked[:, 3].unique().tolist()) == {0.0, 1.0}
    assert (masked[:, :3] * (1 - masked[:, 3:])).abs().max() == 0


MANY = {"evaluate": {"reconstructions": 3, "samples": 60}}
CARD = {"name": "toy", "size": [32, 48], "modalities": ["image", "mask"], "classes": ["sky", "road", "tree"]}


def test_segmentation_asks_each_way_and_for_both() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 48), dtype=np.uint8)
    mask = np.random.default_rng(1).integers(0, 3, (8, 32, 48), dtype=np.uint8)
    settings = {"evaluate": {"reconstructions": 3, "samples": 6}}
    segment, paint, generate = cases(segmentation, {"image": image, "mask": mask}, CARD, settings)
    assert [c.task for c in (segment, paint, generate)] == list(segmentation.tasks)
    assert (segment.count, paint.count, generate.count) == (3, 6, 6)
    assert np.array_equal(segment.given["image"], image[:3]) and np.array_equal(segment.truth["mask"], mask[:3])
    assert np.array_equal(paint.given["mask"], mask[:6]) and np.array_equal(paint.truth["image"], image[:6])
    assert not generate.given and not generate.truth
    many = cases(segmentation, {"image": image, "mask": mask}, CARD, MANY)
    assert (many[1].count, many[2].count) == (8, 60)
    for case in (segment, paint, generate):
        task = segmentation.tasks[case.task]
        assert set(case.given) == set(task.given)


def test_segmentation_takes_classes_from_the_card_and_refuses_data_without_masks() -> None:
    found = segmentation.modalities(CARD)
    assert found["image"].shape == (3, 32, 48) and found["mask"].shape == (32, 48) and found["mask"].classes == 3
    for card in ({**CARD, "modalities": ["image"]}, {**CARD, "classes": []}):
        with pytest.raises(UserError, match=r"data\.name: toy has no mask,.*segmentation") as caught:
            segmentation.modalities(card)
        assert "\n" not in str(caught.value)


EMBEDDED = {"name": "toy", "size": [32, 48], "modalities": ["image", "embedding"], "embedding": {"size": 7}}


def test_embedding_asks_each_way_and_for_both() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 48), dtype=np.uint8)
    vectors = np.random.default_rng(1).normal(size=(8, 7)).astype(np.float32)
    settings = {"evaluate": {"reconstructions": 3, "samples": 6}}
    embed, paint, generate = cases(embedding, {"image": image, "embedding": vectors}, EMBEDDED, settings)
    assert [c.task for c in (embed, paint, generate)] == list(embedding.tasks)
    assert (embed.count, paint.count, generate.count) == (3, 6, 6)
    assert np.array_equal(embed.given["image"], image[:3]) and np.array_equal(embed.truth["embedding"], vectors[:3])
    assert np.array_equal(paint.given["embedding"], vectors[:6]) and np.array_equal(paint.truth["image"], image[:6])
    many = cases(embedding, {"image": image, "embedding": vectors}, EMBEDDED, MANY)
    assert (many[1].count, many[2].count) == (8, 60)
    for case in (embed, paint, generate):
        assert set(case.given) == set(embedding.tasks[case.task].given)
    modalities = embedding.modalities(EMBEDDED)
    batch = to_batch({"image": image, "embedding": vectors, "embedding_mirrored": vectors}, modalities)
    assert torch.equal(batch["embedding"], torch.from_numpy(vectors))
    assert embedding.training_batch(batch, modalities, torch.Generator()).keys() == {"image", "embedding"}
    stored = to_stored({"embedding": batch["embedding"]}, modalities, 8)
    assert stored["embedding"].dtype == np.float32 and np.array_equal(stored["embedding"], vectors)


def test_embedding_refuses_data_without_embeddings() -> None:
    found = embedding.modalities(EMBEDDED)
    assert (found["image"].shape, found["embedding"].shape) == ((3, 32, 48), (7,))
    for card in (CARD, {**EMBEDDED, "embedding": None}):
        with pytest.raises(UserError, match=r"toy has no embedding,.*mmbench\.stages\.embed") as caught:
            embedding.modalities(card)
        assert "\n" not in str(caught.value)


LABELLED = {"name": "toy", "size": [32, 32], "modalities": ["image", "label"], "labels": ["day", "dusk", "night"]}
NOISY = {"noise_levels": [0.9, 0.05], "evaluate": {"reconstructions": 3, "samples": 6}}


def labelled(count: int = 8) -> dict[str, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return {"image": image, "label": np.random.default_rng(1).integers(0, 3, count)}


def test_labels_asks_each_way_with_noise_and_for_both() -> None:
    test = labelled()
    found = cases(labels, test, LABELLED, NOISY)
    assert [c.name for c in found] == ["classify", "noised-90", "noised-5", "paint", "generate"]
    assert [c.count for c in found] == [3, 3, 3, 6, 6]
    assert {c.task for c in found} == labels.tasks.keys()
    for case in found:
        assert set(case.given) == set(labels.tasks[case.task].given)
        if case.task.startswith("classify"):
            assert np.array_equal(case.truth["label"], test["label"][:3])
    assert np.array_equal(found[0].given["image"], test["image"][:3])
    assert found[1].detail == {"alpha_bar": 0.9} and found[2].detail == {"alpha_bar": 0.05}
    assert not found[3].truth and not found[4].given and not found[4].truth
    again = cases(labels, test, LABELLED, NOISY)
    assert all(sha256_arrays(a.given) == sha256_arrays(b.given) for a, b in zip(found, again, strict=True))


def test_noised_images_hold_the_image_and_the_same_noise_at_every_level() -> None:
    test = labelled(20)
    many = {**NOISY, "evaluate": {"reconstructions": 20, "samples": 6}}
    x, noises = test["image"] / 127.5 - 1, []
    for case in cases(labels, test, LABELLED, many)[1:3]:
        z, level = case.given["noised_image"], case.given["alpha_bar"]
        assert z.dtype == np.float16 and level.dtype == np.float32 and level.shape == (20,)
        assert level == pytest.approx(case.detail["alpha_bar"])
        level = float(level[0])
        noises.append((z.astype(np.float64) - level**0.5 * x) / (1 - level) ** 0.5)
        batch = to_batch(case.given, labels.modalities(LABELLED))
        assert batch["noised_image"].dtype == torch.float16 and batch["alpha_bar"].dtype == torch.float32
        assert np.array_equal(batch["noised_image"].numpy(), z)
    assert abs(noises[0].mean()) < 0.01 and noises[0].std() == pytest.approx(1, abs=0.01)
    assert np.abs(noises[0] - noises[1]).max() < 0.01
    assert abs(np.corrcoef(noises[0].ravel(), x.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("count", [10, 50, 500])
def test_labels_to_paint_have_the_proportions_of_the_test_split(count: int) -> None:
    label = np.repeat([0, 1, 2], [25, 15, 10])
    drawn = in_proportion(label, count)
    assert drawn.dtype == np.int64 and len(drawn) == count
    shares = np.bincount(drawn, minlength=3) / count
    assert np.abs(shares - [0.5, 0.3, 0.2]).max() <= 1 / count
    assert not np.array_equal(drawn, np.sort(drawn)) and np.array_equal(drawn, in_proportion(label, count))


def test_labels_takes_classes_from_the_card_and_refuses_data_without() -> None:
    found = labels.modalities(LABELLED)
    assert found["image"].shape == (3, 32, 32) and found["label"].shape == () and found["label"].classes == 3
    for card in ({**LABELLED, "modalities": ["image"]}, {**LABELLED, "labels": []}, {**LABELLED, "labels": ["all"]}):
        with pytest.raises(UserError, match=r"data\.name: toy has no label,.*experiment labels") as caught:
            labels.modalities(card)
        assert "\n" not in str(caught.value)
    batch = {name: torch.zeros(2) for name in ("image", "mask", "label")}
    assert labels.training_batch(batch, found, torch.Generator()).keys() == {"image", "label"}


def test_noise_levels_are_checked() -> None:
    assert Options(noise_levels=[0.9, 0.05]).options() == {"noise_levels": [0.9, 0.05]}
    for levels in ([], [0.0], [1.0], [0.5, 0.502], [0.999], [0.001], ["much"]):
        with pytest.raises(ValidationError, match="noise_levels"):
            Options(noise_levels=levels)
