"""The documents: every link, command, file and name in them exists, and every example runs or is checked."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from documents import BLOCKS, COMMANDS, DOCUMENTS, FILES, ROOT, Block, call, commands, copy_checkout, of_program, prose
from PIL import Image
from snakemake.cli import get_argument_parser
from tiny_model import MODALITIES, values, write_model
from warm_python import warm_python

import mmbench
import mmbench.data
from mmbench.claims.statements import FILE as CLAIMS
from mmbench.claims.statements import Claim, Part, load_claims
from mmbench.config import check, schema
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_methods, read_literals
from mmbench.config.schema import Top, experiment_schema
from mmbench.data import DataSettings
from mmbench.experiments.experiment import load_experiment, read_cases
from mmbench.files.store import load_arrays, read_json, write_json
from mmbench.models import mt_diffusion
from mmbench.models.diffusion.process import OmegaShape
from mmbench.models.diffusion.sampler import SamplerName
from mmbench.models.diffusion.states import STATES
from mmbench.stages.evaluate import read_answers, read_cost

pytestmark = pytest.mark.slow

ASKED = "docs/any-to-any.md"
LANGUAGES = {"bash", "python", "yaml", "json", "snakemake", "diff", "math", "text"}
#: Folders and files at the top of the repository: a name in a document that begins like this must exist.
PLACES = (
    r"(?:mmbench|docs|tests|config|baselines|benchmarks|notebooks|tools|workflow|profiles)/|"
    r"Snakefile|Makefile|[a-z]+\.(?:yml|lock|toml|cff)"
)
BASELINES = [path for path in FILES if re.fullmatch(r"baselines/masking/[a-z]\w*\.py", path)]


def blocks_of(language: str) -> list[Any]:
    """The examples in a language, as parameters of a test."""
    return [pytest.param(b, id=f"{b.document}:{b.line}") for b in BLOCKS if b.language == language]


# Text


def test_every_example_says_what_it_is() -> None:
    for path in DOCUMENTS:
        assert path.read_text().count("\n```") % 2 == 0, path
    assert {block.language for block in BLOCKS} <= LANGUAGES
    assert {"bash", "python", "yaml", "json", "snakemake"} <= {block.language for block in BLOCKS}


def anchors(path: Path) -> set[str]:
    """What the headings of a document can be linked as."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.is_relative_to(ROOT), target
        assert file.exists(), f"{path.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_named_exists(path: Path) -> None:
    """Files of the repository, and names of its modules, functions and classes."""
    named = re.findall(r"`([^`\n]+)`", prose(path))
    known = {*FILES, *(f"baselines/{words[4]}/{words[5]}.py" for words in COMMANDS if "new-baseline" in words)}
    for name in named:
        if re.match(PLACES, name) and not re.search(r"[<*{ ]", name) and path.parent != ROOT / "config":
            assert name in known or (ROOT / name).exists(), f"{path.name}: {name}"
        if re.fullmatch(r"mmbench(\.\w+)+", name):
            pkgutil.resolve_name(name)
        if found := re.fullmatch(r"(perceptual|pixel|frechet|kernel|neighbours)\.\w+", name):
            assert callable(pkgutil.resolve_name(f"mmbench.scoring.metrics.{name}")), found[0]
    assert named or path.name == "CHANGELOG.md"


def table_names(document: str, heading: str) -> list[str]:
    """The code words in the first column of the first table below a heading."""
    text = (ROOT / document).read_text().split(f"# {heading}\n")[1]
    rows = re.split(r"\n\|[-|]+\|\n", text, maxsplit=1)[1].split("\n\n")[0].splitlines()
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_concepts_list_what_the_model_can_do() -> None:
    signature = list(inspect.signature(mt_diffusion.Method).parameters)
    assert table_names("docs/concepts.md", "Settings of the multitask model") == [n for n in signature if n != "spec"]
    assert table_names("docs/concepts.md", "The process") == list(get_args(OmegaShape))
    assert table_names("docs/concepts.md", "Conditioning") == list(get_args(mt_diffusion.Conditioning))
    assert table_names("docs/concepts.md", "States: absent, unknown, known") == list(STATES)
    text = (ROOT / "docs/concepts.md").read_text()
    assert all(f"`{sampler}`" in text for sampler in get_args(SamplerName))
    assert get_args(SamplerName) == get_args(schema.SamplerName)


def test_claims_explain_every_key() -> None:
    assert set(table_names("docs/claims.md", "Adding a claim")) >= {*Claim.model_fields, *Part.model_fields}


def test_every_data_set_is_described_with_its_licence() -> None:
    text = " ".join((ROOT / "docs/data.md").read_text().split())
    for name in mmbench.data.names():
        module = importlib.import_module(f"mmbench.data.{name}")
        section = text.split(f"## `{name}`")[1].split(" ## ")[0]
        assert module.CARD.licence in section, name
        assert module.CARD.citation.rsplit(",", 1)[-1].strip() in section, name
    assert table_names("docs/data.md", "Where the files go") == [
        "toy_streets", "camvid", "cityscapes", "emoji", "fashion_mnist", "cifar10", "imagenet64", "image_folder"
    ]  # fmt: skip


def test_configuration_lists_every_profile_and_key() -> None:
    text = (ROOT / "config/README.md").read_text()
    assert all(f"`{key}`" in text for key in Top.model_fields)
    for path in (ROOT / "config/profiles").glob("*.yaml"):
        for document in ("README.md", "docs/reproducing.md"):
            known = path.stem in ("smoke", "quick", "standard", "paper")
            assert not known or f"| `{path.stem}` |" in (ROOT / document).read_text(), (path.stem, document)


def test_licence_citation_and_changelog() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30", "not Apache-2.0's own text"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (mmbench.__version__, "Apache-2.0")
    paper = citation["references"][0]
    assert paper["identifiers"][0]["value"] == "arXiv:2407.17571"
    assert (paper["authors"][0]["family-names"], len(paper["authors"]), paper["year"]) == ("Chen", 8, 2024)
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "\n## [Unreleased]\n" in changelog and f"\n## [{mmbench.__version__}]" in changelog


# Commands


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout in which every file that a document shows has been saved."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    return folder


def test_every_command_is_one_that_is_checked() -> None:
    assert {words[0] for words in COMMANDS} == {"make", "conda", "snakemake", "python", "export"}


@pytest.mark.parametrize("target", sorted({words[1] for words in of_program("make")}))
def test_make_knows_the_target(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_conda_finds_its_file_and_environment() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["name"]
    for words in of_program("conda"):
        assert words[1:] in (["env", "create", "-f", "environment.yml"], ["activate", environment])


def test_environment_variables_are_read() -> None:
    source = "".join(path.read_text() for path in (ROOT / "mmbench").rglob("*.py"))
    for _, assignment in of_program("export"):
        assert f'environ.get("{assignment.split("=")[0]}")' in source


@pytest.mark.parametrize("words", of_program("snakemake"), ids=" ".join)
def test_snakemake_takes_the_flags_and_the_configuration(words: list[str], checkout: Path) -> None:
    arguments = get_argument_parser().parse_args(words[1:])
    given = dict(word.split("=", 1) for word in words if re.match(r"[a-z_]+=", word))
    assert bool(given) == ("--config" in words)
    values = yaml.safe_load((checkout / "config/config.yaml").read_text())
    configured = Config(values | {key: yaml.safe_load(value) for key, value in given.items()}, checkout)
    assert set(arguments.targets or []) <= {*configured.experiments, "ablation"}


def test_snakemake_finds_the_targets_and_the_examples(checkout: Path) -> None:
    targets = {t for words in of_program("snakemake") for t in get_argument_parser().parse_args(words[1:]).targets}
    assert targets == {"masking", "ablation"}
    command = [
        f"{warm_python()}/python",
        "-m",
        "snakemake",
        "-n",
        "--config",
        "profile=smoke",
        "--",
        "all",
        *sorted(targets),
    ]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seed = "results/smoke/masking/{}/seed0/{}"
    for path in BASELINES:
        for file in ("weights.safetensors", "predictions.npz", "metrics.json"):
            assert seed.format(Path(path).stem, file) in done.stdout
    assert "rule nearest:" in done.stdout and seed.format("nearest", "metrics.json") in done.stdout
    for page in ("index.html", "only-masking/index.html", "ablation/index.html"):
        assert f"results/smoke/{page}" in done.stdout


def verb(words: list[str]) -> tuple[str, ...]:
    """The module of a command `python -m <module> ...`, and the subcommand if it is the package itself."""
    return tuple(words[2 : 5 if words[3:4] == ["data"] else 4] if words[2] == "mmbench" else words[2:3])


VERBS = sorted({verb(words) for words in of_program("python")} - {("pytest",)})


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("verb_", VERBS, ids=" ".join)
def test_a_command_knows_its_flags(verb_: tuple[str, ...]) -> None:
    known = call(["python", "-m", *verb_, "--help"])
    assert known.split()[0].lower() == "usage:"
    for words in of_program("python"):
        own = words[: words.index("--")] if "--" in words else words  # what follows is Snakemake's
        flags = {word for word in own if word.startswith("--")} if verb(words) == verb_ else set()
        assert all(re.search(rf"{flag}\b", known) for flag in flags), (flags, known)


def test_pytest_finds_the_files() -> None:
    for words in of_program("python"):
        assert words[2] != "pytest" or (ROOT / words[3]).is_file()


# Configuration


@pytest.mark.parametrize("block", blocks_of("yaml"))
def test_a_configuration_is_accepted(block: Block, checkout: Path) -> None:
    assert block.path, "begin with a comment that says which file it is"
    folder, path = Path(block.path).parent.name, Path(block.path)
    if folder == "profiles":
        values = yaml.safe_load((checkout / "config/config.yaml").read_text())
        configured = Config(values | {"profile": path.stem}, checkout)
        configured.check_methods(find_methods(checkout, configured.experiments))
    elif path == CLAIMS:
        (checkout / "claims.yaml").write_text(block.text)
        assert len(load_claims(checkout, checkout / "claims.yaml")) == 1
    else:
        assert folder == "experiments"
        section = check.check(experiment_schema(path.stem), yaml.safe_load(block.text), block.path)
        known = find_methods(checkout, [path.stem])[path.stem]
        assert {name.partition("@")[0] for name in (*section.methods, *section.every_variant())} <= known.keys()


# Examples that run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, checkout: Path, lpips_weights: Path) -> Path:
    """A folder in which the stages' commands were run as docs/results.md shows them."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("baselines", "Snakefile", "mmbench"):
        (folder / name).symlink_to(checkout / name)
    shutil.copytree(checkout / "config", folder / "config")
    (folder / "results").mkdir()
    (folder / "results" / "weights").symlink_to(lpips_weights)
    shown = [block for block in BLOCKS if block.document == "docs/results.md"]
    for block in shown:
        content = json.loads(block.text) if block.language == "json" else {}
        if "evaluate" in content:
            write_json(folder / "settings.json", content)
            profile = folder / "config" / "profiles" / "quick.yaml"
            values = yaml.safe_load(profile.read_text()) | {"evaluate": content["evaluate"]}
            profile.write_text(yaml.safe_dump(values))
    with contextlib.chdir(folder):
        for words in (w for block in shown if block.language == "bash" for w in commands(block)):
            if words[2] in (
                "mmbench.stages.data",
                "mmbench.stages.cases",
                "mmbench.stages.reference",
                "mmbench.stages.train",
                "mmbench.stages.predict",
            ):
                call(words)
    return folder


def cases_asked(run: Path, task: str) -> list[str]:
    return [case.name for case in read_cases(run / "results/quick/masking") if case.task == task]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_stages_run_as_shown(run: Path) -> None:
    folder = run / "results/quick/masking/ddpm/seed0"
    assert read_json(folder / "training.json")["steps"] == 4
    assert list(load_arrays(folder / "predictions.npz")) == ["generate/image"]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_predictions_from_elsewhere_are_scored_and_shown(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, the two commands and the analysis of docs/results.md, and the names in docs/metrics.md."""
    monkeypatch.chdir(run)
    programs = [b for b in BLOCKS if b.document == "docs/results.md" and b.language == "python"]
    spaces: list[dict[str, Any]] = [{}, {}]
    exec(compile(programs[0].text, "program", "exec"), spaces[0])
    for words in of_program("python"):
        if words[2] == "mmbench.stages.report" or words[2:4] == ["mmbench", "score"]:
            call(words)
    page = (run / "results/quick/with-grey/index.html").read_text()
    assert "Flat grey" in page
    exec(compile(programs[1].text, "analysis", "exec"), spaces[1])
    assert spaces[1]["lpips"].shape == (1, 4) and spaces[1]["lpips"].notna().all(axis=None)
    scored = {row["name"] for row in read_json(run / "results/quick/masking/grey/seed0/metrics.json")["metrics"]}
    drawn = {row["name"] for row in read_json(run / "results/quick/masking/reference.json")["metrics"]}
    assert set(table_names("docs/metrics.md", "Reconstructions")) == scored
    assert set(table_names("docs/metrics.md", "Generated images")) == drawn


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("path", BASELINES)
def test_a_baseline_as_shown_trains_and_answers(path: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    name = Path(path).stem
    write_json(run / f"{name}.json", read_json(run / "settings.json") | {"method": name})
    out = f"results/quick/masking/{name}/seed0"
    common = f"--settings {name}.json --method {path} --data results/quick/data --seed 0 --out {out}".split()
    call(["python", "-m", "mmbench.stages.train", *common, "--state", f"{out}/state"])
    call(["python", "-m", "mmbench.stages.predict", *common, "--weights", f"{out}/weights.safetensors",
          "--cases", "results/quick/masking"])  # fmt: skip
    trained = read_literals(run / path).get("TRAINED", True)
    assert read_json(run / out / "training.json")["steps"] == (4 if trained else 0)
    answers = load_arrays(run / out / "predictions.npz")
    assert list(answers) == [f"{case}/image" for case in cases_asked(run, "reconstruct")]


def test_an_external_program_as_shown_answers(run: Path, tmp_path: Path) -> None:
    cases, out = run / "results/quick/masking", tmp_path / "predictions.npz"
    program = run / "baselines/masking/_nearest.py"
    subprocess.run([sys.executable, str(program), str(cases / "cases.npz"), str(out)], check=True)
    experiment = load_experiment("masking")
    modalities = experiment.modalities(read_json(run / "results/quick/data/card.json"))
    answered = read_answers(out, read_cases(cases), experiment, modalities, ["reconstruct"])
    assert [case.name for case, _ in answered] == cases_asked(run, "reconstruct")
    for case, answer in answered:
        masked = case.given["masked_image"]
        seen = (masked[:, 3:] > 0).repeat(3, axis=1)
        np.testing.assert_array_equal(answer["image"][seen], masked[:, :3][seen])
        colours = [{tuple(p) for p in m[:3][:, m[3] > 0].T} for m in masked]
        assert all({tuple(p) for p in i.reshape(3, -1).T} == c for i, c in zip(answer["image"], colours, strict=True))


def test_a_data_set_as_shown_loads(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmbench.data, "__path__", [*mmbench.data.__path__, str(checkout / "mmbench/data")])
    settings = DataSettings("gratings", size=(32, 48), train=5, test=5)
    train, test = (mmbench.data.load(split, settings)["image"] for split in ("train", "test"))
    assert train.shape == (5, 3, 32, 48) and train.dtype == np.uint8 and train.std() > 20
    assert not np.array_equal(train, test)
    np.testing.assert_array_equal(train, mmbench.data.load("train", settings)["image"])
    assert mmbench.data.card(settings).title == "Gratings"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_a_model_is_asked_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command and program of docs/any-to-any.md, with a small model at the place that they name."""
    write_model(tmp_path / "results/quick/joint/mt_diffusion/seed0", *MODALITIES)
    own = values(1)
    Image.fromarray(own["image"][0].transpose(1, 2, 0)).save(tmp_path / "street.png")
    Image.fromarray(own["mask"][0]).save(tmp_path / "map.png")
    monkeypatch.chdir(tmp_path)
    shown = [block for block in BLOCKS if block.document == ASKED]
    for words in (w for block in shown if block.language == "bash" for w in commands(block)):
        assert ("README.md" if "export" in words else " x ") in call(words)
    assert read_json("painted/generated.json")["guidance"] == 2
    assert {path.name for path in Path("read").iterdir()} == {
        "mask-000.png", "mask-000-colours.png", "depth-000.png", "label.json", "arrays.npz", "generated.json"
    }  # fmt: skip
    assert sorted(path.name for path in Path("drawn").glob("image-*")) == [f"image-00{i}.png" for i in range(4)]
    space: dict[str, Any] = {}
    for program in (block for block in shown if block.language == "python"):
        exec(compile(program.text, "program", "exec"), space)
    assert len(space["pictures"]) == 8 and space["nearby"]["image"].shape[0] == 4
    named = re.findall(r"`(\w+=drawn/[^`]+)`", prose(ROOT / ASKED))
    assert len(named) == 2
    for given in named:
        flags = [given, "--want", "image", "--nfe", "1", "--out", "again"]
        call(["python", "-m", "mmbench", "sample", "results/quick/joint/mt_diffusion/seed0", *flags])


@pytest.mark.parametrize("block", [p for p in blocks_of("python") if not p.values[0].path])
def test_a_short_example_runs(block: Block) -> None:
    if block.document in (ASKED, "docs/reading.md"):
        return  # run above, and in test_guides.py
    if block.document == "docs/results.md":
        assert len([b for b in BLOCKS if b.document == block.document and b.language == "python"]) == 2  # run above
        return
    exec(compile(block.text, block.document, "exec"), {})


@pytest.mark.parametrize("block", blocks_of("json"))
def test_a_json_example_has_the_format(block: Block, run: Path, tmp_path: Path) -> None:
    content = json.loads(block.text)
    if isinstance(content.get("cases"), list):
        written = read_json(run / "results/quick/masking/cases.json")
        assert content.keys() == written.keys()
        by_task = {case["task"]: case for case in written["cases"]}
        for case in content["cases"]:
            same = by_task[case["task"]]
            assert case.keys() == same.keys() and (case["given"], case["want"]) == (same["given"], same["want"])
    elif "cases" in content:
        write_json(tmp_path / "predictions.json", content)
        assert read_cost(tmp_path, None)["nfe"] == {"reconstruct-25": 20}
    else:
        assert content["experiment"] == "masking"
        Config(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)
        for section in content.keys() - {"experiment", "shares", "method", "method_settings"}:
            assert content[section].keys() == section_keys(section), section


def section_keys(section: str) -> set[str]:
    """The keys of a section of a profile."""
    return set(yaml.safe_load((ROOT / "config/profiles/quick.yaml").read_text())[section])


@pytest.fixture
def examples(tmp_path: Path) -> Iterator[Path]:
    """The Python files that the documents show."""
    for path, block in FILES.items():
        if path.endswith(".py"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(block.text)
    yield tmp_path


def test_examples_are_written_like_the_code(examples: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        ours = "lint.isort.known-first-party=['mmbench']"  # a part of it beside them is not all of it
        arguments = [*command, "--config", str(ROOT / "pyproject.toml"), "--config", ours, "--no-cache", str(examples)]
        done = subprocess.run([sys.executable, "-m", "ruff", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
