"""The hash of the code that decides a stage's numbers: what counts, and what does not."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from mmbench.config.code_hash import (
    COUNTED,
    ENTRIES,
    PLUMBING,
    READING,
    SHOWING,
    code_hash,
    counted,
    ignored,
    stage_code,
)
from mmbench.config.imports import closure
from mmbench.config.source import meaning
from mmbench.errors import UserError
from mmbench.modalities import names as kinds

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "mmbench" / "experiments").glob("[!_]*/tasks.py"))

#: Every file and folder of the package that decides numbers of a stage that takes longer than seconds. A new module
#: that such a stage imports is put here, or into `PLUMBING`.
DECIDING = {
    "mmbench/config/choice.py",
    "mmbench/data",  # of the stage `data` alone
    "mmbench/experiments",
    "mmbench/frozen/__init__.py",
    "mmbench/frozen/efficientnet.lock",
    "mmbench/frozen/efficientnet.py",
    "mmbench/frozen/embedders.py",
    "mmbench/frozen/features.py",
    "mmbench/frozen/judges.py",
    "mmbench/frozen/lpips-trunk.lock",
    "mmbench/frozen/lpips.py",
    "mmbench/frozen/packages.py",
    "mmbench/frozen/user_files.py",
    "mmbench/inference/__init__.py",
    "mmbench/inference/answer.py",
    "mmbench/method.py",
    "mmbench/modalities",
    "mmbench/models",
    "mmbench/scoring",
    "mmbench/stages",
    "mmbench/training/__init__.py",
    "mmbench/training/adam.py",
    "mmbench/training/flops.py",
    "mmbench/training/gradients.py",
    "mmbench/training/loop.py",
    "mmbench/training/partial_labels.py",
    "mmbench/training/schedule.py",
}


def inside(name: str, places: set[str] | tuple[str, ...]) -> list[str]:
    """The entries that a file is, or lies below; the longest is the one that holds."""
    return sorted((place for place in places if name == place or name.startswith(f"{place}/")), key=len)


def reached(stage: str) -> set[str]:
    """The files of the package that any job of a stage imports."""
    methods = ["mmbench/models/mt_diffusion.py", *(ROOT / "baselines").glob("*/[!_]*.py")]
    data = [path.stem for path in (ROOT / "mmbench" / "data").glob("[!_]*.py")]
    words = {"experiment": EXPERIMENTS, "method": methods, "data": data, "kinds": kinds()}
    words["judge"] = [f"mmbench/experiments/{name}/judge.py" for name in EXPERIMENTS]
    entries = {
        entry.format(**dict(zip(words, values, strict=True)))
        for entry in ENTRIES[stage]
        for values in zip_longest(*words.values())
    }
    names = counted(ROOT, [entry for entry in entries if (ROOT / entry).exists()])
    return {name for name in names if name.startswith("mmbench/")}


def test_every_module_decides_numbers_or_is_plumbing() -> None:
    """Of the stages that compute; what shows their numbers counts all that it imports."""
    names = {name for stage in ENTRIES if stage not in (*SHOWING, "claims") for name in reached(stage)}
    unplaced = {name for name in names if not inside(name, DECIDING) and not inside(name, PLUMBING)}
    assert not unplaced, "put each into DECIDING of this test, or into PLUMBING of mmbench/config/code_hash.py"
    assert [place for place in DECIDING if inside(place, PLUMBING)] == list(COUNTED)
    stale = [place for place in {*DECIDING, *PLUMBING, *READING} if not any(inside(name, {place}) for name in names)]
    assert stale == []


def test_what_decides_a_training() -> None:
    """Written out for one method; what it leaves out is plumbing, or of other methods and stages."""
    words = {"experiment": "masking", "method": "baselines/masking/unet_regression.py", "kinds": "masked_image"}
    names = counted(ROOT, [entry.format(**words) for entry in ENTRIES["train"]], ignored("train"))
    modules = {name for name in names if not name.endswith("__init__.py")}
    assert {"baselines/masking/unet_regression.py", "mmbench/method.py", "mmbench/models/nets/unet.py"} < modules
    assert {"mmbench/stages/train.py", "mmbench/training/loop.py", "mmbench/training/schedule.py"} < modules
    assert {"mmbench/training/gradients.py", "mmbench/experiments/masking/tasks.py"} < modules
    assert not [name for name in modules if inside(name, {*PLUMBING, *READING, "mmbench/scoring", "mmbench/frozen"})]
    assert not [name for name in modules if "mt_diffusion" in name or "segmentation" in name]


CODE = '''
"""A module."""
RATE = 0.5


def check(value):
    """Say what is wrong."""
    if value < 0:
        raise ValueError(f"{value} is below 0")
    assert value < 9, "too much"
    print(f"checked {value}", flush=True)
    return [UserError("a file is missing"), value * RATE]


Seed = Annotated[int, Option(min=0, help="Of the noise.")]
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""A module."""', '"""Another\nword."""'),
        ('    """Say what is wrong."""\n', ""),
        ("RATE = 0.5", "RATE = 0.5  # of learning\n"),
        ("RATE = 0.5", '#: What is learnt.\n"""Told."""\nRATE = 0.50'),
        ('f"{value} is below 0"', '"got a negative number; write another", value'),
        ('"too much"', 'f"{value} is too much"'),
        ('    print(f"checked {value}", flush=True)\n', ""),
        ('"a file is missing"', 'f"{value}: no such file"'),
        ('"Of the noise."', '"That makes the noise."'),
        ("    return [UserError", "\n    return [\n        UserError"),
    ],
)
def test_a_new_wording_changes_nothing(before: str, after: str) -> None:
    assert before in CODE
    assert meaning(ast.parse(CODE.replace(before, after))) == meaning(ast.parse(CODE))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.5", "0.25"),
        ("RATE = 0.5", "RATE = '0.5'"),
        ("value < 0", "value <= 0"),
        ("ValueError", "TypeError"),
        ("value < 9", "value < 8"),
        ("value * RATE", "RATE * value"),
        ("Option(min=0", "Option(min=1"),
        ("def check(value)", "def check(value=1)"),
        ("def check(value)", "def check(*value)"),
        ("RATE = 0.5", "RATE = 0.5\nimport os"),
    ],
)
def test_another_deed_changes_it(before: str, after: str) -> None:
    assert before in CODE
    assert meaning(ast.parse(CODE.replace(before, after))) != meaning(ast.parse(CODE))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout's code, with two baselines of its own."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "mmbench", root / "mmbench", ignore=shutil.ignore_patterns("__pycache__"))
    folder = root / "baselines" / "masking"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("from _shared import x\nimport mmbench.models.nets.unet\n")
    (folder / "other.py").write_text("TRAINED = False\n")
    (folder / "_shared.py").write_text("x = 1\n")
    return root


@pytest.fixture
def edited(checkout: Path) -> Iterator[Path]:
    """The checkout; what a test writes into its files is put back."""
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    yield checkout
    for path, content in before.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


class TestEdit:
    """An edit changes the hash of what it touches, and of nothing else."""

    TRAIN, EXPERIMENT = "mmbench/stages/train.py", "mmbench/experiments/masking/tasks.py"
    SCORES, MINE = "mmbench/experiments/masking/scores.py", "baselines/masking/mine.py"

    def hashes(self, root: Path) -> dict[str, str]:
        """The hash of the code of some jobs, as the rules ask for it."""
        judge = "mmbench/experiments/joint/judge.py"
        methods = {"mine": ("image", "masked_image", "label"), "other": ("image", "masked_image")}
        trainings = {
            f"train {name}": stage_code(
                root, "train", kinds, experiment="masking", method=f"baselines/masking/{name}.py"
            )
            for name, kinds in methods.items()
        }
        return {
            **trainings,
            "evaluate": stage_code(root, "evaluate", experiment="masking", judge=None),
            "judged": stage_code(root, "evaluate", experiment="joint", judge=judge),
            "data": stage_code(root, "data", data="camvid"),
            "report": stage_code(root, "report"),
        }

    def changed(self, root: Path, path: str, text: str) -> set[str]:
        """The jobs whose hash changes when `text` is put at the end of a file."""
        before = self.hashes(root)
        with (root / path).open("a") as stream:
            stream.write(text)
        after = self.hashes(root)
        return {job for job in before if before[job] != after[job]}

    @pytest.mark.parametrize(
        ("path", "jobs"),
        [
            (MINE, {"train mine"}),
            ("baselines/masking/_shared.py", {"train mine"}),
            ("mmbench/models/nets/unet.py", {"train mine", "train other", "judged"}),
            ("mmbench/modalities/label.py", {"train mine"}),
            ("mmbench/modalities/depth.py", set()),
            ("mmbench/experiments/masking/cases.py", {"train mine", "train other"}),
            ("mmbench/training/loop.py", {"train mine", "train other"}),
            (EXPERIMENT, {"train mine", "train other", "evaluate"}),
            ("mmbench/scoring/metrics/pixel.py", {"evaluate", "judged"}),
            ("mmbench/experiments/joint/judge.py", {"judged"}),
            ("mmbench/report/page.py", {"report"}),
            ("mmbench/data/camvid.py", {"data"}),
            # The plumbing, of which only the report makes anything.
            ("mmbench/training/checkpoint.py", set()),
            ("mmbench/files/locks.py", {"report"}),
        ],
    )
    def test_a_new_constant(self, edited: Path, path: str, jobs: set[str]) -> None:
        assert self.changed(edited, path, "CONSTANT = 1\n") == jobs

    @pytest.mark.parametrize("path", [MINE, TRAIN])
    def test_a_remark(self, edited: Path, path: str) -> None:
        assert self.changed(edited, path, '# said otherwise\n"""A remark."""\nprint("done")\n') == set()

    def test_what_is_not_python_counts_byte_by_byte(self, edited: Path) -> None:
        template = next((edited / "mmbench" / "report").rglob("*.html*")).relative_to(edited)
        assert self.changed(edited, str(template), "\n") == {"report"}
        before = stage_code(edited, "lpips")
        (edited / "mmbench" / "frozen" / "lpips-trunk.lock").write_bytes(b"other")
        assert stage_code(edited, "lpips") != before

    def test_a_file_that_is_not_python_is_named(self, edited: Path) -> None:
        (edited / self.MINE).write_text("TITLE = \n")
        with pytest.raises(UserError, match=r"mine\.py: line 1"):
            stage_code(edited, "train", experiment="masking", method=self.MINE)


class TestClosure:
    """What a file imports of the project."""

    def test_relative_imports_are_followed(self, tmp_path: Path) -> None:
        package = tmp_path / "mmbench" / "deep"
        package.mkdir(parents=True)
        texts = {"a": "from . import b\nfrom .c import y\nfrom ..top import z\n", "b": "", "c": "y = 1"}
        for name, text in texts.items():
            (package / f"{name}.py").write_text(text)
        (tmp_path / "mmbench" / "top.py").write_text("z = 1\n")
        names = {str(path.relative_to(tmp_path)) for path in closure(package / "a.py", tmp_path)}
        assert names == {"mmbench/deep/a.py", "mmbench/deep/b.py", "mmbench/deep/c.py", "mmbench/top.py"}

    def test_imports_in_a_circle_end(self, tmp_path: Path) -> None:
        (tmp_path / "mmbench").mkdir()
        (tmp_path / "mmbench" / "a.py").write_text("import mmbench.b\n")
        (tmp_path / "mmbench" / "b.py").write_text("def f():\n    if f:\n        import mmbench.a\n")
        assert len(closure(tmp_path / "mmbench" / "a.py", tmp_path)) == 2

    def test_what_only_a_type_checker_imports_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "mmbench").mkdir()
        (tmp_path / "mmbench" / "a.py").write_text("if TYPE_CHECKING:\n    import mmbench.b\n")
        (tmp_path / "mmbench" / "b.py").write_text("")
        assert len(closure(tmp_path / "mmbench" / "a.py", tmp_path)) == 1

    def test_what_is_only_imported_by_plumbing_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "mmbench" / "files").mkdir(parents=True)
        (tmp_path / "mmbench" / "a.py").write_text("import mmbench.files.b\n")
        (tmp_path / "mmbench" / "files" / "b.py").write_text("import mmbench.c\n")
        (tmp_path / "mmbench" / "c.py").write_text("C = 1\n")
        before = code_hash(tmp_path, "mmbench/a.py")
        (tmp_path / "mmbench" / "c.py").write_text("C = 22\n")
        assert code_hash(tmp_path, "mmbench/a.py") == before
        assert code_hash(tmp_path, "mmbench/a.py", ignored=()) != before
