"""Methods found by their path, and their declarations, read without running them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmbench.config.discovery import find_methods, read_literals
from mmbench.errors import UserError

ROOT = Path(__file__).parents[1]
GUESS = """from mmbench.modalities import Task
TASKS = {"guess": Task("guess", ("image",), ("depth",)), "draw": Task("draw", (), ("image",))}
"""
GOOD = 'TITLE = "Mine"\nTASKS = ("reconstruct",)\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout's code, with two baselines of its own."""
    ignore = shutil.ignore_patterns("__pycache__")
    (tmp_path / "mmbench").mkdir()
    shutil.copytree(ROOT / "mmbench" / "experiments", tmp_path / "mmbench" / "experiments", ignore=ignore)
    for path in (ROOT / "mmbench").glob("[!_]*"):
        if path.name != "experiments":
            (tmp_path / "mmbench" / path.name).symlink_to(path)
    folder = tmp_path / "baselines" / "masking"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(GOOD + "from _shared import x\nimport mmbench.models.nets.unet\n")
    (folder / "other.py").write_text('TITLE = "Other"\nTASKS = ("generate", "reconstruct")\nTRAINED = False\n')
    (folder / "_shared.py").write_text("x = 1\n")
    return tmp_path


def masking(root: Path) -> Path:
    """The folder of the baselines."""
    return root / "baselines" / "masking"


def message(root: Path) -> str:
    """The one line that discovery ends with."""
    with pytest.raises(UserError) as caught:
        find_methods(root, ["masking"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFound:
    def test_a_file_is_a_method_and_helpers_are_not(self, checkout: Path) -> None:
        found = find_methods(checkout, ["masking"])["masking"]
        assert list(found) == ["mt_diffusion", "mine", "other"]
        assert found["other"].tasks == ("generate", "reconstruct")
        assert found["mine"].path == Path("baselines/masking/mine.py")
        assert not any(method.external for method in found.values())

    def test_every_method_of_this_checkout(self) -> None:
        found = find_methods(ROOT, ["masking"])["masking"]
        assert {p.stem for p in masking(ROOT).glob("[!_]*.py")} == set(found) - {"mt_diffusion"}
        assert found["repaint"].weights_from == "ddpm"
        assert len({method.title for method in found.values()}) == len(found)

    def test_an_external_method_is_declared_in_comments(self, checkout: Path) -> None:
        (masking(checkout) / "tool.smk").write_text("# TITLE: A tool\n# TASKS: reconstruct, generate\nrule tool:\n")
        tool = find_methods(checkout, ["masking"])["masking"]["tool"]
        assert (tool.title, tool.tasks, tool.external) == ("A tool", ("reconstruct", "generate"), True)
        assert (tool.answers, tool.needs) == ((), ())
        assert (tool.path, tool.weights_from) == (Path("baselines/masking/tool.smk"), None)

    def test_the_multitask_model_does_every_task_of_a_new_experiment(self, checkout: Path) -> None:
        (checkout / "mmbench" / "experiments" / "depth").mkdir()
        (checkout / "mmbench" / "experiments" / "depth" / "tasks.py").write_text(GUESS)
        found = find_methods(checkout, ["depth"])["depth"]
        assert {name: method.tasks for name, method in found.items()} == {"mt_diffusion": ("guess", "draw")}

    def test_no_file_is_run(self, checkout: Path) -> None:
        (masking(checkout) / "loud.py").write_text(GOOD + "raise SystemExit('run')\n")
        assert "loud" in find_methods(checkout, ["masking"])["masking"]

    def test_annotated_constants(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text('TITLE: str = "Mine"\nTASKS: tuple[str, ...] = ("generate",)\nTRAINED: bool = False\n')
        assert read_literals(path) == {"TITLE": "Mine", "TASKS": ("generate",), "TRAINED": False}


@pytest.mark.parametrize(
    ("name", "encoding", "first"),
    [
        ("mine.py", "utf-8-sig", ""),
        ("mine.py", "latin-1", "# -*- coding: latin-1 -*-\n"),
        ("tool.smk", "utf-8-sig", ""),
    ],
)
def test_a_file_has_the_encoding_that_it_declares(checkout: Path, name: str, encoding: str, first: str) -> None:
    declared = "# TITLE: Zoë\n# TASKS: generate\n" if name.endswith("smk") else 'TITLE = "Zoë"\nTASKS = ("generate",)\n'
    (masking(checkout) / name).write_text(first + declared, encoding=encoding)
    assert find_methods(checkout, ["masking"])["masking"][Path(name).stem].title == "Zoë"


def test_a_method_of_some_modalities_needs_those_and_what_its_tasks_give(checkout: Path) -> None:
    folder = checkout / "baselines" / "joint"
    folder.mkdir()
    (folder / "mine.py").write_text('TITLE = "Mine"\nTASKS = ("from_label_embedding",)\nANSWERS = ("mask",)\n')
    (folder / "tool.smk").write_text("# TITLE: A tool\n# TASKS: from_image, generate\n# ANSWERS: mask, label\n")
    found = find_methods(checkout, ["joint"])["joint"]
    assert (found["mine"].answers, found["mine"].needs) == (("mask",), ("mask", "label", "embedding"))
    assert (found["tool"].answers, found["tool"].needs) == (("mask", "label"), ("mask", "label", "image"))
    (folder / "bad.py").write_text('TITLE = "Bad"\nTASKS = ("from_image", "from_mask")\nANSWERS = ("mask",)\n')
    with pytest.raises(
        UserError, match=r"bad\.py: ANSWERS: the task 'from_mask' wants image, label, embedding, depth, of"
    ):
        find_methods(checkout, ["joint"])


MISTAKES = [
    ("bad.py", "TITLE = \n", "line 1: not Python"),
    ("bad.py", "\udcff", "line 1: not Python"),
    ("bad.py", 'TITLE = "Mine"\n', "TASKS is missing; add a line like TASKS ="),
    ("bad.py", 'TASKS = ("reconstruct",)\n', "TITLE is missing; add a line like TITLE ="),
    ("bad.py", GOOD.replace('"Mine"', '"Mi" + name'), "TITLE is computed"),
    ("bad.py", GOOD.replace('("reconstruct",)', '"reconstruct"'), "TASKS is 'reconstruct'; write it like"),
    ("bad.py", GOOD.replace("reconstruct", "reconstuct"), "did you mean 'reconstruct'?"),
    ("bad.py", GOOD + 'TRAINED = "no"\n', "TRAINED is 'no'; write it like TRAINED = False"),
    ("bad.py", GOOD + 'WEIGHTS_FROM = "min"\n', "did you mean 'mine'?"),
    ("bad.smk", "# TITLE: x\n", "TASKS is missing; add a comment line '# TASKS: ...'"),
    ("bad.smk", "# TITLE: x\n# TASKS: paint\n", "'paint' is no task of this experiment"),
    ("bad.py", GOOD + 'ANSWERS = "image"\n', "ANSWERS is 'image'; write it like ANSWERS = (\"mask\",)"),
    ("bad.py", GOOD + 'ANSWERS = ("imag",)\n', "'imag' is wanted by none of its tasks (did you mean 'image'?)"),
    ("bad.smk", "# TITLE: x\n# TASKS: generate\n# ANSWERS: mask\n", "'mask' is wanted by none of its tasks"),
    ("bad.py", GOOD + "TUNE = {'strength': (True,)}\n", "TUNE: strength is (True,); write its candidates"),
    ("bad.py", GOOD + "TUNE = {'strength': (1, 2)}\n", "TUNE_BY is None; write one of reconstruct and a metric"),
    ("bad.py", GOOD + f"x = {'-' * 100_000}1\n", "not a Python text file"),
    ("bad.smk", "# TITLE: \udcff\n# TASKS: generate\n", "not a text file"),
    ("Bad-name.py", GOOD, "rename it"),
    ("mine.smk", "# TITLE: x\n# TASKS: generate\n", "there is already a method 'mine'"),
    ("mt_diffusion.py", GOOD, "there is already a method 'mt_diffusion'"),
]


@pytest.mark.parametrize(("file", "text", "words"), MISTAKES)
def test_a_mistake_is_one_line_with_file_and_fix(checkout: Path, file: str, text: str, words: str) -> None:
    (masking(checkout) / file).write_text(text, errors="surrogateescape")
    said = message(checkout)
    assert said.startswith(f"baselines/masking/{file}: ")
    assert words in said


def test_weights_of_an_external_method_cannot_be_used(checkout: Path) -> None:
    (masking(checkout) / "tool.smk").write_text("# TITLE: A tool\n# TASKS: generate\n")
    (masking(checkout) / "bad.py").write_text(GOOD + 'WEIGHTS_FROM = "tool"\n')
    assert "WEIGHTS_FROM: 'tool' is no trained method" in message(checkout)


def test_a_folder_of_an_unknown_experiment(checkout: Path) -> None:
    (checkout / "baselines" / "maskng").mkdir()
    said = message(checkout)
    assert said.startswith("baselines/maskng: no experiment of that name (did you mean 'masking'?)")


def test_an_experiment_whose_tasks_cannot_be_read(checkout: Path) -> None:
    path = checkout / "mmbench" / "experiments" / "masking" / "tasks.py"
    path.write_text("TASKS = dict(generate=1)\n")
    assert message(checkout).startswith("mmbench/experiments/masking/tasks.py: TASKS is no dictionary of tasks")
