"""The documents as the tests see them: their examples, and a copy of the checkout with what they show saved in it."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "results/README.md",
            "config/README.md",
            "benchmarks/README.md",
        )
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]
CHECKOUT = ["Snakefile", "workflow", "config", "profiles", "mmbench", "baselines", "environment.yml"]


@dataclass(frozen=True)
class Block:
    """A fenced example."""

    document: str
    line: int
    language: str
    text: str

    @property
    def path(self) -> str | None:
        """The file that the example is: its first line is a comment that names it."""
        found = re.match(r"# (\S+/\S+\.(?:py|smk|yaml))\n", self.text)
        return found[1] if found else None


def read_blocks(path: Path) -> list[Block]:
    """Every fenced example of a document."""
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
    return [
        Block(name, text.count("\n", 0, m.start()) + 1, m[1], m[2])
        for m in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    ]


def prose(path: Path) -> str:
    """A document without its examples."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


BLOCKS = [block for path in DOCUMENTS for block in read_blocks(path)]
FILES = {block.path: block for block in BLOCKS if block.path}


def commands(block: Block) -> list[list[str]]:
    """The words of every command of a shell example; `mmbench ...` as `python -m mmbench ...`, which is the same."""
    lines = block.text.replace("\\\n", " ").splitlines()
    found = [words for line in lines if (words := shlex.split(line, comments=True))]
    return [["python", "-m", *words] if words[0] == "mmbench" else words for words in found]


COMMANDS = [words for block in BLOCKS if block.language == "bash" for words in commands(block)]


def of_program(name: str) -> list[list[str]]:
    """The commands of one program in any document."""
    return [words for words in COMMANDS if words[0] == name]


def call(words: list[str]) -> str:
    """Run `python -m <module> ...` in this process, which has torch already; returns what it printed."""
    assert words[:2] == ["python", "-m"], words
    out, before = io.StringIO(), sys.argv
    sys.argv = words[2:]
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_module(words[2], run_name="__main__")
    except SystemExit as end:
        assert not end.code, end.code  # `--help` ends like this
    finally:
        sys.argv = before
    return out.getvalue()


def copy_checkout(folder: Path) -> None:
    """This checkout, without tests and documents, with every file that a document shows."""
    for name in CHECKOUT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for path, block in FILES.items():
        if not (ROOT / path).exists():  # else it is an excerpt
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(block.text)


def apply_diff(block: Block, folder: Path) -> Path:
    """Make the change that an example in the language `diff` shows; returns the changed file.

    Its hunks need no line numbers: what they replace must be in the file exactly once.
    """
    head, *hunks = re.split(r"^@@.*\n", block.text, flags=re.MULTILINE)
    path = folder / re.findall(r"^\+\+\+ b/(\S+)$", head, flags=re.MULTILINE)[0]
    text = path.read_text()
    for hunk in hunks:
        lines = hunk.splitlines()
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(old) == 1, f"{block.document}:{block.line}: {path.name} has not once:\n{old}"
        text = text.replace(old, new)
    path.write_text(text)
    return path
