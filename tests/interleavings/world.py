"""Worlds: the server's modules once more, with points in them, or with a bug.

A world has copies of its own of all modules that it may change, and of the scenes that play with
them, so that their classes fit together and everybody else's stay as they are.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.machinery
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tests.interleavings import points
from tests.interleavings.scene import SceneType

TOP = Path(__file__).parents[2]

OWN = (
    *("server.net", "server.events", "server.app", "server.thread_pool", "server.server"),
    *("server.supervisor", "server.ledger", "tests.fakes", "tests.interleavings.scenes"),
    "tests.machines.peers",
)
"""Modules, and rooms of modules, that each world has copies of."""

PACKAGES = ("server", "tests", "tests.interleavings", "tests.machines")
"""Packages that are shared, and hold modules that are not."""

WITH_POINTS = (
    *("server.net.pool", "server.net.worker", "server.net.crew", "server.net.sleepers"),
    *(
        "server.net.exchange",
        "server.net.desk",
        "server.net.connection",
        "server.net.reactor",
        "server.net.reading",
    ),
    *("server.net.sending", "server.net.pipe", "server.net.delivering", "server.net.reservoir"),
    *("server.net.streaming", "server.events.hub", "server.events.subscription"),
    *("server.thread_pool", "server.net.baton"),
)
"""Modules that share something, and get points before their statements."""


class StalePatch(AssertionError):
    """A patch's text is not in its file, or more than once: the code has changed since."""


@dataclass(frozen=True, slots=True)
class Patch:
    """`old`, which the file has exactly once, replaced by `new`. `file` is below the top folder."""

    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")

    def applied(self, text: str) -> str:
        """Raises StalePatch."""
        found = text.count(self.old)
        if found != 1:
            raise StalePatch(f"{self.file} has this {found} times, expected once:\n{self.old}")
        return text.replace(self.old, self.new)


class _Loader(SourceFileLoader):
    """Loads a module from its source, changed on the way."""

    def __init__(self, name: str, path: str, patches: Sequence[Patch], has_points: bool) -> None:
        super().__init__(name, path)
        self._patches = tuple(patches)
        self._has_points = has_points

    def get_code(self, fullname: str) -> CodeType:
        return _code(self.path, self._patches, self._has_points)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[points.NAME] = points.point
        super().exec_module(module)


@functools.lru_cache(maxsize=256)
def _code(path: str, patches: tuple[Patch, ...], has_points: bool) -> CodeType:
    text = Path(path).read_text(encoding="utf-8")
    for patch in patches:
        text = patch.applied(text)
    tree = ast.parse(text, path)
    if has_points:
        tree = points.instrumented(tree)
    return compile(tree, path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules that a world changes."""

    def __init__(self, patches: Sequence[Patch], with_points: frozenset[str]) -> None:
        self._patches = patches
        self._with_points = with_points

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patches = [one for one in self._patches if one.module == name]
        has_points = name in self._with_points
        if not patches and not has_points:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None, name
        assert spec.origin is not None, name
        spec.loader = _Loader(name, spec.origin, patches, has_points)
        return spec


def _is_own(name: str) -> bool:
    return any(name == one or name.startswith(one + ".") for one in OWN)


@contextmanager
def _apart() -> Iterator[None]:
    """In the block, no module of OWN has been imported; afterwards, those are back that were."""
    before = {name: module for name, module in sys.modules.items() if _is_own(name)}
    packages = [vars(importlib.import_module(one)) for one in PACKAGES]
    attributes = [dict(package) for package in packages]
    for name in before:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [one for one in sys.modules if _is_own(one)]:
            del sys.modules[name]
        sys.modules.update(before)
        for package, kept in zip(packages, attributes, strict=True):
            package.clear()
            package.update(kept)


def load(kind: str, *, patches: Iterable[Patch] = (), with_points: Iterable[str] = ()) -> SceneType:
    """The kind of scene of that name (a module of `scenes`), in a world of its own.

    Raises StalePatch, and ModuleNotFoundError for a kind that there is not.
    """
    changes = list(patches)
    for patch in changes:  # before anything is imported, and in one line
        patch.applied((TOP / patch.file).read_text(encoding="utf-8"))
    finder = _Finder(changes, frozenset(with_points))
    with _apart():
        sys.meta_path.insert(0, finder)
        try:
            module = importlib.import_module(f"tests.interleavings.scenes.{kind}")
        finally:
            sys.meta_path.remove(finder)
    scene: SceneType = module.SCENE
    return scene
