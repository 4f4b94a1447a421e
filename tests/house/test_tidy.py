"""The house's manners, as docs and style promise them: sizes, names, words and places."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import TOP, Source, sources, tracked

LINE_MAX = 100
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
NESTING_MAX = 4
PARAMETERS_MAX = 6
BANNED_STEMS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc", "tools"}
SPLIT = "-"
"""Written into the words looked for, so that this file does not hold them itself."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(SPLIT, ""))


UNFINISHED = _pattern(r"\b(TO-DO|FIX-ME|X-XX|HA-CK)\b|NotImplemented-Error")
A_MACHINE_S_PATH = _pattern(r"(?<![\w./])(/ho-me/\w|/ro-ot\b|/Us-ers/\w|/wo-rk\b|C:\\Us-ers)")
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)

each = pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
product = pytest.mark.parametrize(
    "source", sources("server", "statemachine", "benchmarks"), ids=lambda source: source.name
)


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


@each
def test_lines_are_short(source: Source) -> None:
    """A mark for a tool at a line's end does not count: it must stand on that line."""
    lines = (re.split(r"  # (noqa|type): ", line)[0] for line in source.text.splitlines())
    assert [n for n, line in enumerate(lines, 1) if len(line) > LINE_MAX] == []


@product
def test_modules_are_short(source: Source) -> None:
    assert len(source.text.splitlines()) <= MODULE_LINES_MAX


@each
def test_functions_are_short(source: Source) -> None:
    long = [f.name for f in functions(source) if _length(f) > FUNCTION_LINES_MAX]
    assert long == []


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@product
def test_functions_take_few_parameters(source: Source) -> None:
    many = [f.name for f in functions(source) if _parameters(f) > PARAMETERS_MAX]
    assert many == []


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*function.args.posonlyargs, *function.args.args]
    # The keywords of a constructor are settings, each with a name at the call and a default.
    if function.name != "__init__":
        given += function.args.kwonlyargs
    return len([argument for argument in given if argument.arg not in ("self", "cls")])


@product
def test_blocks_are_not_nested_deep(source: Source) -> None:
    deep = [function.name for function in functions(source) if _depth(function) > NESTING_MAX]
    assert deep == []


def _depth(node: ast.AST) -> int:
    """How many blocks are open at the deepest place. An `elif` opens no further one."""
    inner = 0
    for child in ast.iter_child_nodes(node):
        chained = isinstance(node, ast.If) and [child] == node.orelse and isinstance(child, ast.If)
        inner = max(inner, _depth(child) - chained)
    return inner + isinstance(node, BLOCKS)


@each
def test_names_say_what_a_thing_is(source: Source) -> None:
    assert not set(source.module.split(".")) & BANNED_STEMS
    names = [n.name for n in ast.walk(source.tree) if isinstance(n, ast.ClassDef)]
    assert not [name for name in names if re.search(r"(Manager|Helper|Util|Utils|Base)\Z", name)]


@product
def test_every_public_thing_says_what_it_means(source: Source) -> None:
    silent = [node.name for node in _public(source.tree) if not ast.get_docstring(node)]
    assert silent == []


def _public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.ClassDef
    return [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]


@product
def test_everything_is_annotated(source: Source) -> None:
    bare = [
        f"{function.name}({argument.arg})"
        for function in functions(source)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.annotation is None and argument.arg not in ("self", "cls")
    ]
    assert bare + [f.name for f in functions(source) if f.returns is None] == []


def _texts() -> list[Path]:
    binary = {".png", ".ico", ".jpg", ".gz", ".whl", ".woff2"}
    return [path for path in tracked() if path.suffix not in binary]


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in _texts():
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(TOP)}:{number}: {line.strip()[:80]}")
    return found


def test_nothing_is_left_unfinished() -> None:
    assert _lines_with(UNFINISHED) == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    assert _lines_with(A_MACHINE_S_PATH) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (UNFINISHED, "# TO-DO: later"),
        (UNFINISHED, "raise NotImplemented-Error"),
        (A_MACHINE_S_PATH, "cd /ho-me/someone/project"),
        (A_MACHINE_S_PATH, "open('/wo-rk/main/x')"),
        (A_MACHINE_S_PATH, "PATH=/ro-ot/.cache"),
    ],
)
def test_the_searches_find_what_they_look_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line.replace(SPLIT, ""))
    assert not pattern.search(line)


@pytest.mark.parametrize("line", ["GET /home HTTP/1.1", "/worker", "see https://a.example/work"])
def test_the_searches_leave_other_lines_alone(line: str) -> None:
    assert not A_MACHINE_S_PATH.search(line)


def test_no_python_lives_among_the_data() -> None:
    """`html` is a standard package too: a module there would hide it."""
    assert [p for folder in ("html", "spec") for p in (TOP / folder).rglob("*.py")] == []


def test_every_suppressed_warning_says_why() -> None:
    """`noqa` names its rule; in the product it says why, too."""
    for source in sources("server", "statemachine"):
        for number, line in enumerate(source.text.splitlines(), 1):
            if "# noqa" in line:
                place = f"{source.name}:{number}"
                assert re.search(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w+", line), place
