"""A small language for what a claim compares and when it holds: parsed by `ast`, never evaluated as Python.

`ours` of a part is arithmetic over numbers of the results::

    value("mt_diffusion", "accuracy")              a method's metric in the case that is tested
    value("mt_diffusion", "miou", task="from_image")     the same in the only case of another task
    best("precision@k5[...]", by="fd[...]")        the baseline with the best mean of `by`, or else of the metric itself
    ratio(a, b)                                    a / b; as the whole of `ours`, its interval is that of its logarithm

`holds` is a comparison of `ours` with constants, such as `ours <= 1 + margin` or `0 < ours < margin`.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmbench.errors import UserError, near

OURS, MARGIN = "ours", "margin"
FUNCTIONS = {"value": ("method", "metric"), "best": ("metric",), "ratio": ("a number", "another")}
KEYWORDS: dict[str, tuple[str, ...]] = {"value": ("task",), "best": ("by", "task"), "ratio": ()}
OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Number:
    """A number of the results that an expression asks for.

    Attributes:
        method: the method; None for the best baseline.
        by: the metric by which the best baseline is chosen; None for `metric`.
        task: the task whose only case has the number; None for the case that is tested.
    """

    method: str | None
    metric: str
    by: str | None = None
    task: str | None = None


Run = Callable[[Mapping[Number, float]], float]


@dataclass(frozen=True)
class Formula:
    """A parsed `ours`.

    Attributes:
        text: the expression as it was written.
        numbers: the numbers that it asks for.
        logarithmic: whether the whole expression is a ratio.
        run: computes its value from these numbers; ZeroDivisionError if it divides by 0.
    """

    text: str
    numbers: tuple[Number, ...]
    logarithmic: bool
    run: Run


@dataclass(frozen=True)
class Bounds:
    """A parsed `holds`: the range of values at which a claim holds, without the ends that are open."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def contain(self, low: float, high: float) -> bool:
        """Whether the claim holds at every value from `low` to `high`."""
        above = low > self.low or (low == self.low and not self.low_open)
        below = high < self.high or (high == self.high and not self.high_open)
        return above and below

    def miss(self, low: float, high: float) -> bool:
        """Whether the claim holds at no value from `low` to `high`."""
        under = high < self.low or (high == self.low and self.low_open)
        over = low > self.high or (low == self.high and self.high_open)
        return under or over


def parse(text: str, where: str) -> ast.expr:
    """The syntax tree of an expression; UserError names `where`, the column and what is wrong."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise UserError(f"{where}: column {error.offset or 1}: {error.msg}; correct the expression {text!r}") from None
    except (ValueError, MemoryError, RecursionError):
        raise UserError(f"{where}: {text!r} cannot be read; use plain characters and fewer brackets") from None


def wrong(where: str, node: ast.AST, message: str) -> UserError:
    """An error at a node's column, counted from 1."""
    return UserError(f"{where}: column {getattr(node, 'col_offset', 0) + 1}: {message}")


def parse_formula(text: str, where: str) -> Formula:
    """Read `ours`; UserError if it is not an expression of this language, or asks for no number of the results."""
    tree = parse(text, where)
    numbers: list[Number] = []
    run = _arithmetic(tree, where, numbers)
    if not numbers:
        raise UserError(f"{where}: {text!r} asks for no result; compare value(method, metric) with something")
    whole = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "ratio"
    return Formula(text, tuple(dict.fromkeys(numbers)), whole, run)


def _arithmetic(node: ast.expr, where: str, numbers: list[Number], margin: float | None = None) -> Run:
    """A function that computes a node's value; the numbers that the node asks for are added to `numbers`."""
    if isinstance(node, ast.Name) and node.id == MARGIN and margin is not None:
        return lambda _: margin
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        constant = _finite(node, where)
        return lambda _: constant
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner, sign = _arithmetic(node.operand, where, numbers, margin), -1 if isinstance(node.op, ast.USub) else 1
        return lambda known: sign * inner(known)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = (_arithmetic(side, where, numbers, margin) for side in (node.left, node.right))
        combine = OPERATORS[type(node.op)]
        return lambda known: combine(left(known), right(known))
    if isinstance(node, ast.Call):
        return _call(node, where, numbers, margin)
    shown = ast.unparse(node)
    raise wrong(where, node, f"{shown!r} is not known here; write numbers, + - * / and {', '.join(FUNCTIONS)}")


def _finite(node: ast.Constant, where: str) -> float:
    """A constant as a float; 1e999 and a whole number of 400 digits are too large."""
    try:
        value = float(node.value)  # type: ignore[arg-type]
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise wrong(where, node, "the number is too large; write a smaller one")
    return value


def _call(node: ast.Call, where: str, numbers: list[Number], margin: float | None) -> Run:
    name = ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise wrong(where, node, f"'{name}' does not exist{near(name, FUNCTIONS)}; there are {', '.join(FUNCTIONS)}")
    wanted, options = FUNCTIONS[name], KEYWORDS[name]
    if len(node.args) != len(wanted) or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise wrong(where, node, f"{name} takes {len(wanted)}: write {name}({', '.join(wanted)})")
    words = {}
    for keyword in node.keywords:
        if keyword.arg not in options or keyword.arg in words:
            raise wrong(where, keyword.value, f"{name} takes {' and '.join(options) or 'nothing'} by name, each once")
        words[keyword.arg] = _text(keyword.value, where)
    if name == "ratio":
        above, below = (_arithmetic(argument, where, numbers, margin) for argument in node.args)
        return lambda known: above(known) / below(known)
    names = [_text(argument, where) for argument in node.args]
    method = names[0] if name == "value" else None
    number = Number(method, names[-1], words.get("by"), words.get("task"))
    numbers.append(number)
    return lambda known: known[number]


def _text(node: ast.expr, where: str) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or not node.value:
        raise wrong(where, node, f"{ast.unparse(node)!r} is no name; write it in quotes")
    return node.value


def parse_bounds(text: str, where: str, margin: float | None) -> Bounds:
    """Read `holds`, in which the word `margin` stands for the margin.

    Raises:
        UserError: it is not a comparison of `ours` with constants, it can never hold, or a margin is given without
            being used, or used without being given.
    """
    tree = parse(text, where)
    if not isinstance(tree, ast.Compare) or not all(
        isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in tree.ops
    ):
        raise wrong(where, tree, f"{text!r} does not compare by < <= > or >=; write it like ours < 1")
    sides, ends, used = [tree.left, *tree.comparators], {}, False
    for left, comparison, right in zip(sides, tree.ops, sides[1:], strict=False):
        if _is_ours(left) == _is_ours(right):
            raise wrong(where, left, "one side must be ours, the other a constant; write it like 0.9 <= ours <= 1.1")
        value, uses = _constant(left if _is_ours(right) else right, where, margin)
        used |= uses
        above = isinstance(comparison, ast.Gt | ast.GtE) == _is_ours(left)
        if above in ends:
            raise wrong(where, left, f"{text!r} has two {'lower' if above else 'upper'} ends; write one")
        ends[above] = value, isinstance(comparison, ast.Lt | ast.Gt)
    if (margin is not None) != used:
        raise UserError(f"{where}: {text!r} and margin do not go together; give a margin and use it, or do neither")
    (low, low_open), (high, high_open) = ends.get(True, (-math.inf, True)), ends.get(False, (math.inf, True))
    if low > high or (low == high and (low_open or high_open)):
        raise UserError(f"{where}: {text!r} can never hold; exchange its ends")
    return Bounds(text, low, high, low_open, high_open)


def _is_ours(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == OURS


def _constant(node: ast.expr, where: str, margin: float | None) -> tuple[float, bool]:
    """The value of a bound, and whether it uses the margin."""
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    for name in names:
        if name.id != MARGIN or margin is None:
            raise wrong(where, name, f"'{name.id}' is no constant here; write a number, or margin and give its value")
    try:
        return _arithmetic(node, where, [], margin)({}), bool(names)
    except (ZeroDivisionError, OverflowError):
        raise wrong(where, node, "the bound divides by 0 or is too large; write another") from None
