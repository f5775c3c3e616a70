"""The ablation: every axis is configured, every change can be trained and asked, and its effect is true."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from checkout import Checkout, copied
from fake_results import METHODS, Fake, write_results
from scipy import stats
from tiny_model import NETWORK

from mmbench.config.configuration import Config
from mmbench.config.discovery import MULTITASK, find_methods, of_modalities
from mmbench.errors import UserError
from mmbench.experiments.experiment import load_experiment
from mmbench.files.store import read_json
from mmbench.method import Method, Noise, Sampling, load_method
from mmbench.report.page import write_report
from mmbench.report.parts.effect import Axes, compare
from mmbench.report.parts.effects import write_effects
from mmbench.report.parts.section import Context, Headline
from mmbench.report.tables.board import make_board
from mmbench.runs.results import ExperimentResults, load_results
from mmbench.scoring.statistics import bca_interval

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "config" / "experiments").glob("*.yaml"))
#: What each experiment's ablation must vary; the others say in their file why they cannot.
EVERYWHERE = {"omega shape", "omega scale", "shared space", "loss terms", "sampler", "evaluations"}
SOME = {"conditioning": {"masking", "segmentation", "embedding", "joint"}, "modalities": {"masking", "joint"}}


def config(root: Path = ROOT, **override: Any) -> Config:
    """The configuration with every experiment, and parts of the profile changed."""
    values = yaml.safe_load((root / "config" / "config.yaml").read_text())
    return Config({**values, "override": {"experiments": EXPERIMENTS, **override}}, root)


CONFIG = config()
VARIANTS = [
    pytest.param(experiment, name, id=f"{experiment}-{name}")
    for experiment in EXPERIMENTS
    for axis in CONFIG.ablations(experiment).values()
    for name in axis
    if name.startswith("mt_diffusion@") and not CONFIG.section(experiment, name).only_samples
]


# What is configured


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_axis_that_means_something_is_there(experiment: str) -> None:
    axes = CONFIG.ablations(experiment)
    assert {*EVERYWHERE, *(axis for axis, where in SOME.items() if experiment in where)} <= set(axes)
    assert all(axes.values())
    shapes = {CONFIG.section(experiment, name).settings["omega"] for name in axes["omega shape"]}
    shapes |= {CONFIG.section(experiment, "mt_diffusion@omega_zero").settings["omega"]}
    assert shapes == {"persist", "constant", "learned", "zero"}
    scales = {CONFIG.section(experiment, name).settings["scale"] for name in axes["omega scale"]}
    assert min(scales) < 0.25 < max(scales)
    for axis in ("sampler", "evaluations"):
        assert all(CONFIG.section(experiment, name).only_samples for name in axes[axis])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_loss_term_is_switched_off_alone(experiment: str) -> None:
    terms = {name for name, weight in CONFIG.section(experiment, "mt_diffusion").settings["weights"].items() if weight}
    off = set()
    for name in CONFIG.ablations(experiment)["loss terms"]:
        weights = CONFIG.section(experiment, name).settings.get("weights", {})
        gone = {term for term in {*terms, "generate"} if weights.get(term, 1) == 0}
        off |= gone if len(gone) == 1 else set()
        off |= {"generate"} if name == "reconstruction_only" else set()  # its class has no such term
    assert off == {*terms, "generate"}


@pytest.mark.parametrize(("experiment", "name"), VARIANTS)
def test_a_variant_learns_and_answers_all_that_is_left_to_it(experiment: str, name: str) -> None:
    """Not only is every setting known: none of them asks for what the others exclude."""
    module = load_experiment(experiment)
    card = {"size": [16, 16], "modalities": ["image", "mask", "label", "embedding", "depth"], "classes": list("abc"),
            "labels": list("abc"), "embedding": {"size": 6}}  # fmt: skip
    learns = CONFIG.section(experiment, name).modalities
    modalities = {n: m for n, m in module.modalities(card).items() if not learns or n in learns}
    torch.manual_seed(0)
    settings = {"network": NETWORK, "method_settings": CONFIG.section(experiment, name).settings}
    method = load_method(ROOT / MULTITASK, module.spec(modalities, settings))
    generator = torch.Generator().manual_seed(0)
    stored = {"image": torch.rand(8, 3, 16, 16) * 2 - 1, "mask": torch.randint(0, 3, (8, 16, 16)),
              "label": torch.randint(0, 3, (8,)), "embedding": torch.randn(8, 6),
              "depth": torch.rand(8, 16, 16) * 2 - 1}  # fmt: skip
    loss = method.loss(module.training_batch(stored, module.modalities(card), generator), generator)
    assert torch.isfinite(loss["loss"])
    assert sum(key in ("generate", "step") for key in loss) == (method.generate_weight > 0)
    answered = answer_every_task(method, experiment, name)
    assert answered and all(torch.isfinite(value).all() for value in answered)


def answer_every_task(method: Method, experiment: str, name: str) -> list[torch.Tensor]:
    """All that a variant answers to two items of every task that it claims."""
    found = find_methods(ROOT, [experiment])[experiment]["mt_diffusion"]
    learns = CONFIG.section(experiment, name).modalities
    found = of_modalities(found, learns, ROOT, experiment) if learns else found
    given = {"image": torch.zeros(2, 3, 16, 16), "mask": torch.zeros(2, 16, 16, dtype=torch.long),
             "label": torch.zeros(2, dtype=torch.long), "embedding": torch.zeros(2, 6),
             "depth": torch.zeros(2, 16, 16), "masked_image": torch.zeros(2, 4, 16, 16),
             "noised_image": torch.zeros(2, 3, 16, 16), "alpha_bar": torch.full((2,), 0.5)}  # fmt: skip
    answers = []
    for task in found.tasks:
        asked = load_experiment(experiment).tasks[task]
        asked = replace(asked, want=tuple(want for want in asked.want if not found.answers or want in found.answers))
        told = {key: given[key] for key in asked.given}
        with torch.no_grad():
            said = method.predict(asked, told, 2, Sampling("dpm++", 2), Noise())
        assert set(said) == set(asked.want) and asked.want
        answers += said.values()
    return answers


# What mistakes are answered with


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the configuration is checked against."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "mmbench").symlink_to(ROOT / "mmbench")
    return tmp_path


def ablate(checkout: Path, experiment: str, axes: Any) -> Path:
    """Replace what an experiment ablates."""
    file = checkout / "config" / "experiments" / f"{experiment}.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "ablations": axes}))
    return checkout


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"omega": {"mt_diffusion@x": 3}}, "ablations.omega.mt_diffusion@x: got 3; write keys and values below it"),
        ({"omega": {"mt_difusion@x": {}}}, "ablations.omega: 'mt_difusion' does not exist (did you mean 'mt_d"),
        ({"omega": {"ddpm@x": {}}, "z": {"ddpm@x": {}}}, "ablations.z: ddpm@x is there already; give each variant one"),
        ({"omega": {"ddpm": {"schedule": "linear"}}}, "ablations.omega: ddpm is a whole method; write ddpm: {}, or"),
        ({"nfe": {"ddpm@x": {"sample": 5}}}, "ddpm@x: sample: got 5; write sampler or nfe"),
        ({"nfe": {"ddpm@x": {"sample": {"nfes": 5}}}}, "'nfes' does not exist (did you mean 'nfe'?); there are commit"),
        ({"a": {"ddpm@x": {"modalities": ["image", "mask"]}}}, "ddpm@x: modalities: this experiment needs all"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_key_and_fix(checkout: Path, axes: Any, words: str) -> None:
    known = {name: list(methods) for name, methods in find_methods(ROOT, EXPERIMENTS).items()}
    with pytest.raises(UserError) as caught:
        config(ablate(checkout, "masking", axes)).check_methods(known)
    assert str(caught.value).startswith("config/experiments/masking.yaml: ") and "\n" not in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("modalities", "words"),
    [
        (["image", "maks"], "modalities: 'maks' does not exist (did you mean 'mask'?); there are image, mask"),
        (["image"], "modalities: got ['image']; list image and at least one other, each once"),
        (["image", "mask", "mask"], "each once"),
    ],
)
def test_wrong_modalities_of_a_variant_are_named(checkout: Path, modalities: Any, words: str) -> None:
    ablate(checkout, "joint", {"modalities": {"mt_diffusion@x": {"modalities": modalities}}})
    with pytest.raises(UserError, match=r"config/experiments/joint\.yaml: mt_diffusion@x: ") as caught:
        config(checkout)
    assert words in str(caught.value)


def test_a_profile_names_axes_that_there_are() -> None:
    assert list(config(ablations=["sampler"]).ablations("masking")) == ["sampler"]
    assert config(ablations=["guidance"]).ablations("masking") == {}
    with pytest.raises(UserError, match=r"ablations: 'omega shap' does not exist \(did you mean 'omega shape'\?\)"):
        config(ablations=["omega shap"])


# What the stages are told


def test_a_variant_that_only_draws_otherwise_has_its_methods_settings(checkout: Path) -> None:
    own = {"mt_diffusion@few": {"sample": {"nfe": 3}}, "mt_diffusion@both": {"sample": {"nfe": 3}, "omega": "zero"}}
    found = config(ablate(checkout, "masking", {"evaluations": own}), sample={"nfe": 7})
    base = found.settings("predict", "masking", "mt_diffusion")
    few = found.settings("predict", "masking", "mt_diffusion@few", "mt_diffusion")
    assert base["sample"]["nfe"] == 7
    assert few == {**base, "method": "mt_diffusion@few", "sample": {**base["sample"], "nfe": 3}}
    assert found.section("masking", "mt_diffusion@few").only_samples
    assert (
        not found.section("masking", "mt_diffusion@both").only_samples
        and not found.section("masking", "mt_diffusion").only_samples
    )
    both = found.settings("train", "masking", "mt_diffusion@both")
    assert both["method_settings"]["omega"] == "zero" and "sample" not in both["method_settings"]


def test_a_variant_of_fewer_modalities_is_asked_for_those() -> None:
    for stage in ("train", "predict"):
        assert CONFIG.settings(stage, "joint", "mt_diffusion@three")["modalities"] == ["image", "mask", "label"]
        assert "modalities" not in CONFIG.settings(stage, "joint", "mt_diffusion")
    assert "modalities" not in CONFIG.settings("evaluate", "joint")["evaluate"]
    found = find_methods(ROOT, ["joint"])["joint"]["mt_diffusion"]
    left = of_modalities(found, ["image", "mask", "label"], ROOT, "joint")
    assert set(left.tasks) == {"generate", "from_image", "from_mask", "from_label", "from_image_mask",
                               "from_image_label", "from_mask_label"}  # fmt: skip
    assert (left.answers, left.needs) == (("image", "mask", "label"), ("image", "mask", "label"))
    two = of_modalities(found, ["image", "masked_image"], ROOT, "joint")
    assert (two.tasks, two.answers) == (("generate", "reconstruct"), ("image",))


# What the workflow plans


def planned(checkout: Checkout, override: str, *targets: str) -> list[tuple[str, str, str]]:
    """The jobs of a dry run as rule, method and the shell command."""
    done = checkout.smoke("--dry-run", "-p", *targets, config=[f"override={override}"])
    assert done.returncode == 0, done.stdout
    jobs = []
    for block in re.split(r"^(?:local)?rule ", done.stdout, flags=re.MULTILINE)[1:]:
        method = re.search(r"wildcards: .*?\bmethod=([^,\s]+)", block)
        shell = re.search(r"^Shell command: (.*)$", block, flags=re.MULTILINE)
        jobs.append((block.partition(":")[0], method[1] if method else "", shell[1] if shell else ""))
    return jobs


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of this checkout in which nothing has run."""
    return copied(tmp_path_factory.mktemp("checkout"), warm=True)


def test_the_ablation_trains_what_is_changed_and_nothing_for_another_way_of_drawing(fresh: Checkout) -> None:
    axes = "[sampler, evaluations, omega scale, loss terms, regression loss]"
    jobs = planned(fresh, f"{{experiments: [masking], methods: [mt_head], ablations: {axes}}}", "ablation")
    trained = {method for rule, method, _ in jobs if rule == "train"}
    entries = CONFIG.ablations("masking")
    drawn = {*entries["sampler"], *entries["evaluations"]}
    changed = {n for axis in ("omega scale", "loss terms", "regression loss") for n in entries[axis]}
    assert trained == {*changed, "mt_diffusion", "unet_regression"}
    asked = {method: shell for rule, method, shell in jobs if rule == "predict"}
    assert set(asked) == trained | drawn | {"mt_head"}
    assert {method for rule, method, _ in jobs if rule == "evaluate"} == set(asked)
    weights = "results/smoke/masking/mt_diffusion/seed0/weights.safetensors"
    for name in drawn:
        assert f"--weights {weights} " in asked[name], name
    assert '"commit": null, "nfe": 5, "batch_size": 100}' in asked["mt_diffusion@nfe_5"]
    assert '"sampler": "ddim", "commit": null, "nfe": 4, "batch_size": 100}' in asked["mt_diffusion@ddim"]
    report = next(shell for rule, _, shell in jobs if rule == "report")
    told = json.loads(re.search(r"--ablations <\(echo '(.*?)'\)", report)[1])
    assert list(told["masking"]) == list(config(ablations=yaml.safe_load(axes)).ablations("masking"))
    assert told["masking"]["omega scale"] == entries["omega scale"]


# What is reported


FAKES = (
    *(replace(m, parameters=0) for m in METHODS if m.name in ("mt_diffusion", "reconstruction_only")),
    Fake("mt_diffusion@zero", "MT-Diffusion [zero]", 1.3, ("reconstruct", "generate"), 50, parameters=0),
)  # fmt: skip
AXES: Axes = {"shared space": {"mt_diffusion@zero": {"omega": "zero"}, "mt_diffusion@absent": {}},
              "loss terms": {"reconstruction_only": {}}}  # fmt: skip


@pytest.fixture(scope="module", params=[1, 3], ids=["one seed", "three seeds"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results without pictures."""
    folder = tmp_path_factory.mktemp("results")
    return write_results(folder, methods=FAKES, seeds=range(request.param), items=20, predictions=False)


def questions(results: ExperimentResults) -> list[Headline]:
    """One question with values per image, and one without."""
    asked = {"reconstruct-50": "lpips_alex", "generate": "fd[vgg16-relu5_3-gap]"}
    return [Headline(case, make_board(results, metric, [case]), case) for case, metric in asked.items()]


@pytest.fixture(scope="module")
def table(results: Path) -> dict[str, Any]:
    """The table of effects as JSON, of a section built of those results."""
    loaded = load_results(results)
    context = Context(loaded, loaded.experiments[0], results / "out")
    write_effects(context, questions(loaded.experiments[0]), AXES)
    return read_json(results / "out" / "tables" / "masking-effects.json")


def values(results: Path, method: str, case: str, metric: str) -> dict[int, float]:
    """A metric by seed, as scored."""
    found = {}
    for path in results.glob(f"masking/{method}/seed*/metrics.json"):
        record = read_json(path)
        [found[record["seed"]]] = [r["value"] for r in record["metrics"] if (r["name"], r["case"]) == (metric, case)]
    return found


def test_the_table_has_the_default_and_a_row_per_change_by_axis(table: dict[str, Any]) -> None:
    assert table["header"][:3] == ["Method", "Axis", "Changed"]
    assert table["header"][3:] == ["reconstruct-50: LPIPS (AlexNet) ↓", "generate: FD ↓"]
    rows = [[cell["text"] for cell in row[:3]] for row in table["rows"]]
    assert rows == [
        ["MT-Diffusion", "—", "—"],
        ["MT-Diffusion, zero", "shared space", "omega zero"],
        ["Reconstruction only (twin)", "loss terms", "another method"],
    ]
    assert table["rows"][2][-1]["text"] == "—", "it does not draw"


def test_an_effect_is_the_difference_from_the_default(results: Path, table: dict[str, Any]) -> None:
    base, zero = (values(results, f"mt_diffusion{tag}", "reconstruct-50", "lpips_alex") for tag in ("", "@zero"))
    changes = np.array([zero[seed] - base[seed] for seed in sorted(base)])
    default, changed = (table["rows"][row][3] for row in (0, 1))
    assert default["value"] == pytest.approx(np.mean(list(base.values())))
    assert changed["value"] == pytest.approx(changes.mean())
    percent = 100 * changes.mean() / np.mean(list(base.values()))
    assert changed["lines"][0] == f"+{percent:.1f} %"


def test_intervals_are_over_seeds_and_over_images(results: Path, table: dict[str, Any]) -> None:
    base, zero = (values(results, f"mt_diffusion{tag}", "reconstruct-50", "lpips_alex") for tag in ("", "@zero"))
    items = [
        pd.concat(pd.read_csv(path) for path in results.glob(f"masking/mt_diffusion{tag}/seed*/items.csv"))
        .query("case == 'reconstruct-50' and metric == 'lpips_alex'").groupby("item")["value"].mean()
        for tag in ("", "@zero")
    ]  # fmt: skip
    lines, more = (table["rows"][1][3][key] for key in ("lines", "more"))
    low, high = bca_interval((items[1] - items[0]).to_numpy())
    changes = [zero[seed] - base[seed] for seed in base]
    if len(changes) == 1:
        assert lines[1:] == [f"[{low:+.4f}, {high:+.4f}]", "worse"]
        assert table["rows"][1][4]["lines"][1:] == ["one seed"], "FD has no values per image"
        assert table["rows"][1][4]["tone"] == ""
    else:
        seeds = stats.t.interval(0.95, 2, np.mean(changes), stats.sem(changes))
        mean = np.mean(changes)
        wide = [
            mean + np.sign(a - mean) * np.hypot(a - mean, b - mean) for a, b in zip(seeds, (low, high), strict=True)
        ]
        assert f"[{wide[0]:+.4f}, {wide[1]:+.4f}]" in lines and f"[{low:+.4f}, {high:+.4f}] over images only" in more
        assert len(table["rows"][1][4]["lines"]) == 3, "the interval of FD is over seeds"


def test_seeds_that_only_one_of_two_has_do_not_count(tmp_path: Path) -> None:
    write_results(tmp_path, methods=FAKES, seeds=(0, 1), items=20, predictions=False)
    shutil.rmtree(tmp_path / "masking" / "mt_diffusion@zero" / "seed1")
    experiment = load_results(tmp_path).experiments[0]
    line = questions(experiment)[0]
    effect = compare(experiment, line.board, line.case, "mt_diffusion@zero")
    own, base = (values(tmp_path, f"mt_diffusion{tag}", line.case, "lpips_alex")[0] for tag in ("@zero", ""))
    assert effect is not None and effect.difference.count == 1
    assert (effect.difference.mean, effect.base) == pytest.approx((own - base, base))
    assert effect.items is not None and effect.items.difference == pytest.approx(own - base)


def test_the_page_shows_it_and_has_none_without_a_change(tmp_path: Path) -> None:
    write_results(tmp_path, methods=FAKES[:1] + FAKES[-1:], seeds=(0,), items=20, predictions=False)
    page = write_report(load_results(tmp_path), tmp_path / "out", ablations={"masking": AXES}).read_text()
    assert 'id="masking-effects"' in page and 'id="table-masking-effects"' in page
    assert 'id="figure-masking-effects"' in page
    assert {path.suffix for path in (tmp_path / "out" / "tables").glob("masking-effects.*")} == {
        ".csv", ".json", ".md", ".tex"
    }  # fmt: skip
    loaded = load_results(tmp_path)
    context = Context(loaded, loaded.experiments[0], tmp_path / "none")
    lines = questions(context.experiment)
    assert write_effects(context, lines, {}) == {} == write_effects(context, lines, {"a": {"ddpm@x": {}}})
