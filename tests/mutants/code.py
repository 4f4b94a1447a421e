"""Mutants of the code: every operator at every place of the modules that are listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.mutants.mutant import Mutant, numbered, read
from tests.mutants.operators import Change, changes, is_left_alone

AREAS: dict[str, tuple[str, ...]] = {
    "statemachine": tuple(
        f"statemachine/{name}.py"
        for name in ("loader", "checks", "machine", "sealing", "words", "trace")
    ),
    "net": tuple(
        f"server/net/{name}.py"
        for name in (
            *(
                "pool",
                "worker",
                "crew",
                "sleepers",
                "reactor",
                "idle",
                "connection",
                "reading",
            ),
            *("sending", "exchange", "poller", "timers", "deadlines", "pipe", "listener"),
        )
    ),
    "http1": tuple(
        f"server/http1/{name}.py"
        for name in (
            *("reader", "grammar", "framing", "chunked", "lines", "buffer", "head", "target"),
            *("fields", "persistence", "writer"),
        )
    ),
    "baton": ("server/net/baton.py",),
    "meter": ("server/net/meter.py",),
    "app": ("server/app/shelf.py",),
    "processes": tuple(
        f"server/processes/{name}.py"
        for name in (
            *("parent", "fleet", "process", "accounts", "board", "channel", "settings", "sharing"),
        )
    ),
    "ledger": ("server/ledger.py",),
    "supervisor": ("server/supervisor.py",),
}
SNIPPET_MAX = 70
Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutants(paths: Sequence[str] = ()) -> list[Mutant]:
    """All of them, or those of some files, in the order of the text."""
    return [
        mutant
        for area, files in AREAS.items()
        for path in files
        if not paths or path in paths
        for mutant in of_text(area, path, read(path))
    ]


def of_text(area: str, path: str, text: bytes) -> list[Mutant]:
    """All mutants of one module's text."""
    walk = _Walk(area, path, text)
    walk.below(ast.parse(text), _Place())
    return numbered(walk.found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: in which function or class, in which statement, in whose body."""

    names: tuple[str, ...] = ()
    statement: ast.stmt | None = None
    hot: bool = False
    returns: ast.expr | None = None


@dataclass
class _Walk:
    area: str
    path: str
    text: bytes
    found: list[Mutant] = field(default_factory=list)
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = [0]
        for line in self.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def below(self, node: ast.AST, place: _Place) -> None:
        for child, inside in _children(node, place):
            if is_left_alone(child):
                continue
            where = _entered(child, inside)
            for change in changes(child, returns=where.returns):
                self.note(change, where)
            self.below(child, where)

    def note(self, change: Change, place: _Place) -> None:
        node = change.node
        if isinstance(node, ast.Assign | ast.AnnAssign) and place.names[-1:] == ("__init__",):
            return  # an attribute that is never there fails at its first use, which proves little
        start, end = self.offset(node), self.offset(node, end=True)
        if change.header:
            assert isinstance(node, ast.With)
            end = self.offset(node.items[-1].context_expr, end=True)
        old = self.text[start:end]
        new = change.new.encode()
        padding = b"\n" * (old.count(b"\n") - new.count(b"\n"))
        # Within brackets a line's end is nothing; after a statement it is another empty line.
        padded = new[:-1] + padding + b")" if new.endswith(b")") else new + padding
        self.found.append(
            Mutant(
                area=self.area,
                name=f"{self.path} {self._title(place)}: {_short(old)} → {_short(new)}",
                kind=change.kind,
                path=self.path,
                start=start,
                end=end,
                new=padded,
                lines=self._lines(node, place),
                hot=place.hot,
                subject=_assigned(place.statement) if not place.hot else (),
            )
        )

    def _title(self, place: _Place) -> str:
        return ".".join(place.names) or "(module)"

    def _lines(self, node: ast.AST, place: _Place) -> tuple[int, int]:
        first, last = node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]
        statement = place.statement
        if statement is None or isinstance(statement, Function | ast.ClassDef):
            return first, last
        body = getattr(statement, "body", None)
        if isinstance(body, list):  # a block: what tells is its first line
            return statement.lineno, max(statement.lineno, body[0].lineno - 1)
        return min(first, statement.lineno), max(last, statement.end_lineno or last)

    def offset(self, node: ast.AST, *, end: bool = False) -> int:
        if end:
            line, column = node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
        else:
            line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        return self.starts[int(line) - 1] + int(column)


def _children(node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
    """What is below a node and may be mutated, each with its place."""
    if isinstance(node, Function):
        outside = _Place(place.names, node, hot=len(place.names) > 1 and place.hot)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                yield default, outside
        for statement in node.body:
            yield statement, _Place(place.names, statement, hot=True, returns=node.returns)
        return
    left = [getattr(node, "annotation", None), *getattr(node, "decorator_list", ())]
    for child in ast.iter_child_nodes(node):
        if child in left or isinstance(child, ast.expr_context):
            continue
        yield child, place


def _entered(node: ast.AST, place: _Place) -> _Place:
    names, statement = place.names, place.statement
    if isinstance(node, Function | ast.ClassDef):
        names = (*names, node.name)
    if isinstance(node, ast.stmt):
        statement = node
    return _Place(names, statement, place.hot, place.returns)


def _assigned(statement: ast.stmt | None) -> tuple[str, ...]:
    """The names that a statement outside of functions gives."""
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, Function | ast.ClassDef):
        return (statement.name,)
    else:
        return ()
    return tuple(n.id for one in targets for n in ast.walk(one) if isinstance(n, ast.Name))


def _short(text: bytes) -> str:
    plain = " ".join(text.decode().split())
    return plain if len(plain) <= SNIPPET_MAX else plain[: SNIPPET_MAX - 1] + "…"
