"""The project's own sources, as the tests of the house read them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

TOP = Path(__file__).parents[2]
CODE = ("server", "statemachine", "tests", "benchmarks", "docs")


@dataclass(frozen=True)
class Source:
    """One Python file. `module` is its dotted name, a package's without `__init__`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(TOP).as_posix()

    @property
    def module(self) -> str:
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def imports(self) -> Iterator[str]:
        """Every module that is imported, anywhere in the file, by its dotted name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: a relative import"
                yield node.module or ""
                # `from server.net import pool` imports a module; a name that is none does no harm.
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def names(self) -> set[str]:
        """Every plain name and attribute that is used."""
        used = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        return used | {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}


@cache
def sources(*below: str) -> tuple[Source, ...]:
    """The Python files below the folders, or the one file of that name; generated ones left out."""
    found = []
    for place in below or CODE:
        path = TOP / place
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        found += [Source(file) for file in files if "_generated" not in file.parts]
    return tuple(found)


def tracked() -> list[Path]:
    """Every file that the project keeps: by git's account, or all of them outside of a checkout."""
    if (TOP / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True, text=True
        )
        return [TOP / name for name in listed.stdout.split("\0") if name and (TOP / name).is_file()]
    ignored = {".venv", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    return [p for p in TOP.rglob("*") if p.is_file() and not ignored & set(p.parts)]
