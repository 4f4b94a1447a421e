"""docs/conformance.md from requirements.toml and from the marks of the tests.

`python -m tests.http1.conformance` writes the page; `--check` writes nothing and says what is
wrong: a requirement that is kept and has no test, a mark that names no known section, a file that
is not there, a pattern that no test fits, a page that is not the present one.

Marks are read from the text of the tests, so that nothing is imported: `@pytest.mark.rfc("…")` on a
test, and "rfc" in the expectations of the corpus.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[2]
TESTS: Final = TOP / "tests"
PAGE: Final = TOP / "docs" / "conformance.md"
DATA: Final = Path(__file__).with_name("requirements.toml")

LEVELS: Final = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
VERDICTS: Final = ("kept", "refused", "not_applicable")
STUDY_RULES: Final = 106
NAMED_MAX: Final = 3
"""Tests that a line of the page names; of more it tells how many."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One line of requirements.toml, which says what each part means."""

    id: str
    level: str
    says: str
    verdict: str
    kept_in: str = ""
    why: str = ""
    tests: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """`9112-2.2` of `9112-2.2-bare-lf`."""
        return "-".join(self.id.split("-")[:2])


@dataclass(frozen=True)
class Conformance:
    """All that is known: the requirements, the study's rules, and each test with its marks."""

    requirements: tuple[Requirement, ...]
    sections: Mapping[str, str]
    study: Mapping[str, str]
    marks: Mapping[str, frozenset[str]]

    @cached_property
    def by_id(self) -> dict[str, Requirement]:
        return {one.id: one for one in self.requirements}

    def tests_of(self, requirement: Requirement) -> list[str]:
        """The tests that are marked with it, and those that its patterns name."""
        return sorted(
            name
            for name, marks in self.marks.items()
            if requirement.id in marks
            or any(fnmatchcase(name, pattern) for pattern in requirement.tests)
        )

    def faults(self) -> Iterator[str]:
        """What is wrong, one line each."""
        yield from self._wrong_marks()
        for requirement in self.requirements:
            yield from (f"{requirement.id}: {fault}" for fault in self._wrong_in(requirement))
        yield from self._wrong_in_study()

    def _wrong_marks(self) -> Iterator[str]:
        for one, times in Counter(one.id for one in self.requirements).items():
            if times > 1:
                yield f"{one}: there are {times} of it"
        known = set(self.by_id) | {one.section for one in self.requirements} | set(self.sections)
        for name, marks in sorted(self.marks.items()):
            for mark in sorted(marks - known):
                yield f"{name}: is marked {mark}, which is no section or id of {DATA.name}"

    def _wrong_in(self, requirement: Requirement) -> Iterator[str]:
        if not re.fullmatch(r"(91\d\d|6265)-\d+(\.\d+)*(-[a-z0-9-]+)?", requirement.id):
            yield "its id is not RFC-section or RFC-section-word"
        if requirement.level not in LEVELS or requirement.verdict not in VERDICTS:
            yield f"is {requirement.level}, {requirement.verdict}"
        kept = requirement.verdict == "kept"
        if kept != bool(requirement.kept_in) or kept == bool(requirement.why):
            yield "a kept one has kept_in, any other one has its why"
        if kept and not (TOP / requirement.kept_in).is_file():
            yield f"there is no {requirement.kept_in}"
        if kept and not self.tests_of(requirement):
            yield "is kept and has no test"
        for pattern in requirement.tests:
            if not any(fnmatchcase(name, pattern) for name in self.marks):
                yield f"no test fits {pattern}"

    def _wrong_in_study(self) -> Iterator[str]:
        numbers = [int(rule.partition("-")[0]) for rule in self.study]
        if numbers != list(range(1, STUDY_RULES + 1)):
            yield f"the study's rules are not numbered 1 to {STUDY_RULES}"
        sources = "\n".join(path.read_text() for path in sorted((TOP / "server").rglob("*.py")))
        for rule, where in self.study.items():
            reason, _, what = where.partition(": ")
            if not what and where not in self.by_id and where not in REASONS:
                yield f"rule {rule}: {where} is no requirement and no reason"
            if where in self.by_id and self.by_id[where].verdict != "kept":
                yield f"rule {rule}: {where} is not kept, and the page says that all are"
            if reason == "never" and is_sent(what.split(",")[0], sources):
                yield f"rule {rule}: the server does send {what}"


REASONS: Final = ("no HTTP/2",)
"""Reasons why a rule of the study does not concern this server that need no further word."""


def is_sent(what: str, sources: str) -> bool:
    """Whether the text of the server sends a field of this name, or a response of this status."""
    if what.isdecimal():
        return bool(re.search(rf"(Response\(|error_response\(|Refused\(|status=){what}\b", sources))
    return bool(re.search(rf'\("{what}",', sources))


def load() -> Conformance:
    """Read requirements.toml and the marks of all tests."""
    data = tomllib.loads(DATA.read_text())
    rows = [
        Requirement(**{**row, "tests": tuple(row.get("tests", ()))}) for row in data["requirements"]
    ]
    return Conformance(tuple(rows), data["sections"], data["study"], dict(_marks()))


def _marks() -> Iterator[tuple[str, frozenset[str]]]:
    """Each test and each file of the corpus, by its name below tests/, with its marks."""
    for path in sorted((TESTS / "corpus").glob("*/*.json")):
        expected = json.loads(path.read_text())
        name = path.relative_to(TESTS).with_suffix("").as_posix()
        yield name, frozenset({expected["rfc"]})
    for path in sorted(TESTS.rglob("test_*.py")):
        place = path.relative_to(TESTS).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{place}::{node.name}", frozenset(_marks_on(node))


def _marks_on(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="rfc"), args=[ast.Constant(value=str(section))]):
                yield section.replace(" ", "-")


HEAD: Final = """\
# Conformance

What RFC 9110 (semantics), RFC 9111 (caching) and RFC 9112 (HTTP/1.1) ask of an origin server, where
it is kept, and which tests hold us to it. `make conformance` writes this page from
[requirements.toml](../tests/http1/requirements.toml) and from the marks of the tests; a test fails
where a kept requirement has no test, or this page is not the present one.

The list was written by hand, from knowledge of the RFCs and with the study below; it was not taken
from them section by section, and may lack some. Requirements on clients, caches and proxies are
left out, and so are permissions that we neither use nor decline. What is listed under a line is
tested by that line's tests, and no further than they go.

"""

STUDY: Final = """
## The rules of the conformance study

Jannis Rautenstrauch and Ben Stock, *Who's Breaking the Rules? Studying Conformance to the HTTP
Specifications and its Security Impact*, ASIA CCS 2024, took 106 rules from the specifications and
tested servers by them. This is how each of them is met here, in the order and by the names of
`testcases.py` in the repository of the study (cispa/http-conformance). It is a list of ours, by
reading their rules; their tests have not been run against this server.

"""


def page(conformance: Conformance) -> str:
    """The text of docs/conformance.md."""
    count = Counter(one.verdict for one in conformance.requirements)
    lines = [
        f"Of {len(conformance.requirements)} requirements, {count['kept']} are kept,",
        f"{count['refused']} are refused for a reason, and {count['not_applicable']} do not apply.",
        "",
        "| id | level | an origin server is to | kept in | tests |",
        "|---|---|---|---|---|",
        *(_line(one, conformance) for one in conformance.requirements),
    ]
    return HEAD + "\n".join(lines) + "\n" + STUDY + "\n".join(_study(conformance)) + "\n"


def _line(one: Requirement, conformance: Conformance) -> str:
    where = f"[{Path(one.kept_in).name}](../{one.kept_in})" if one.kept_in else ""
    where = where or f"**{one.verdict.replace('_', ' ')}**: {one.why}"
    says = one.says.replace("|", "\\|")
    tests = _named(conformance.tests_of(one))
    return f"| {one.id} | {one.level} | {says} | {where} | {tests} |"


def _named(tests: list[str]) -> str:
    """The tests by name, or how many there are in each file."""
    short = [re.sub(r"^(corpus/|.*::test_)", "", name) for name in tests]
    if len(tests) <= NAMED_MAX:
        return ", ".join(f"`{name}`" for name in short)
    places = Counter(re.sub(r"::.*|(?<=valid)/.*", "", name) for name in tests)
    return ", ".join(f"{times} in `{place}`" for place, times in sorted(places.items()))


def _study(conformance: Conformance) -> Iterator[str]:
    met = sum(where in conformance.by_id for where in conformance.study.values())
    yield f"{met} of the {len(conformance.study)} rules are requirements above, all of them kept;"
    yield f"{len(conformance.study) - met} are about what this server never sends or speaks."
    yield ""
    yield "| rule | name | here |"
    yield "|---|---|---|"
    for rule, where in conformance.study.items():
        number, _, name = rule.partition("-")
        yield f"| {number} | {name} | {_here(where)} |"


def _here(where: str) -> str:
    reason, _, what = where.partition(": ")
    if reason == "never":
        return f"not applicable: never sends {what}"
    if reason == "sets":
        return f"not applicable: {what} is what the configuration says, letter by letter"
    return where if where[0].isdigit() else f"not applicable: {where}"


def faults_of(conformance: Conformance) -> list[str]:
    """All that `--check` finds."""
    faults = list(conformance.faults())
    if not PAGE.is_file() or PAGE.read_text() != page(conformance):
        faults.append(f"docs/{PAGE.name} is not the present one: make conformance")
    return faults


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="What the RFCs ask, and where it is kept.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is wrong")
    options = parser.parse_args()
    conformance = load()
    faults = list(conformance.faults())
    if options.check:
        faults = faults_of(conformance)
    elif not faults:
        PAGE.write_text(page(conformance))
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
