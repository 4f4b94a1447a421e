"""The compiled core: the same Python text, made into an extension by mypyc, for who asks for it.

    python -m server compile
    INTERLOCK_CORE=compiled python -m server --app wsgi_app:application

The first writes the sealed events ahead of time (`events`), what mypyc wants to be told otherwise
(`copying`), and compiles the modules of a request's way. From then on `python -m server` imports
these in place of their files. INTERLOCK_CORE says otherwise: `interpreted`, or `compiled`, which is
an error where it cannot be. What was built from another text than the files have now is not used.
Nothing here changes what the server does: see docs/ARCHITECTURE.md, "The compiled core".

Who embeds the server calls `install` before it imports `server.api`, or `Server` from `server`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

TOP: Final = Path(__file__).parent.parent.parent
IS_CHECKOUT: Final = (TOP / "pyproject.toml").exists()
FOLDER: Final = TOP / "build" / "compiled" if IS_CHECKOUT else Path(__file__).parent / "build"
"""Where it is kept, with the log of its making."""
MANIFEST: Final = "manifest.json"
CORE: Final = "INTERLOCK_CORE"
COMPILED, INTERPRETED = "compiled", "interpreted"

NOT_SERVING: Final = ("compile", "ctl", "simulate")
"""Commands that are not for a compiled core."""


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
        target: ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        loader = ExtensionFileLoader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def usable(folder: Path = FOLDER) -> Mapping[str, Path] | None:
    """The files of the compiled modules, by their names; None where there are none for this Python.

    Raises CompiledError where they were made of another text than the files have now.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    told = json.loads(manifest.read_text("utf-8"))
    if told["python"] != sys.version:
        return None
    if told["digest"] != digest(told["sources"]):
        raise CompiledError(
            "the compiled core was made of other files than there are now: python -m server compile"
        )
    if importlib.util.find_spec("mypy_extensions") is None:
        raise CompiledError("mypy_extensions is not installed: pip install mypy_extensions")
    return {name: folder / path for name, path in told["modules"].items()}


def install(folder: Path = FOLDER) -> bool:
    """Let the compiled modules be imported from now on. False: there are none for this Python.

    Raises as `usable` does, or where the server has been imported already.
    """
    files = usable(folder)
    if files is None:
        return False
    if early := sorted(files.keys() & sys.modules.keys()):
        raise CompiledError(f"{early[0]} was imported before the compiled core was installed")
    sys.meta_path.insert(0, _Finder(files))
    return True


def choose(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Install it for a command of `python -m server`, where it was built and nothing says no.
    Whether it is there now.

    Raises CompiledError where the environment's INTERLOCK_CORE asks for what cannot be, or is
    neither of the two. Unasked, what was built of other files is left alone, and told.
    """
    asked = environment.get(CORE, "")
    if asked not in (COMPILED, INTERPRETED, ""):
        raise CompiledError(f"{CORE} is {asked!r}, expected {COMPILED} or {INTERPRETED}")
    if asked == INTERPRETED or (arguments and arguments[0] in NOT_SERVING):
        return False
    if asked == COMPILED:
        if not install():
            raise CompiledError("no compiled core for this Python: python -m server compile")
        return True
    words = {word for one in arguments for word in one.split("=")}
    if "stock" in words or environment.get("INTERLOCK_SPEC"):
        return False
    try:
        return install()
    except CompiledError as error:
        print(f"interlock: interpreted: {error}", file=sys.stderr)
        return False


def digest(names: Sequence[str]) -> str:
    """What the files of these names say, below the repository's top; a missing one says nothing."""
    import hashlib  # noqa: PLC0415 - a start without a compiled core needs none

    whole = hashlib.sha256()
    for name in names:
        file = TOP / name
        data = file.read_bytes() if file.exists() else b""
        whole.update(f"{name} {len(data)}\n".encode())
        whole.update(data)
    return whole.hexdigest()
