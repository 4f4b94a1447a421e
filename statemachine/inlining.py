"""Inlining: a guard or an effect of a few plain lines, as text in the event that asks for it.

A call costs more than most guards do. So where a method only reads attributes and says something of
them, or only assigns some, the sealed event has its lines in place of the call:

    def pool_accepts(self) -> bool:             pool_accepts_pool = self.pool
        pool = self.pool                 ──▶    if (pool_accepts_pool.state is ...) == True:
        return pool.state is ...

Nothing is guessed. The text comes from the method's own file, and is taken only if it compiles to
the very code that the method has: a method that was patched, decorated or loaded from another text
is called. Globals keep the values that they have when the class is bound.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import textwrap
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Final

enabled = True
"""Whether anything is inlined. Tools that follow a program line by line set it to False before they
bind: they would never see a guard's own lines."""

STATEMENTS_MAX: Final = 3
SLACK_LINES: Final = 3
"""A method's code may end before its text does: closing brackets have lines of their own."""

PLAIN: Final = (
    *(ast.Assign, ast.Return),
    *(ast.Name, ast.Attribute, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Call),
    *(ast.Tuple, ast.Load, ast.Store, ast.And, ast.Or, ast.Not, ast.cmpop),
)
BOOLEAN: Final = (ast.Is, ast.IsNot, ast.In, ast.NotIn)


@dataclass(frozen=True, slots=True)
class Inlined:
    """`lines` come first; `value` is then what the method returns, as an expression. `is_boolean`:
    it can be nothing but True or False. `names` are what all this refers to.
    """

    lines: tuple[str, ...]
    value: str
    is_boolean: bool
    names: dict[str, object]


def inlined(function: object) -> Inlined | None:
    """The method's text, where it is plain enough; else None."""
    if not enabled or not isinstance(function, FunctionType) or not _takes_itself_alone(function):
        return None
    found = _definition(function.__code__)
    if found is None:
        return None
    body = found.body[1:] if ast.get_docstring(found, clean=False) is not None else found.body
    if not 0 < len(body) <= STATEMENTS_MAX or not all(map(_is_plain, body)):
        return None
    last = body[-1]
    value = (last.value if isinstance(last, ast.Return) else None) or ast.Constant(None)
    before = body[:-1] if isinstance(last, ast.Return) else body
    if not all(isinstance(one, ast.Assign) for one in before):
        return None
    renamer = _Renamer(function)
    try:
        lines = [ast.unparse(renamer.visit(one)) for one in before]
        boolean, text = _is_boolean(value), ast.unparse(renamer.visit(value))
    except LookupError:
        return None
    return Inlined(tuple(lines), text, boolean, renamer.names)


def _takes_itself_alone(function: FunctionType) -> bool:
    code = function.__code__
    return (
        code.co_varnames[:1] == ("self",)
        and (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount) == (1, 0, 0)
        and not code.co_freevars
        and not code.co_cellvars
    )


def _definition(code: CodeType) -> ast.FunctionDef | None:
    """The `def` that has this code, from its file; None if the file has another."""
    first = code.co_firstlineno
    last = max((line for *_, line in code.co_lines() if line is not None), default=first)
    lines = linecache.getlines(code.co_filename)
    for end in range(last, last + SLACK_LINES):
        text = textwrap.dedent("".join(lines[first - 1 : end]))
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.FunctionDef):
            made = _code_of(tree, code.co_filename)
            return tree.body[0] if made is not None and _are_same(made, code) else None
        return None
    return None


def _code_of(tree: ast.Module, file: str) -> CodeType | None:
    module = compile(tree, file, "exec", dont_inherit=True)
    found = [one for one in module.co_consts if isinstance(one, CodeType)]
    return found[0] if len(found) == 1 else None


def _are_same(one: CodeType, other: CodeType) -> bool:
    return (one.co_code, one.co_consts, one.co_names, one.co_varnames) == (
        *(other.co_code, other.co_consts, other.co_names, other.co_varnames),
    )


def _is_plain(node: ast.AST) -> bool:
    """Whether it is made of nothing that means something else in another function."""
    for one in ast.walk(node):
        if not isinstance(one, PLAIN):
            return False
        if isinstance(one, ast.Attribute) and one.attr.startswith("__"):
            return False  # in a class it is another name
    return True


def _is_boolean(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(map(_is_boolean, node.values))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Compare):
        return all(isinstance(one, BOOLEAN) for one in node.ops)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bool"


class _Renamer(ast.NodeTransformer):
    """Gives a method's names the method's name before them. LookupError for one that it has not."""

    def __init__(self, function: FunctionType) -> None:
        self.names: dict[str, object] = {}
        self._method = function.__name__
        self._locals = function.__code__.co_varnames[1:]
        self._globals = function.__globals__

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id == "self":
            return node
        name = f"{self._method}_{node.id}"
        if node.id not in self._locals:
            if node.id in self._globals:
                self.names[name] = self._globals[node.id]
            else:
                self.names[name] = vars(builtins)[node.id]
        return ast.Name(name, node.ctx)
