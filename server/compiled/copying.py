"""What mypyc wants to be told otherwise than Python: done to the copies that are compiled.

Each rule keeps what the text means. Lines keep their numbers, but for those behind a class that
has got events: so a traceback finds its place.

- A constant of a module is Final: then it is no look-up in a dictionary.
- A dataclass has no `slots=True`, which would make a second class of it; one that is not frozen is
  a plain class with the methods that it would get.
- A class that extends a builtin one stays a class of Python's, with compiled methods.
- A pair of host and port is a tuple of anything: else it would be taken apart and made anew at
  every hand-over.
- `Model` declares no state and no birth, for each class below it has its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from statemachine.ahead import maker_name

FUTURE: Final = "from __future__ import annotations"
ATTRIBUTES: Final = "from mypy_extensions import mypyc_attr as mypyc_attr_"
BUILTIN: Final = frozenset({"AssertionError", "threading.local", "list[Worker]"})
OPEN: Final = frozenset({"Model", "JobMachine", "Job"})
"""Classes that others extend which are not compiled."""

MODEL_DECLARES: Final = ("    state: enum.Enum", "    birth: int")


class Copy:
    """One module's text, changed line by line."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._tree = ast.parse(text)
        self._imports: list[str] = []

    def text(self) -> str:
        """All of it, with what was added."""
        # mypyc knows `threading.local` by the module that it comes from.
        told = [
            "import _thread",
            *self._imports,
            "from typing import Any as Any_, Final as Final_",
            ATTRIBUTES,
        ]
        begin = "; ".join(told)
        lines = list(self._lines)
        place = lines.index(FUTURE) if FUTURE in lines else _first_import(self._tree)
        lines[place] = f"{lines[place]}; {begin}"
        return "\n".join(lines)

    def adapt(self) -> None:
        """Apply every rule of this module."""
        for node in self._tree.body:
            if isinstance(node, ast.Assign):
                self._fix(node)
            elif isinstance(node, ast.ClassDef):
                self._adapt_class(node)
        pair, anything = "tuple[str, int]", "tuple[Any_, ...]"
        self._lines = [line.replace(pair, anything) for line in self._lines]

    def give_events(self, name: str, methods: str, states: Iterable[str]) -> None:
        """Write the events at the end of a class."""
        node = self._class(name)
        needed = ", ".join([f"{name}Bound", *sorted(states)])
        self._imports += [
            "from typing import ClassVar as ClassVar_",
            "from statemachine.errors import GuardRefused, IllegalEvent",
            f"from statemachine._bound import {needed}",
        ]
        text = f"bound: {name}Bound\nbound_type: ClassVar_[type[{name}Bound]] = {name}Bound\n\n"
        body = [f"    {line}" if line else "" for line in (text + methods).split("\n")]
        last = node.end_lineno or node.lineno
        # One element of the list of lines, so that the numbers of the tree's nodes stay right.
        self._lines[last - 1] += "\n\n" + "\n".join(body)

    def give_maker(self, name: str) -> None:
        """Write a class's own maker behind it, if the class says itself what it is made of."""
        node = self._class(name)
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                last = node.end_lineno or node.lineno
                self._lines[last - 1] += "\n\n\n" + _maker(name, method.args)

    def _class(self, name: str) -> ast.ClassDef:
        (node,) = [n for n in self._tree.body if isinstance(n, ast.ClassDef) and n.name == name]
        return node

    def _fix(self, node: ast.Assign) -> None:
        """NAME = …, or ONE, TWO = …, …"""
        (target,) = node.targets
        at, end = node.lineno - 1, node.end_lineno or node.lineno
        if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z][A-Z_0-9]+", target.id):
            line = self._lines[at]
            self._lines[at] = line.replace(f"{target.id} =", f"{target.id}: Final_ =", 1)
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=True)
            each = [f"{ast.unparse(one)}: Final_ = {ast.unparse(value)}" for one, value in pairs]
            self._lines[at:end] = ["; ".join(each), *[""] * (end - at - 1)]

    def _adapt_class(self, node: ast.ClassDef) -> None:
        at = node.lineno - 1
        if node.name == "Model":
            self._lines = ["" if line in MODEL_DECLARES else line for line in self._lines]
        if BUILTIN.intersection(map(ast.unparse, node.bases)):
            self._lines[at - 1] = _attribute("native_class=False")
        elif node.name in OPEN:
            self._lines[at - 1] = _attribute("allow_interpreted_subclasses=True")
        for decorator in node.decorator_list:
            told = ast.unparse(decorator)
            if told.startswith("dataclass("):
                frozen = "frozen=True" in told
                self._lines[decorator.lineno - 1] = "@dataclass(frozen=True)" if frozen else ""
                if not frozen:
                    self._be_plain(node)

    def _be_plain(self, node: ast.ClassDef) -> None:
        """In place of what the decorator would add."""
        fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
        for one in fields:
            self._lines[one.lineno - 1] = ""
        pairs = [(ast.unparse(one.target), one) for one in fields]
        taken = ", ".join(
            f"{name}: {ast.unparse(one.annotation)}"
            + (f" = {ast.unparse(one.value)}" if one.value else "")
            for name, one in pairs
        )
        names = [name for name, _ in pairs]
        mine = ", ".join(f"self.{name}" for name in names)
        others = ", ".join(f"other.{name}" for name in names)
        shown = ", ".join(f"{name}={{self.{name}!r}}" for name in names)
        last = node.end_lineno or node.lineno
        self._lines[last - 1] += "\n".join([
            "",
            f"    def __init__(self, {taken}) -> None:",
            *(f"        self.{name} = {name}" for name in names),
            "    def __eq__(self, other: object) -> bool:",
            f"        return isinstance(other, {node.name}) and ({mine},) == ({others},)",
            "    def __repr__(self) -> str:",
            f"        return f'{node.name}({shown})'",
        ])  # fmt: skip


def _maker(name: str, taken: ast.arguments) -> str:
    given = [one.arg for one in taken.args[1:]]
    given += [f"{one.arg}={one.arg}" for one in taken.kwonlyargs]
    return "\n".join([
        f"class {maker_name(name)}:",
        f"    def __init__(self, bound: {name}Bound) -> None:",
        "        self.bound = bound",
        f"    def __call__({ast.unparse(taken)}) -> {name}:",
        f"        made = {name}({', '.join(given)})",
        "        made.bound = self.bound",
        "        return made",
    ])  # fmt: skip


def _attribute(what: str) -> str:
    return f"@mypyc_attr_({what})"


def _first_import(tree: ast.Module) -> int:
    return next(n.lineno for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)) - 1
