"""Who runs the gauntlet, and the command line of each: as its manual says, 4 threads, one port."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TOP = Path(__file__).parents[2]
APPLICATION = "benchmarks.gauntlet.application:application"
THREADS = 4


@dataclass(frozen=True)
class Contender:
    """One server: its package, and the module and options that serve the application on a port."""

    name: str
    package: str
    options: Callable[[int], list[str]]
    setting: str = ""

    def command(self, port: int) -> list[str]:
        """What to run, with the interpreter that runs the harness."""
        return [sys.executable, "-m", *self.options(port)]

    def version(self) -> str | None:
        """Its version; None where it is not installed. Interlock is run from this checkout."""
        if self.package == "interlock":
            import server  # noqa: PLC0415 - the checkout's, which a peer's run does without

            return server.__version__
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    @property
    def keeps_a_ledger(self) -> bool:
        """It says at its end what became of each request."""
        return self.package == "interlock"


TRACES: list[Path] = []
"""Where Interlock writes its traces: nowhere, or the folder that is in here."""


def _interlock(port: int) -> list[str]:
    at = ["--host", "127.0.0.1", "--port", str(port), "--threads", str(THREADS)]
    for folder in TRACES:
        at += ["--trace", str(folder / f"{port}-{time.monotonic_ns()}.trace")]
    return ["server", "--app", APPLICATION, *at]


def _waitress(port: int) -> list[str]:
    return ["waitress", "--host=127.0.0.1", f"--port={port}", f"--threads={THREADS}", APPLICATION]


def _cheroot(port: int) -> list[str]:
    return ["cheroot", APPLICATION, "--bind", f"127.0.0.1:{port}", "--threads", str(THREADS)]


def _gunicorn(port: int) -> list[str]:
    kind = ["--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS)]
    return ["gunicorn", *kind, "--bind", f"127.0.0.1:{port}", APPLICATION]


def _granian(port: int) -> list[str]:
    kind = ["--interface", "wsgi", "--workers", "1", "--blocking-threads", str(THREADS)]
    return ["granian", *kind, "--host", "127.0.0.1", "--port", str(port), APPLICATION]


CONTENDERS = (
    Contender("Interlock", "interlock", _interlock),
    Contender("waitress", "waitress", _waitress),
    Contender("cheroot", "cheroot", _cheroot),
    Contender("gunicorn", "gunicorn", _gunicorn, "gthread, 1 worker"),
    Contender("granian", "granian", _granian, "WSGI, 1 worker"),
)
