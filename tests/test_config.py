"""The configuration: what is accepted, what each mistake is answered with, and what each stage gets to see."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmbench.config.configuration import STAGE_SECTIONS, Config, merge
from mmbench.config.schema import Data, Evaluate, Network, Profile, Sample, Top, Train, experiment_schema
from mmbench.config.yaml_files import read_yaml, typed
from mmbench.errors import UserError

ROOT = Path(__file__).parents[1]
QUICK, MASKING, TOP = "config/profiles/quick.yaml", "config/experiments/masking.yaml", "config/config.yaml"
JOINT = "config/experiments/joint.yaml"
REMOVED = "(removed)"
METHODS = {"masking": [*sorted(p.stem for p in (ROOT / "baselines/masking").glob("[!_]*.py")), "mt_diffusion"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with this configuration, `quick` of one experiment only, and the names of data sets and experiments."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    edit(tmp_path / QUICK, "experiments", ["masking"])
    (tmp_path / "mmbench").symlink_to(ROOT / "mmbench")
    return tmp_path


def edit(path: Path, key: str, value: Any) -> None:
    """Set a dotted key of a YAML file, or take it out."""
    content = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    if value is REMOVED:
        del section[last]
    else:
        section[last] = value
    path.write_text(yaml.safe_dump(content))


def read(root: Path, **changes: Any) -> Config:
    """The configuration of `root`, with top-level keys as `--config` sets them."""
    return Config(yaml.safe_load((root / TOP).read_text()) | changes, root)


def message(run: Callable[[], Any]) -> str:
    """The one line that a mistake is answered with."""
    with pytest.raises(UserError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# file, key, value, and what the message must name besides file and key
MISTAKES = [
    (TOP, "profle", "quick", "there are conda_env"),
    (TOP, "profile", "quik", "did you mean 'quick'?"),
    (TOP, "results", REMOVED, "add it"),
    (TOP, "results", "my results", "without spaces"),
    (TOP, "threads", 0, "greater than 0"),
    (TOP, "processes", 2, "2 of them cannot share 1 shards of a batch evenly"),
    (TOP, "override", [1], "write keys and values below it"),
    (TOP, "override", {"train": {"stepz": 1}}, "did you mean 'train.steps'?"),
    (TOP, "override", {"data": {"name": "cifar100"}}, "did you mean 'cifar10'?"),
    (TOP, "override", {"data": {"train": 1}}, "data.train: got 1; its images are compared with others"),
    (TOP, "override", {"data": {"test": 3}, "evaluate": {"reconstructions": 1}}, "data.test: got 3; its images"),
    (QUICK, "experiments", ["maskng"], "did you mean 'masking'?"),
    (QUICK, "experiments", ["masking", "masking"], "name each only once"),
    (QUICK, "seeds", [1, 1], "name each only once"),
    (QUICK, "train", REMOVED, "add it"),
    (QUICK, "train.steps", REMOVED, "config/README.md"),
    (QUICK, "train.steps", 1.5, "valid integer"),
    (QUICK, "train.learning_rate", float("nan"), "finite number"),
    (QUICK, "train.ema", 1.0, "less than 1"),
    (QUICK, "train.precision", "fp16", "'fp32' or 'bf16'"),
    (QUICK, "train.shards", 3, "by which batch_size, 16, can be divided"),
    (QUICK, "network.width", 20, "multiple of 8"),
    (QUICK, "network.depth", 3, "there are network.attention"),
    (QUICK, "data.name", "toy_street", "did you mean 'toy_streets'?"),
    (QUICK, "data.size", 16, "from 32 to 1024"),
    (QUICK, "data.size", [32, 32, 3], "[height, width]"),
    (QUICK, "data.size", 36, "multiples of 8"),
    (QUICK, "sample.sampler", "euler", "'ancestral', 'ddim', 'dpm++', 'dpm++snr' or 'dpm++sde'"),
    (QUICK, "sample.nfe", 1001, "less than or equal to 1000"),
    (QUICK, "evaluate.samples", 3, "greater than or equal to 16"),
    (QUICK, "evaluate.reference", "dev", "'train', 'validation' or 'test'"),
    (QUICK, "evaluate.features", ["vgg16"], "evaluate.features: 'vgg16' does not exist"),
    (QUICK, "evaluate.features", ["none.py"], "evaluate.features: none.py: no such file"),
    (QUICK, "evaluate.reconstructions", 501, "data.test has 500"),
    (QUICK, "methods", ["unet_regresion"], "did you mean 'unet_regression'?"),
    (QUICK, "methods", ["mt_diffusion@aggregate"], "match pattern"),
    (QUICK, "snapshots", [0.5, 0.25], "from small to large, each only once"),
    (QUICK, "snapshots", [0.0001], "of the 700 steps of masking/"),
    (QUICK, "snapshots", [0.5, 0.5001], "0.5, 0.5001 are the steps 350, 350; name fewer, or train longer"),
    (TOP, "override", {"snapshots": [0.9999]}, "snapshots: of the 700 steps"),
    (QUICK, "variants", ["mt_diffusion@aggregat"], "did you mean 'mt_diffusion@aggregate'?"),
    (MASKING, "shares", [0.5, 1.0], "less than 1"),
    (MASKING, "shares", [0.101, 0.1], "whole percentages"),
    (MASKING, "methods", {"unet_regresion": {"loss": "l1"}}, "did you mean 'unet_regression'?"),
    (MASKING, "variants", {"mt_difusion@x": {}}, "did you mean 'mt_diffusion'?"),
]


@pytest.mark.parametrize(("file", "key", "value", "words"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_one_line_with_file_key_and_fix(
    checkout: Path, file: str, key: str, value: Any, words: str
) -> None:
    edit(checkout / file, key, value)
    said = message(lambda: read(checkout).check_methods(METHODS))
    assert said.startswith(f"{file}: ")
    assert key in said
    assert words in said


def test_every_profile_and_experiment_of_this_checkout_is_valid() -> None:
    profiles = sorted((ROOT / "config" / "profiles").glob("*.yaml"))
    assert len(profiles) >= 4
    for path in profiles:
        config = read(ROOT, profile=path.stem)
        assert config.results == Path("results") / path.stem
    used = {name for path in profiles for name in yaml.safe_load(path.read_text())["experiments"]}
    assert used == {p.stem for p in (ROOT / "config" / "experiments").glob("*.yaml")}


def test_an_experiment_has_its_own_keys_and_no_others() -> None:
    assert experiment_schema("masking").model_fields.keys() - experiment_schema("new").model_fields.keys() == {"shares"}
    found = experiment_schema("masking")(shares=[0.5])
    assert found.options() == {"shares": [0.5]}


def test_every_key_is_explained() -> None:
    """config/README.md names every key, and the comments of quick.yaml stand beside every one of its values."""
    readme = (ROOT / "config" / "README.md").read_text()
    experiments = [experiment_schema(path.stem) for path in (ROOT / "config" / "experiments").glob("*.yaml")]
    keys = [
        key
        for model in (Top, Profile, *experiments, Data, Network, Train, Sample, Evaluate)
        for key in model.model_fields
    ]
    assert [key for key in keys if f"`{key}`" not in readme] == []
    lines = [line for line in (ROOT / QUICK).read_text().splitlines() if line.startswith("  ")]
    assert [line for line in lines if "#" not in line] == []


class TestProfilePath:
    def test_a_profile_of_ones_own_is_taken_by_its_path(self, checkout: Path) -> None:
        mine = checkout / "mine.yaml"
        shutil.copy(checkout / QUICK, mine)
        edit(mine, "train.steps", 7)
        config = read(checkout, profile=str(mine))
        assert (config.name, config.profile.train.steps) == ("mine", 7)

    @pytest.mark.parametrize("name", ["quick", "weights", "reference", "my profile"])
    def test_its_results_may_not_lie_where_others_are(self, checkout: Path, name: str) -> None:
        mine = checkout / "elsewhere" / f"{name}.yaml"
        mine.parent.mkdir()
        shutil.copy(checkout / QUICK, mine)
        assert "rename the file" in message(lambda: read(checkout, profile=str(mine)))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("train: [1, 2", "line 1: not plain YAML"),
            ("a: 1\nb: 2\na: 3\n", "line 3: not plain YAML ('a' is there twice)"),
            ("", "holds NoneType"),
        ],
    )
    def test_not_yaml(self, checkout: Path, text: str, words: str) -> None:
        (checkout / QUICK).write_text(text)
        said = message(lambda: read(checkout))
        assert said.startswith(f"{QUICK}: ")
        assert words in said

    @pytest.mark.parametrize(
        ("word", "value"),
        [
            ("1e-3", 0.001),
            ("010", 10),
            ("yes", "yes"),
            ("1:30", "1:30"),
            ("true", True),
            ("~", None),
        ],
    )
    def test_plain_words_are_read_as_yaml_1_2_reads_them(self, tmp_path: Path, word: str, value: Any) -> None:
        (tmp_path / "a.yaml").write_text(f"key: {word}\n")
        read_value = read_yaml(tmp_path / "a.yaml", tmp_path)["key"]
        assert (read_value, type(read_value)) == (value, type(value))
        assert typed({"key": word}) == {"key": value}

    def test_missing(self, checkout: Path) -> None:
        said = message(lambda: read(checkout, profile="nowhere/mine.yaml"))
        assert "nowhere/mine.yaml: No such file" in said


class TestOverride:
    def test_it_changes_what_it_names_and_nothing_else(self) -> None:
        plain, changed = read(ROOT), read(ROOT, override={"train": {"steps": 12}})
        assert changed.profile.train == plain.profile.train.model_copy(update={"steps": 12})
        assert changed.profile.data == plain.profile.data

    def test_text_from_the_command_line_gets_its_type(self) -> None:
        """Below the top level of `--config`, Snakemake hands over text."""
        changes = {"train": {"steps": "12", "learning_rate": "1e-2", "flip": "true"}, "data": {"test": "null"}}
        profile = read(ROOT, override=changes).profile
        assert (profile.train.steps, profile.train.learning_rate, profile.train.flip) == (12, 0.01, True)
        assert profile.data.test is None

    def test_merge_leaves_its_arguments_alone(self) -> None:
        base, over = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}
        assert merge(base, over) == {"a": {"b": 3, "c": 2}, "d": 4}
        assert (base, over) == ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4})


class TestStageSettings:
    @pytest.mark.parametrize(
        ("section", "key", "value", "stages"),
        [
            ("data", "train", 20, {"data", "cases", "train", "predict", "tune"}),
            ("network", "width", 8, {"train", "predict", "tune"}),
            ("train", "steps", 1, {"train", "tune"}),
            ("sample", "nfe", 5, {"predict", "tune"}),
            ("evaluate", "samples", 20, {"cases", "evaluate", "reference", "tune"}),
            ("evaluate", "features", ["vgg16-relu5_3-gap", "efficientnet-lite0"], {"evaluate", "reference"}),
            ("evaluate", "features", ["efficientnet-lite0"], {"evaluate", "reference", "tune"}),
        ],
    )
    def test_an_edit_changes_only_the_stages_that_need_it(
        self, section: str, key: str, value: Any, stages: set[str]
    ) -> None:
        before, after = read(ROOT), read(ROOT, override={section: {key: value}})
        changed = {
            stage
            for stage in STAGE_SECTIONS
            if before.settings(stage, "masking", "ddpm") != after.settings(stage, "masking", "ddpm")
        }
        assert changed == stages

    def test_a_variant_is_its_method_with_changes_on_top(self, checkout: Path) -> None:
        edit(checkout / MASKING, "methods", {"ddpm": {"schedule": "linear", "nested": {"a": 1, "b": 2}}})
        edit(checkout / MASKING, "variants", {"ddpm@x": {"nested": {"b": 3}}})
        config = read(checkout)
        assert config.section("masking", "ddpm@x").settings == {"schedule": "linear", "nested": {"a": 1, "b": 3}}
        assert config.section("masking", "palette").settings == {}
        assert config.title("masking", "ddpm@x", "DDPM") == "DDPM [x]"
        assert config.title("masking", "ddpm", "DDPM") == "DDPM"

    @pytest.mark.parametrize(("budget", "steps"), [("per_task", 175), (0.1, 35), (1, 350)])
    def test_a_budget_is_a_share_of_the_steps(self, checkout: Path, budget: Any, steps: int) -> None:
        edit(checkout / MASKING, "variants", {"ddpm@less": {"budget": budget, "schedule": "linear"}})
        config = read(checkout, override={"train": {"steps": 350, "warmup": 50}})
        found = config.settings("train", "masking", "ddpm@less")
        assert (found["train"]["steps"], found["train"]["warmup"]) == (steps, min(50, steps))
        assert found["method_settings"] == {"schedule": "linear"}
        assert config.settings("train", "masking", "ddpm")["train"]["steps"] == 350

    def test_snapshots_are_steps_of_a_training_and_change_no_stage(self, checkout: Path) -> None:
        edit(checkout / MASKING, "methods", {"ddpm": {"budget": 0.5}})
        steps = {"train": {"steps": 120}}
        before, after = (read(checkout, override=steps | more) for more in ({}, {"snapshots": ["0.25", "0.5"]}))
        assert after.snapshots("masking", "palette") == {0.25: 30, 0.5: 60}
        assert after.snapshots("masking", "ddpm") == {0.25: 15, 0.5: 30}
        assert before.snapshots("masking", "ddpm") == {}
        for stage in STAGE_SECTIONS:
            assert before.settings(stage, "masking", "ddpm") == after.settings(stage, "masking", "ddpm")

    @pytest.mark.parametrize(("widen", "width"), [(1.35, 32), (1, 24), (0.1, 8)])
    def test_a_wider_method_is_wider_in_every_stage(self, checkout: Path, widen: float, width: int) -> None:
        edit(checkout / MASKING, "variants", {"ddpm@wide": {"widen": widen}})
        config = read(checkout)
        for stage in ("train", "predict", "tune"):
            assert config.settings(stage, "masking", "ddpm@wide")["network"]["width"] == width
            assert config.settings(stage, "masking", "ddpm")["network"]["width"] == 24
        assert config.section("masking", "ddpm@wide").settings == {}

    def test_labelled_is_of_the_training_alone(self, checkout: Path) -> None:
        edit(checkout / QUICK, "experiments", ["joint"])
        edit(checkout / JOINT, "methods", {"ddpm": {"labelled": {"mask": 0.5}, "schedule": "linear"}})
        edit(checkout / JOINT, "variants", {"ddpm@fewer": {"labelled": {"label": 0.1}}})
        config = read(checkout)
        assert config.settings("train", "joint", "ddpm@fewer")["train"]["labelled"] == {"mask": 0.5, "label": 0.1}
        assert config.settings("predict", "joint", "ddpm@fewer")["method_settings"] == {"schedule": "linear"}
        assert "labelled" not in config.settings("train", "joint", "segmenter")["train"]

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"widen": 5}, "widen: got 5; write a multiple"),
            ({"budget": 1.5}, "budget: got 1.5; write a share"),
            ({"budget": "half"}, "budget: got 'half'; write a share"),
            ({"labelled": 0.5}, "labelled: got 0.5; write modalities and their shares below it"),
            ({"labelled": {"mask": 1.5}}, "labelled: mask: got 1.5; write a share of the items above 0 up to 1"),
            ({"labelled": {"lable": 0.5}}, "labelled: 'lable' does not exist (did you mean 'label'?)"),
            ({"labelled": {"image": 0.5}}, "labelled: image cannot be missing; there are mask, label, embedding"),
        ],
    )
    def test_a_wrong_variant_is_named(self, checkout: Path, settings: Any, words: str) -> None:
        edit(checkout / QUICK, "experiments", ["joint"])
        edit(checkout / JOINT, "variants", {"ddpm@less": settings})
        assert f"config/experiments/joint.yaml: ddpm@less: {words}" in message(lambda: read(checkout))

    def test_a_method_on_anothers_weights_has_its_settings_too(self, checkout: Path) -> None:
        edit(checkout / MASKING, "methods", {"ddpm": {"schedule": "linear"}, "repaint": {"resample": 3}})
        found = read(checkout).settings("predict", "masking", "repaint", source="ddpm")
        assert found["method_settings"] == {"schedule": "linear", "resample": 3}

    def test_methods_must_leave_every_experiment_some(self, checkout: Path) -> None:
        edit(checkout / QUICK, "methods", ["ddpm"])
        edit(checkout / MASKING, "methods", {})
        edit(checkout / MASKING, "variants", {})
        edit(checkout / MASKING, "ablations", {})
        said = message(lambda: read(checkout).check_methods({"masking": ["mean_fill"], "other": ["ddpm"]}))
        assert "methods: none is of experiment 'masking'; add one of mean_fill" in said
