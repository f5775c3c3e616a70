"""The settings of a method's class, read without running it, and what is made of the values that are set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from mmbench.config.check import settings_for
from mmbench.config.signatures import Signature, method_signature
from mmbench.errors import UserError
from mmbench.method import Spec, load_method
from mmbench.modalities import Modality

ROOT = Path(__file__).parents[1]
HEAD = "from mmbench.method import Method as Base\n"


def signature(tmp_path: Path, text: str) -> Signature:
    (tmp_path / "mine.py").write_text(HEAD + text)
    return method_signature(tmp_path / "mine.py", ROOT)


METHODS = [
    ("class Method(Base):\n    pass\n", {}),
    ("class Method(Base):\n    def __init__(self, spec, *, a: int = 1, b=2): ...\n", {"a": int, "b": Any}),
    ("class Method(Base):\n    def __init__(self, spec, a: 'float | None' = None): ...\n", {"a": float | None}),
    (
        "from typing import Literal\nMode = Literal['x', 'y']\nclass Method(Base):\n"
        "    def __init__(self, spec, *, mode: Mode = 'x'): ...\n",
        {"mode": Literal["x", "y"]},
    ),
    (
        "from collections.abc import Mapping\nclass Own(Base):\n"
        "    def __init__(self, spec, *, a: Mapping[str, float] = {}, b: int = 1): ...\n"
        "class Method(Own):\n    def __init__(self, spec, *, c: bool = True, **others):\n"
        "        super().__init__(spec, b=3, **others)\n",
        {"a": Mapping[str, float], "c": bool},
    ),
    (
        "from typing import TypedDict, Unpack\nclass Settings(TypedDict, total=False):\n    depth: int\n"
        "class Method(Base):\n    def __init__(self, spec, **settings: Unpack[Settings]): ...\n",
        {"depth": int},
    ),
    (
        "from mmbench.models.diffusion.process import Schedule\nclass Method(Base):\n"
        "    def __init__(self, spec, *, schedule: Schedule = 'cosine', odd: Unknown = 1): ...\n",
        {"schedule": Literal["cosine", "linear"], "odd": Any},
    ),
]


@pytest.mark.parametrize(("text", "types"), METHODS)
def test_settings_and_their_types_are_read_from_the_source(tmp_path: Path, text: str, types: dict[str, Any]) -> None:
    read = signature(tmp_path, text)
    assert (read.types, read.complete) == (types, True)


@pytest.mark.parametrize(
    "text", ["Method = make()\n", "import there\nclass Method(there.Other): ...\n", "from there import Method\n", ""]
)
def test_what_cannot_be_read_is_left_to_the_call(tmp_path: Path, text: str) -> None:
    assert not signature(tmp_path, text).complete
    assert settings_for(signature(tmp_path, text), {"anything": "1e-3"}, "here") == {"anything": "1e-3"}


def test_every_method_of_this_checkout_is_read_completely() -> None:
    files = [*(ROOT / "baselines").glob("*/[!_]*.py"), ROOT / "mmbench" / "models" / "mt_diffusion.py"]
    assert [path for path in files if not method_signature(path, ROOT).complete] == []
    assert {"omega", "states", "balance"} <= method_signature(files[-1], ROOT).types.keys()


def test_a_setting_without_a_default_is_required(tmp_path: Path) -> None:
    read = signature(tmp_path, "class Method(Base):\n    def __init__(self, spec, a, b=1, *, c, d=2): ...\n")
    assert read.required == {"a", "c"}
    with pytest.raises(UserError, match="here: c: missing"):
        settings_for(read, {"a": 1}, "here")


@pytest.mark.parametrize(
    ("kind", "value", "used"),
    [(float, 1, 1.0), (tuple[float, ...], [1, 2.5], (1.0, 2.5)), (bool, False, False), (float | None, None, None)],
)
def test_what_is_checked_is_what_is_used(kind: Any, value: Any, used: Any) -> None:
    converted = settings_for(Signature({"a": kind}), {"a": value}, "here")["a"]
    assert (converted, type(converted)) == (used, type(used))


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (float, "1e-3", "a"),
        (float, float("nan"), "a"),
        (int, 1.0, "a"),
        (int, True, "a"),
        (bool, "false", "a"),
        (bool, 0, "a"),
        (str, 1, "a"),
        (Literal["x", "y"], "z", "a"),
        (tuple[float, ...], [1, "2"], "a.1"),
        (Mapping[str, float] | None, {"mask": "0.1"}, "a.mask"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(kind: Any, value: Any, where: str) -> None:
    with pytest.raises(UserError, match=rf"^here: {where}: got "):
        settings_for(Signature({"a": kind}), {"a": value}, "here")


def test_a_method_is_built_with_what_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        HEAD + "class Method(Base):\n    def __init__(self, spec, *, rate: float, size: tuple[int, ...] = ()):\n"
        "        super().__init__(spec)\n        self.used = (rate, size)\n    def predict(self, *a, **k): ...\n"
    )
    spec = Spec({"image": Modality("image", (3, 8, 8))}, settings={"rate": 1, "size": [2, 3]})
    method = load_method(path, spec)
    assert method.used == (1.0, (2, 3)) and isinstance(method.used[0], float)
    assert method.spec.settings == {"rate": 1.0, "size": (2, 3)}
