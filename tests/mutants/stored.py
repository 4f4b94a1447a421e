"""What earlier runs have found out, kept in .mutants/ as long as it holds.

What was found out of a test holds as long as the code, the spec, what the tests share and the
test's own file stay as they are. So a test that is added or changed costs only its own file anew.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.mutants.mutant import TOP, Mutant
from tests.mutants.recording import Trail, read_back, written

PLACE = TOP / ".mutants"
SHARED = ("spec", "statemachine", "server", "tests")
APART = ("tests/mutants/", "tests/house/", "tests/app/", "tests/frameworks/", "tests/gauntlet/")
"""What no test that meets a mutant has anything to do with."""

TEST = re.compile(r"(?:^|/)test_\w+\.py\Z")


def _files() -> Iterator[Path]:
    for folder in SHARED:
        for path in sorted((TOP / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


@functools.cache
def shared_digest() -> str:
    """Of everything but the tests' own files."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _files():
        name = path.relative_to(TOP).as_posix()
        if not TEST.search(name) and not name.startswith(APART):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def test_digest(file: str) -> str:
    """Of one file of tests, with the files of tests that it imports, and all that tests share."""
    path = TOP / file
    text = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(shared_digest().encode() + text)
    for name in re.findall(rb"from (tests\.\w+\.test_\w+) import", text):
        digest.update((TOP / (name.decode().replace(".", "/") + ".py")).read_bytes())
    return digest.hexdigest()[:24]


class Trails:
    """The trails of tests, a file of them for each file of tests."""

    def __init__(self, place: Path = PLACE) -> None:
        self._place = place / "trails"

    def of(self, file: str) -> dict[str, Trail | None] | None:
        """By test; None for a test that is not fit to be recorded. None: nothing is known."""
        path = self._path(file)
        if not path.is_file():
            return None
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: read_back(text) if text else None for name, text in entries.items()}

    def keep(self, file: str, trails: Mapping[str, Trail | None]) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        for old in self._place.glob(self._stem(file) + "-*.json"):
            old.unlink()
        entries = {name: written(trail) if trail else None for name, trail in trails.items()}
        self._path(file).write_text(json.dumps(entries), encoding="utf-8")

    def _stem(self, file: str) -> str:
        return file.removesuffix(".py").replace("/", ".")

    def _path(self, file: str) -> Path:
        return self._place / f"{self._stem(file)}-{test_digest(file)}.json"


class Verdicts:
    """What became of mutants: lines of a file, of which the last one counts."""

    def __init__(
        self, files: Iterable[str], place: Path = PLACE, *, pains: str = "", again: bool = False
    ) -> None:
        """`files` are those of all tests that could kill, and `pains` what else a survivor has
        survived. `again`: forget what is known.
        """
        self._path = place / "verdicts.jsonl"
        tests = "".join(test_digest(file) for file in sorted(files))
        self._tests = hashlib.sha256((tests + pains).encode()).hexdigest()[:24]
        self._known: dict[str, list[str]] = {}
        if self._path.is_file() and not again:
            for line in self._path.read_text(encoding="utf-8").splitlines():
                key, *rest = json.loads(line)
                self._known[key] = rest

    def of(self, mutant: Mutant) -> tuple[str, str] | None:
        """What became of it, and by what, if that still holds."""
        known = self._known.get(self._key(mutant))
        if known is None:
            return None
        outcome, by, holds = known
        return (outcome, by) if holds == self._holds(outcome, by) else None

    def survived_once(self, mutant: Mutant) -> bool:
        """Whether it survived when it was tried last, whether or not that still holds."""
        known = self._known.get(self._key(mutant))
        return known is not None and known[0] == "survived"

    def keep(self, mutant: Mutant, outcome: str, by: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entry = [self._key(mutant), outcome, by, self._holds(outcome, by)]
        self._known[entry[0]] = entry[1:]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _key(self, mutant: Mutant) -> str:
        told = f"{mutant.area}\0{mutant.name}\0{shared_digest()}".encode() + mutant.new
        return hashlib.sha256(told).hexdigest()[:24]

    def _holds(self, outcome: str, by: str) -> str:
        if outcome == "killed" and by.startswith("tests/"):
            return test_digest(re.split(r"::| \(", by)[0])
        return self._tests if outcome == "survived" else ""
