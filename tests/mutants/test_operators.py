"""Each operator changes what it says, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import code
from tests.mutants.mutant import read

CASES: dict[str, tuple[str, list[str]]] = {
    "comparisons": ("return a < b", ["return (a <= b)"]),
    "a chain of comparisons": (
        "return a <= b == c",
        ["return (a < b == c)", "return (a <= b != c)"],
    ),
    "identity": ("return a is None", ["return (a is not None)"]),
    "membership": ("return a not in b", ["return (a in b)"]),
    "and": (
        "return a and b",
        ["return (a or b)", "return (not a) and b", "return a and (not b)"],
    ),
    "not": ("return not a", ["return (a)", "return (None)"]),
    "a decision": ("if a:\n        b()", ["if (not a):\n        b()", "if a:\n        pass"]),
    "a decision of one comparison": ("if a == b: pass", ["if (a != b): pass"]),
    "a filter": (
        "return {x for x in a if x}",
        ["return (None)", "return {x for x in a if (not x)}"],
    ),
    "numbers": ("return 7", ["return (8)", "return (6)"]),
    "fractions": ("return 0.5", ["return (1.5)"]),
    "truths": ("f(wait=True)", ["f(wait=False)", "pass"]),
    "sums": ("return a + b", ["return (a - b)", "return (None)"]),
    "a step": ("a += b", ["a -= b", "pass"]),
    "a call": ("a.append(b)", ["pass"]),
    "an attribute": ("a.b = c", ["pass"]),
    "an element": ("a[b] = c", ["pass"]),
    "a local name": ("a = b", []),
    "del": ("del a[b]", ["pass"]),
    "raise": ("raise a", ["pass"]),
    "return": ("return", ["pass"]),
    "a value": ("return a", ["return (None)"]),
    "two arguments": ("return f(a, b.c, d)", ["return (f(b.c, a, d))", "return (None)"]),
    "arguments in any order": ("return min(a, b)", ["return (None)"]),
    "arguments that differ": ("return f(a, b())", ["return (None)"]),
    "break": ("while True: break", ["while False: break", "while True: continue"]),
    "continue": ("for a in b: continue", ["for a in b: break"]),
    "a lock": (
        "with self.lock:\n        a()",
        ["if True:\n        a()", "with self.lock:\n        pass"],
    ),
    "an error that is passed over": (
        "with contextlib.suppress(OSError):\n        a()",
        ["if True:\n        a()", "with contextlib.suppress(OSError):\n        pass"],
    ),
    "no lock": ("with open(a) as lock: pass", []),
    "a text": ("return 'text'", []),
    "an assert": ("assert a == b", []),
    "the log": ("LOG.error('%d', 1 + 2)", []),
    "a docstring": ("'''text'''", []),
    "types": ("a: Literal[1] = b", []),
}


@pytest.mark.parametrize("what", CASES)
def test_an_operator_changes_what_it_says(what: str) -> None:
    sound, expected = CASES[what]
    text = f"def function():\n    {sound}\n".encode()
    found = [one.applied(text).decode() for one in code.of_text("a", "a.py", text)]
    assert sorted(found) == sorted(f"def function():\n    {one}\n" for one in expected)


def test_what_is_said_to_be_true_or_false_is_told_the_other_way_round() -> None:
    text = b"def is_new() -> bool:\n    return look()\n"
    (only,) = code.of_text("a", "a.py", text)
    assert only.applied(text) == b"def is_new() -> bool:\n    return (not look())\n"


def test_lines_stay_where_they_are() -> None:
    text = b"def function():\n    call(\n        1,\n    )\n    return b\n"
    for one in code.of_text("a", "a.py", text):
        assert one.applied(text).splitlines()[-1].startswith(b"    return")


def test_a_mutant_knows_its_lines_and_whether_it_is_in_a_function() -> None:
    text = b"SIZE = 4\n\ndef function(a=1):\n    if (a\n        and b):\n        c()\n"
    found = {one.name.split(": ", 1)[1]: one for one in code.of_text("a", "a.py", text)}
    size, default = found["4 → (5)"], found["1 → (2)"]
    assert (size.hot, size.lines, size.subject) == (False, (1, 1), ("SIZE",))
    assert (default.hot, default.subject) == (False, ("function",))
    both = found["a and b → (a or b)"]
    assert (both.hot, both.lines) == (True, (4, 5))
    assert found["c() → pass"].lines == (6, 6)


@pytest.mark.parametrize("path", [path for files in code.AREAS.values() for path in files])
def test_every_mutant_of_the_code_is_a_program(path: str) -> None:
    sound = read(path)
    mutants = code.mutants([path])
    assert mutants
    assert len({one.name for one in mutants}) == len(mutants)
    for one in mutants[::40]:
        mutated = one.applied(sound)
        assert mutated != sound
        assert mutated.count(b"\n") == sound.count(b"\n")
        ast.parse(mutated, Path(path).name)
