"""What happens in a process that was forked for one mutant: it is planted, and tests run.

The child tells its parent, a line each, what it does: `pid N`, `run TEST`, and at the end `killed
BY`, `survived`, or `cold` for a mutant that cannot be planted in code that is loaded already. It
leaves by `os._exit`, whatever a mutant has done to the interpreter: nothing is torn down.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.mutants.mutant import TOP, Mutant, read

OPTIONS = (
    *("-c", str(TOP / "pyproject.toml"), f"--rootdir={TOP}"),
    *("-p", "no:cacheprovider", "-o", "faulthandler_timeout=0", "-s", "-q", "--hypothesis-seed=0"),
    # What a child is forked with is loaded already.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
PROFILE = "mutants"
"""The profile of hypothesis: few examples, always the same, and no search for shorter ones."""


class Cold(Exception):
    """The mutated code has been run already, or is no function's."""


@dataclass(frozen=True)
class Task:
    """A mutant, and the tests that may kill it: all that are collected, where none are named."""

    mutant: Mutant | None
    tests: tuple[str, ...] = ()


class Told:
    """The child's end of the pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, word: str, rest: str = "") -> None:
        line = f"{word} {' '.join(rest.split())}".strip().encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]

    def last(self, word: str, rest: str = "") -> None:
        """Say how it ended, and end."""
        self(word, rest)
        os._exit(0)


def enter(descriptor: int) -> Told:
    """Be a child: of a group of its own, which can be killed whole, and silent but for the pipe."""
    os.setsid()
    os.chdir(TOP)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    told = Told(descriptor)
    told("pid", str(os.getpid()))
    return told


# --- planting ----------------------------------------------------------------------------------

Functions = Mapping[tuple[str, str, int], list[types.FunctionType]]
"""Functions that are loaded, by file, qualified name and line."""


def plant(mutant: Mutant, functions: Functions) -> None:
    """Give the functions that are loaded the mutated code. Raises Cold if that is not all."""
    if not mutant.hot:
        raise Cold
    file = str(TOP / mutant.path)
    sound = _codes(compile(read(mutant.path), file, "exec", dont_inherit=True))
    mutated = _codes(compile(mutant.applied(read(mutant.path)), file, "exec", dont_inherit=True))
    changed = [key for key, code in mutated.items() if code != sound.get(key)]
    planted = 0
    for key in changed:
        for function in functions.get((file, *key), ()):
            try:
                function.__code__ = mutated[key]
            except ValueError as error:  # it closes over other names than it did
                raise Cold from error
            planted += 1
    if not planted:
        raise Cold


Key = tuple[str, int]


def _codes(code: types.CodeType) -> dict[Key, types.CodeType]:
    """Every function's code in a module's, by its qualified name and line."""
    found: dict[Key, types.CodeType] = {}
    waiting = [code]
    while waiting:
        one = waiting.pop()
        if one.co_name != "<module>":
            found[one.co_qualname, one.co_firstlineno] = one
        waiting += [part for part in one.co_consts if isinstance(part, types.CodeType)]
    return found


class _Planted(importlib.machinery.SourceFileLoader):
    """Loads a module from its mutated text, and from no compiled file."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def path_stats(self, path: str) -> Mapping[str, object]:
        raise OSError(path)

    def get_data(self, path: str) -> bytes:
        return self._text


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._path = str(TOP / mutant.path)
        self._module = mutant.path.removesuffix(".py").replace("/", ".")
        self._text = mutant.applied(read(mutant.path))

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        loader = _Planted(fullname, self._path, self._text)
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=self._path)
        spec.has_location = True
        return spec


def plant_before_import(mutant: Mutant) -> None:
    """Let the module be loaded from its mutated text. It must not have been loaded yet."""
    finder = _Finder(mutant)
    assert finder._module not in sys.modules, f"{finder._module} is loaded already"
    sys.meta_path.insert(0, finder)


# --- playing -----------------------------------------------------------------------------------


class Player:
    """A plugin of pytest that chooses tests, runs them until one fails, and ends the process.

    `order` says which of the collected tests are run, and in which order.
    """

    def __init__(
        self, told: Told, order: Callable[[Sequence[pytest.Item]], list[pytest.Item]]
    ) -> None:
        self._told = told
        self._order = order
        self._failed: str | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._told.last("killed", f"{report.nodeid} (cannot be collected)")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        with reported(self._told):
            items = self._order(session.items)
        self.play(items)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._failed is None:
            self._failed = report.nodeid

    def play(self, items: Sequence[pytest.Item]) -> None:
        """Run the tests, and end the process at the first that fails, or after the last."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._told("run", item.nodeid)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            except BaseException:  # noqa: BLE001 - a mutant may raise whatever it likes
                self._failed = self._failed or item.nodeid
            if self._failed is not None:
                self._told.last("killed", self._failed)
        self._told.last("survived")


def by_names(names: Sequence[str]) -> Callable[[Sequence[pytest.Item]], list[pytest.Item]]:
    """Chooses the named tests, in the order of the names. Raises KeyError for one that is none."""

    def order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
        known = {item.nodeid: item for item in items}
        return [known[name] for name in names]

    return order


def play_fresh(task: Task, told: Told, place: str) -> None:
    """In a process that has loaded nothing of ours: plant, load, collect, run. Never returns.

    `place` is a folder for the tests' own files.
    """
    assert task.mutant is not None
    with reported(told):
        plant_before_import(task.mutant)
        files = list(dict.fromkeys(name.split("::")[0] for name in task.tests))
        options = [*files, *OPTIONS, f"--basetemp={place}"]
        pytest.main(options, plugins=[Player(told, by_names(task.tests))])
        told.last("killed", "pytest (which came to no test)")


@contextlib.contextmanager
def reported(told: Told) -> Iterator[None]:
    """Whatever goes wrong in the child outside of a test is a fault of this tool: it is told."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - told to the parent, which raises it
        told.last("broken", f"{type(error).__name__}: {error}")
