"""The operators: what may be wrong with one expression or statement of Python.

Each node of the syntax tree gives some changes of its own text. Left alone are: what is logged,
asserts (by the house's rule nothing relies on them), annotations, docstrings and other texts, and
what only a type checker reads.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
REVERSED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons whose mutant is their negation, so that an `if` of one needs no other negation."""

COUNTED: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.FloorDiv(),
    ast.FloorDiv: ast.Mult(),
    ast.Div: ast.Mult(),
    ast.BitOr: ast.BitAnd(),
    ast.BitAnd: ast.BitOr(),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A node, and what stands in its place. `header`: only a block's first line is replaced."""

    kind: str
    node: ast.AST
    new: str
    header: bool = False


def changes(node: ast.AST, *, returns: ast.expr | None) -> Iterator[Change]:
    """Every change of this very node, not of what is below it.

    `returns` is the annotation of the function around it.
    """
    operator = OPERATORS.get(type(node))
    if operator is not None:
        yield from operator(node)
    if isinstance(node, ast.Return):
        yield from _returned(node, returns)


def is_left_alone(node: ast.AST) -> bool:
    """Whether the node, and all that is below it, is not mutated."""
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.match_case):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    if isinstance(node, ast.Expr):
        value = node.value
        return isinstance(value, ast.Constant) or ast.unparse(value).startswith("LOG.")
    return False


def _expression(kind: str, node: ast.expr, changed: ast.expr) -> Change:
    return Change(kind, node, f"({ast.unparse(changed)})")


def _comparison(node: ast.Compare) -> Iterator[Change]:
    for index, op in enumerate(node.ops):
        changed = copy.deepcopy(node)
        changed.ops[index] = COMPARED[type(op)]
        yield _expression("comparison", node, changed)


def _logic(node: ast.BoolOp) -> Iterator[Change]:
    changed = copy.deepcopy(node)
    changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield _expression("and, or", node, changed)
    for operand in node.values:
        if isinstance(operand, ast.Name | ast.Attribute | ast.Call):
            yield _expression("negation", operand, _negated(operand))


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)


def _not(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield _expression("negation", node, node.operand)


def _test(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    yield from _decision(node.test)


def _filter(node: ast.comprehension) -> Iterator[Change]:
    for one in node.ifs:
        yield from _decision(one)


def _decision(test: ast.expr) -> Iterator[Change]:
    """A decision taken the other way round, unless another operator does that already."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], REVERSED):
        return
    if isinstance(test, ast.Constant):
        return
    yield _expression("negation", test, _negated(test))


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield Change("constant", node, repr(not value))
    elif isinstance(value, int):
        yield Change("constant", node, f"({value + 1})")
        yield Change("constant", node, f"({value - 1})")
    elif isinstance(value, float):
        yield Change("constant", node, f"({value + 1.0})")


def _arithmetic(node: ast.BinOp) -> Iterator[Change]:
    if type(node.op) in COUNTED:
        changed = copy.deepcopy(node)
        changed.op = COUNTED[type(node.op)]
        yield _expression("arithmetic", node, changed)


def _step(node: ast.AugAssign) -> Iterator[Change]:
    yield Change("deleted statement", node, "pass")
    if type(node.op) in COUNTED:
        changed = copy.deepcopy(node)
        changed.op = COUNTED[type(node.op)]
        yield Change("arithmetic", node, ast.unparse(changed))


def _call(node: ast.Call) -> Iterator[Change]:
    """Two arguments that look alike, the wrong way round."""
    plain = ast.Name | ast.Attribute
    if ast.unparse(node.func) in ("min", "max"):
        return
    if len(node.args) >= 2 and all(isinstance(one, plain) for one in node.args[:2]):
        changed = copy.deepcopy(node)
        changed.args[:2] = reversed(changed.args[:2])
        yield _expression("swapped arguments", node, changed)


def _deleted(node: ast.stmt) -> Iterator[Change]:
    yield Change("deleted statement", node, "pass")


def _deleted_assignment(node: ast.Assign) -> Iterator[Change]:
    """A name that is never assigned fails at its first use, which proves little."""
    if any(
        isinstance(part, ast.Attribute | ast.Subscript)
        for one in node.targets
        for part in ast.walk(one)
    ):
        yield Change("deleted statement", node, "pass")


def _raised(node: ast.Raise) -> Iterator[Change]:
    yield Change("deleted statement", node, "pass")


def _returned(node: ast.Return, returns: ast.expr | None) -> Iterator[Change]:
    value = node.value
    if value is None:
        yield Change("deleted statement", node, "pass")
    elif isinstance(value, ast.Compare | ast.BoolOp | ast.Constant):
        return
    elif isinstance(returns, ast.Name) and returns.id == "bool":
        if not isinstance(value, ast.UnaryOp):
            yield _expression("returned value", value, _negated(value))
    else:
        yield Change("returned value", value, "(None)")


def _break(node: ast.Break) -> Iterator[Change]:
    yield Change("break, continue", node, "continue")


def _continue(node: ast.Continue) -> Iterator[Change]:
    yield Change("break, continue", node, "break")


def _with(node: ast.With) -> Iterator[Change]:
    """A lock that is not taken, an error that is not passed over."""
    (first, *others) = node.items
    if others or first.optional_vars is not None:
        return
    text = ast.unparse(first.context_expr)
    if text.rsplit(".", 1)[-1].strip("_") == "lock":
        yield Change("deleted lock", node, "if True", header=True)
    elif "suppress(" in text:
        yield Change("deleted suppress", node, "if True", header=True)


OPERATORS: dict[type[ast.AST], Callable[..., Iterator[Change]]] = {
    ast.Compare: _comparison,
    ast.BoolOp: _logic,
    ast.UnaryOp: _not,
    ast.If: _test,
    ast.While: _test,
    ast.IfExp: _test,
    ast.comprehension: _filter,
    ast.Constant: _constant,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _step,
    ast.Call: _call,
    ast.Expr: _deleted,
    ast.Delete: _deleted,
    ast.Assign: _deleted_assignment,
    ast.Raise: _raised,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.With: _with,
}
