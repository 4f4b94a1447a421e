"""The compiled core: the same Python text, made into an extension by mypyc, for who asks for it.

    python -m compiled build
    python -m compiled --app wsgi_app:application

`build` writes the sealed events ahead of time (`events`), what mypyc wants to be told otherwise
(`copying`), and compiles the modules of a request's way. `install`, called before `server` is
imported, lets these be imported in place of their files. Where nothing was built, all is
interpreted; what was built from another text than the files have now is refused. Nothing here
changes what the server does: see docs/ARCHITECTURE.md, "The compiled core".
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

TOP: Final = Path(__file__).parent.parent
FOLDER: Final = TOP / "build" / "compiled"
MANIFEST: Final = "manifest.json"
NAMES: Final = ("server", "statemachine")


class CompiledError(Exception):
    """There is a compiled core, and it may not be used; or none could be made. One line."""


class _Finder(MetaPathFinder):
    """Finds the compiled modules by their names, before anybody looks for files."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        loader = ExtensionFileLoader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def install(folder: Path = FOLDER) -> bool:
    """Let the compiled modules be imported from now on. False: there are none for this Python.

    Raises CompiledError where they were made of another text than the files have now, or where
    the server has been imported already.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return False
    told = json.loads(manifest.read_text("utf-8"))
    if told["python"] != sys.version:
        return False
    if told["digest"] != digest(told["sources"]):
        raise CompiledError(
            "the compiled core was made of other files than there are now: run `make compiled`"
        )
    if early := sorted(told["modules"].keys() & sys.modules.keys()):
        raise CompiledError(f"{early[0]} was imported before the compiled core was installed")
    files = {name: folder / path for name, path in told["modules"].items()}
    sys.meta_path.insert(0, _Finder(files))
    return True


def digest(names: Sequence[str]) -> str:
    """What the files of these names say, below the repository's top; a missing one says nothing."""
    whole = hashlib.sha256()
    for name in names:
        file = TOP / name
        data = file.read_bytes() if file.exists() else b""
        whole.update(f"{name} {len(data)}\n".encode())
        whole.update(data)
    return whole.hexdigest()
