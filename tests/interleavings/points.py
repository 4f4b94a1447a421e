"""Points before the statements that touch attributes: where threads meet without a lock between.

The carrier by itself changes turns at locks and threads alone, and whoever reads a field that
another writes is seen only if a lock lies between them. `instrumented` puts a call of `point`
before each statement that reads or writes an attribute, and into each turn of a `while`. Constants
(`PoolState.SERVING`) and what an imported module holds are no attributes in this sense.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from server.simulation import Carrier

NAME = "__point__"
"""What the call is named in the code that has been rewritten."""

QUIET = frozenset({"LOG", "logging"})
"""Whose attributes are nobody's to race for."""


class Muted:
    """While it is open, statements are no points: a judge looks, whom nobody must interrupt."""

    depth = 0

    def __enter__(self) -> None:
        Muted.depth += 1

    def __exit__(self, *_: object) -> None:
        Muted.depth -= 1


def point() -> None:
    """The call that is put in."""
    carrier = Carrier.running
    if carrier is not None and not Muted.depth:
        carrier.point()


def instrumented(tree: ast.Module) -> ast.Module:
    """The module, with its functions' statements preceded by points."""
    imported = {name for node in ast.walk(tree) for name in _imported(node)}
    _Inserter(imported | QUIET).visit(tree)
    return ast.fix_missing_locations(tree)


def _imported(node: ast.AST) -> Iterator[str]:
    """Names of modules and of classes, whose attributes do not change."""
    if isinstance(node, ast.Import):
        yield from ((one.asname or one.name).split(".")[0] for one in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (one.asname or one.name for one in node.names)


class _Inserter(ast.NodeTransformer):
    def __init__(self, constant: set[str] | frozenset[str]) -> None:
        self._constant = constant
        self._in_function = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        before, self._in_function = self._in_function, True
        self.generic_visit(node)
        self._in_function = before
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if self._in_function:
            for field in ("body", "orelse", "finalbody"):
                statements = getattr(node, field, None)
                if isinstance(statements, list) and not isinstance(node, ast.ClassDef):
                    setattr(node, field, list(self._with_points(statements)))
            if isinstance(node, ast.While):
                node.body.insert(0, _call(node.body[0]))
        return node

    def _with_points(self, statements: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in statements:
            if any(self._touches(part) for part in _own_parts(statement)):
                yield _call(statement)
            yield statement

    def _touches(self, part: ast.AST) -> bool:
        """Whether it reads or writes an attribute, nested functions aside."""
        if isinstance(part, ast.Lambda):
            return False
        if isinstance(part, ast.Attribute) and not self._is_constant(part):
            return True
        return any(self._touches(child) for child in ast.iter_child_nodes(part))

    def _is_constant(self, attribute: ast.Attribute) -> bool:
        return isinstance(attribute.value, ast.Name) and attribute.value.id in self._constant


def _own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """What a statement evaluates itself: of a block its head. A bare lock is a point already."""
    if isinstance(statement, ast.If | ast.While):
        yield statement.test
    elif isinstance(statement, ast.For):
        yield statement.iter
    elif isinstance(statement, ast.With):
        heads = (item.context_expr for item in statement.items)
        yield from (head for head in heads if not isinstance(head, ast.Attribute))
    elif not isinstance(
        statement, ast.Try | ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    ):
        yield statement


def _call(where: ast.stmt) -> ast.stmt:
    call = ast.Expr(ast.Call(ast.Name(NAME, ast.Load()), [], []))
    return ast.copy_location(call, where)
