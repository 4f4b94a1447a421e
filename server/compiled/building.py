"""Makes the compiled core: copies, events, C, and one shared object, in a folder of their own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from server.compiled import FOLDER, MANIFEST, TOP, CompiledError, digest
from server.compiled.copying import Copy
from server.compiled.events import BOUND_HEAD, bound_of, events_of
from statemachine import Model, System, load_system
from statemachine.tables import spec_folder

MODULES: Final = (
    *("statemachine.model", "statemachine.ahead"),
    *(f"statemachine._generated.{one}" for one in ("baton", "connection", "job", "pool")),
    *(f"statemachine._generated.{one}" for one in ("request", "response", "server", "worker")),
    *(f"server.net.{one}" for one in ("connection", "reactor", "reading", "exchange", "desk")),
    *(f"server.net.{one}" for one in ("responder", "worker", "pool", "baton", "sleepers")),
    *(f"server.net.{one}" for one in ("deadlines", "timers", "meter", "intake", "transport")),
    *("server.net.poller", "server.net.steps", "server.lifecycle"),
    *(f"server.http1.{one}" for one in ("reader", "writer", "messages", "buffer", "fields")),
    *("server.app.wsgi", "server.app.wsgi_environ", "server.app.wsgi_head"),
)
"""What a request passes through, and what is made for each."""

MODELS: Final = {
    "server.net.baton": "Baton",
    "server.net.connection": "Connection",
    "server.net.exchange": "Exchange",
    "server.net.pool": "Pool",
    "server.net.worker": "Worker",
    "server.http1.reader": "RequestReader",
    "server.http1.writer": "ResponseWriter",
    "server.lifecycle": "Lifecycle",
}
"""The classes that have a machine, by their modules."""

BOUND: Final = "statemachine._bound"

LEFT_OUT: Final = shutil.ignore_patterns("*.pyc", "build", "_html", "_spec")

SETUP: Final = """\
import sys
from setuptools import setup
from mypyc.build import mypycify

FLAGS = ["--config-file=", "--strict-optional", "--disable-error-code=misc",
         "--disable-error-code=attr-defined", "--ignore-missing-imports"]
setup(packages=[], ext_modules=mypycify([*FLAGS, *sys.argv.pop().split()], opt_level="3",
      debug_level="0"))
"""


def build(folder: Path = FOLDER) -> str:
    """Compile; returns what was done, in a line. Raises CompiledError where it could not be."""
    for needed in ("mypyc", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            raise CompiledError(f"{needed} is not installed: pip install 'interlock[compiled]'")
    if os.environ.get("INTERLOCK_SPEC"):
        raise CompiledError("only the spec that comes along is compiled: unset INTERLOCK_SPEC")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Elsewhere: below the files that it copies, mypy would take those for others of the same name.
    with tempfile.TemporaryDirectory(prefix="interlock-compile-") as name:
        place = Path(name)
        for package in ("server", "statemachine"):
            shutil.copytree(TOP / package, place / package, ignore=LEFT_OUT)
        _write_copies(place)
        _compile(place, folder / "log.txt")
        return _keep(place, folder)


def _compile(place: Path, log: Path) -> None:
    """Raises CompiledError."""
    (place / "setup.py").write_text(SETUP, "utf-8")
    files = " ".join(_file_of(name) for name in (*MODULES, BOUND))
    ran = subprocess.run(  # noqa: S603 - the words are our own
        [sys.executable, "setup.py", "build_ext", "--inplace", files],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    log.write_text(ran.stdout + ran.stderr, "utf-8")
    if ran.returncode:
        wrong = [line for line in (ran.stdout + ran.stderr).split("\n") if "error" in line]
        raise CompiledError(f"not compiled: {(wrong or ['?'])[0]} (all: {log})")


def _write_copies(folder: Path) -> None:
    system = load_system(spec_folder())
    bounds: list[str] = []
    for name in MODULES:
        file = folder / _file_of(name)
        copy = Copy(file.read_text("utf-8"))
        if name in MODELS:
            bounds.append(_give_events(copy, name, system))
        copy.adapt()
        file.write_text(copy.text(), "utf-8")
    (folder / _file_of(BOUND)).write_text("\n\n".join([BOUND_HEAD, *bounds, ""]), "utf-8")


def _give_events(copy: Copy, name: str, system: System) -> str:
    """Returns what goes into the module of what they are bound by."""
    model: type[Model] = getattr(importlib.import_module(name), MODELS[name])
    spec = system.machines[model.machine_name]
    methods, states = events_of(model, spec, system)
    kind = model.State.__name__
    constants = {f"{kind}_{state}": f"generated.{kind}.{state}" for state in sorted(states)}
    copy.give_events(model.__name__, methods, constants)
    copy.give_maker(model.__name__)
    finals = [f"{one}: Final = {value}" for one, value in constants.items()]
    return "\n".join([*finals, "", "", bound_of(f"{model.__name__}Bound", spec, system)])


def _keep(place: Path, folder: Path) -> str:
    """Keep the shared objects, and write down what they are of."""
    files = {}
    for file in place.rglob("*.so"):
        name = str(file.relative_to(place))
        if not name.startswith("build/"):
            files[name.partition(".")[0].replace("/", ".")] = name
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / name)
    sources = [
        *(_file_of(name) for name in MODULES),
        *(str(file.relative_to(TOP)) for file in sorted(spec_folder().glob("*.toml"))),
        *(str(Path(inspect.getfile(one)).relative_to(TOP)) for one in (Copy, events_of, build)),
    ]
    told = {
        "python": sys.version,
        "digest": digest(sources),
        "sources": sources,
        "modules": files,
    }
    (folder / MANIFEST).write_text(json.dumps(told, indent=1), "utf-8")
    return f"{len(MODULES)} modules are compiled, in {folder}"


def _file_of(module: str) -> str:
    return module.replace(".", "/") + ".py"
