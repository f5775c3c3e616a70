"""What the rules ask of a run and of its pages, without Snakemake: paths, inputs, options and params."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmbench.config.pages import Pages
from mmbench.config.workflow import Workflow
from mmbench.errors import UserError

ROOT = Path(__file__).parents[1]
BUILT = """from mmbench.method import Method as Base


class Method(Base):
    def __init__(self, spec, *, schedule: str = "cosine", strength: float = 0.2): ...
"""
#: Methods beside the multitask model: their files, as far as a plan reads them.
BASELINES = {
    "masking/ddpm.py": 'TITLE = "DDPM"\nTASKS = ("generate",)\n' + BUILT,
    "masking/repaint.py": 'TITLE = "RePaint"\nTASKS = ("reconstruct",)\nWEIGHTS_FROM = "ddpm"\n' + BUILT,
    "masking/fill.py": 'TITLE = "Fill"\nTASKS = ("reconstruct",)\nTRAINED = False\n' + BUILT,
    "masking/search.py": 'TITLE = "Search"\nTASKS = ("reconstruct",)\nTUNE = {"strength": (0.2, 0.4)}\n'
    'TUNE_BY = ("reconstruct", "lpips_alex")\n' + BUILT,
    "masking/tool.smk": "# TITLE: Tool\n# TASKS: reconstruct\n",
    "joint/segmenter.py": 'TITLE = "Segmenter"\nTASKS = ("from_image",)\nANSWERS = ("mask",)\n',
    "joint/tagger.py": 'TITLE = "Tagger"\nTASKS = ("from_image",)\nANSWERS = ("label",)\n',
}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "masking": {
        "shares": [0.5],
        "variants": {"ddpm@long": {"schedule": "linear"}, "ddpm@few": {"sample": {"nfe": 2}}},
        "ablations": {
            "schedule": {"repaint@long": {}, "repaint@few": {}, "mt_diffusion@persist": {"omega": "persist"}},
            "modalities": {"ddpm": {}},
        },
    },
    "joint": {
        "extractor": "vgg16-relu5_3-gap",
        "share": 0.5,
        "variants": {"mt_diffusion@two": {"modalities": ["image", "mask"]}},
    },
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, two experiments with few methods, and the profile `smoke` of two seeds."""
    root = tmp_path_factory.mktemp("checkout")
    for part in ("mmbench", "config"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in BASELINES.items():
        file = root / "baselines" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, section in EXPERIMENTS.items():
        (root / "config" / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(section))
    return root


def planned(root: Path, override: dict[str, Any] | None = None, **top: Any) -> Workflow:
    """A run of `smoke`, of both experiments and two seeds."""
    override = {"experiments": list(EXPERIMENTS), "seeds": [0, 1], **(override or {})}
    values = yaml.safe_load((root / "config" / "config.yaml").read_text())
    return Workflow(values | {"profile": "smoke", "override": override, **top}, root)


@contextmanager
def configured(root: Path, experiment: str, **keys: Any) -> Iterator[None]:
    """An experiment's file with other keys, put back afterwards."""
    file = root / "config" / "experiments" / f"{experiment}.yaml"
    file.write_text(yaml.safe_dump(EXPERIMENTS[experiment] | keys))
    try:
        yield
    finally:
        file.write_text(yaml.safe_dump(EXPERIMENTS[experiment]))


@pytest.fixture(scope="module")
def run(checkout: Path) -> Workflow:
    return planned(checkout)


class TestMethods:
    """Which methods there are, whose weights they use, and which are scored."""

    @pytest.mark.parametrize(
        ("method", "source"),
        [
            ("ddpm", "ddpm"),
            ("ddpm@long", "ddpm@long"),
            ("ddpm@few", "ddpm"),  # it only draws otherwise
            ("repaint", "ddpm"),
            ("repaint@long", "ddpm@long"),  # of the same tag
            ("repaint@few", "ddpm"),
            ("mt_diffusion@persist", "mt_diffusion@persist"),
        ],
    )
    def test_the_weights_that_a_method_answers_with(self, run: Workflow, method: str, source: str) -> None:
        assert run.methods.source("masking", method) == source
        assert run.source("masking", method, 1, "at0.5/") == f"results/smoke/masking/{source}/seed1/at0.5/"

    def test_a_rule_of_its_own_hands_in_an_external_method(self, run: Workflow) -> None:
        assert [method.name for method in run.methods.external()] == ["tool"]
        assert run.methods.every_name() - run.methods.asked() == {"tool"}
        assert {"ddpm", "ddpm@few", "segmenter"} <= run.methods.asked()

    def test_what_is_trained_step_by_step(self, run: Workflow) -> None:
        trained = {name for name in run.methods.files["masking"] if run.methods.trained("masking", name)}
        assert trained == {"mt_diffusion", "ddpm", "repaint", "search"}

    def test_a_method_whose_modality_is_not_used_is_not_scored(self, checkout: Path, run: Workflow) -> None:
        assert run.methods.scored("joint") == ["mt_diffusion", "segmenter", "tagger"]
        with configured(checkout, "joint", modalities=["image", "mask"]):
            methods = planned(checkout).methods
        assert methods.lacking("joint", "tagger") == ["label"]
        assert methods.scored("joint") == ["mt_diffusion", "segmenter"]

    def test_the_profile_names_variants_and_methods(self, checkout: Path) -> None:
        override = {"methods": ["ddpm", "joint/tagger"], "variants": ["ddpm@long"]}
        methods = planned(checkout, override).methods
        assert methods.scored("masking") == ["ddpm", "ddpm@long"]
        assert methods.scored("masking", {"fill", "ddpm@few"}) == ["ddpm", "fill", "ddpm@few", "ddpm@long"]
        assert methods.scored("joint") == ["tagger"]

    def test_modalities_of_its_own_leave_a_method_fewer_tasks(self, run: Workflow) -> None:
        whole, part = (run.methods("joint", name) for name in ("mt_diffusion", "mt_diffusion@two"))
        assert set(part.tasks) < set(whole.tasks)
        assert part.needs == ("image", "mask")

    def test_settings_that_are_set_are_not_chosen(self, checkout: Path, run: Workflow) -> None:
        assert run.tuned("masking", "search", 1) == ["results/smoke/masking/search/seed1/tuned.json"]
        assert run.tuned("masking", "ddpm", 1) == []
        with configured(checkout, "masking", methods={"search": {"strength": 0.3}}):
            assert planned(checkout).tuned("masking", "search", 1) == []

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            (
                {"ddpm": {"shedule": "linear"}},
                "masking.yaml: ddpm: 'shedule' does not exist (did you mean 'schedule'?)",
            ),
            ({"search": {"strength": "0.3"}}, "masking.yaml: search: strength: got '0.3'"),
        ],
    )
    def test_settings_are_those_of_the_class(self, checkout: Path, settings: dict[str, Any], words: str) -> None:
        with configured(checkout, "masking", methods=settings), pytest.raises(UserError) as caught:
            planned(checkout)
        assert words in str(caught.value)

    def test_what_is_chosen_is_a_setting_of_the_class(self, checkout: Path) -> None:
        file = checkout / "baselines" / "masking" / "search.py"
        before = file.read_text()
        file.write_text(before.replace('{"strength": ', '{"strenght": '))
        with pytest.raises(UserError, match=r"search\.py: TUNE: 'strenght' does not exist .*'strength'"):
            planned(checkout)
        file.write_text(before)


class TestWorkflow:
    """Paths, options and params of the rules."""

    def test_an_extractor_decides_the_folder_of_the_data(self, run: Workflow) -> None:
        assert run.data("masking") == Path("results/smoke/data")
        assert run.data("joint") == Path("results/smoke/embedded/vgg16-relu5_3-gap")
        assert run.cards("joint")[0] == "results/smoke/embedded/vgg16-relu5_3-gap/README.md"

    def test_a_judge_is_an_input_and_an_option_where_there_is_one(self, run: Workflow) -> None:
        assert list(run.judges) == ["joint"]
        assert run.judge("joint") == ["results/smoke/joint/judge/weights.safetensors"]
        assert run.judge_option("joint") == "--judge results/smoke/joint/judge"
        assert (run.judge("masking"), run.judge_option("masking")) == ([], "")
        assert json.loads(run.judge_settings("joint"))["train"]["steps"] == 6

    def test_snapshots_are_trainings_that_end_early(self, checkout: Path) -> None:
        run = planned(checkout, {"snapshots": [0.34, 0.5]})
        assert list(run.snapshots) == ["at0.34/", "at0.5/"]
        assert run.keep_option("masking", "ddpm") == "--keep 2 3"
        assert [run.keep_option("masking", name) for name in ("ddpm@long", "fill")] == ["", ""]
        assert run.until_option("masking", "ddpm", "1", "at0.5/") == (
            "--until 3 --kept results/smoke/masking/ddpm/seed1/state"
        )
        assert run.until_option("masking", "ddpm", "1", "") == ""
        scored = {Path(path).parts[3] for path in run.snapshot_scores("masking")}
        assert scored == {"mt_diffusion", "ddpm", "repaint", "search"}
        assert len(run.snapshot_scores("masking")) == 4 * 2 * 2

    def test_several_processes_share_what_is_trained(self, checkout: Path, run: Workflow) -> None:
        several = planned(checkout, {"train": {"shards": 2}}, processes=2)
        assert (several.processes_option(), several.processes_option(trained=False)) == ("--processes 2", "")
        assert run.processes_option() == ""

    def test_settings_are_those_of_the_stage_and_the_source(self, run: Workflow) -> None:
        settings = json.loads(run.settings("predict", "masking", "repaint@long"))
        assert set(settings) >= {"data", "network", "sample", "experiment", "method", "method_settings"}
        assert settings["method_settings"] == {"schedule": "linear"}  # its weights are of such a network
        assert run.settings("data") == json.dumps({"data": run.config.profile.data.model_dump(mode="json")})

    def test_the_code_of_a_job_is_its_methods(self, run: Workflow) -> None:
        assert run.code("train", "masking", "ddpm") == run.code("train", "masking", "ddpm@long")
        assert run.code("train", "masking", "ddpm") != run.code("train", "masking", "search")
        assert run.code("evaluate", "masking") != run.code("evaluate", "joint") != run.code("judge", "joint")

    def test_titles_and_answers(self, run: Workflow) -> None:
        assert run.title("masking", "ddpm@long") == "DDPM [long]"
        assert run.answers_option("joint", "segmenter") == "--answers mask"
        assert run.answers_option("joint", "mt_diffusion") == ""

    def test_every_method_and_seed_has_its_scores_and_its_card(self, run: Workflow) -> None:
        folders = [f"results/smoke/joint/{m}/seed{s}/" for m in ("mt_diffusion", "segmenter", "tagger") for s in (0, 1)]
        assert run.scores("joint") == [f"{folder}metrics.json" for folder in folders]
        assert run.model_cards("joint") == [f"{folder}README.md" for folder in folders]


class TestPages:
    """What each page shows."""

    @pytest.fixture
    def pages(self, run: Workflow) -> Pages:
        return Pages(run)

    def test_there_is_one_of_all_one_for_each_experiment_and_one_of_the_ablation(self, pages: Pages) -> None:
        shown = {page: pages.experiments(page) for page in pages.shown}
        assert shown == {
            "": ["masking", "joint"],
            "only-masking/": ["masking"],
            "only-joint/": ["joint"],
            "ablation/": ["masking", "joint"],
        }

    def test_a_page_rests_on_scores_and_on_the_folders_of_sources(self, checkout: Path) -> None:
        pages = Pages(planned(checkout, {"methods": ["repaint"], "experiments": ["masking"]}))
        assert pages.methods("only-masking/") == ["repaint"]
        assert pages.folders("only-masking/") == ["masking/ddpm", "masking/repaint"]
        assert pages.scores("") == [f"results/smoke/masking/repaint/seed{seed}/metrics.json" for seed in (0, 1)]
        assert pages.references("") == ["results/smoke/masking/reference.json"]
        assert pages.cards("")[0] == "results/smoke/data/README.md"

    def test_the_ablation_has_its_axes_and_what_they_are_compared_with(self, pages: Pages) -> None:
        variants = {"repaint@long", "repaint@few", "mt_diffusion@persist"}
        assert pages.ablated("masking") == {*variants, "ddpm", "mt_diffusion", "repaint"}
        assert variants <= set(pages.methods("ablation/")) and not variants & set(pages.methods(""))
        shown, plain = json.loads(pages.ablations("ablation/")), json.loads(pages.ablations(""))
        assert shown["masking"] == EXPERIMENTS["masking"]["ablations"]
        assert plain["masking"] == {"schedule": {}, "modalities": {}}

    def test_a_page_says_the_command_that_makes_it(self, pages: Pages) -> None:
        override = '\'override={"experiments": ["masking", "joint"], "seeds": [0, 1]}\''
        assert pages.command("only-joint/") == f"snakemake --cores all joint --config profile=smoke {override}"
        assert pages.command("").startswith("snakemake --cores all --config")
        assert list(json.loads(pages.configuration("only-joint/"))["values"]["experiments"]) == ["joint"]
