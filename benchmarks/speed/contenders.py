"""Who is measured, and the command line of each: 4 threads, one process, one core.

Limits on how many connections are open, and for how long, are raised where a default would end a
scenario before it is measured; nothing else is set. `Served` says what a scenario asks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from benchmarks.gauntlet.contenders import TOP
from benchmarks.speed.application import HELLO, JSON

APPLICATION = "benchmarks.speed.application:application"
THREADS = 4
CONNECTIONS_MAX = 6000
IDLE_SECONDS_MAX = 120
BARE = "bare loop"
SMALL, BIG = "small.html", "big.bin"
SMALL_BYTES, BIG_BYTES = 900, 32 * 1024 * 1024


class Served(Enum):
    """What a server has to serve. The bare loop sends so many bytes, whatever is asked."""

    HELLO = "hello"
    JSON = "json"
    SMALL = "small"
    BIG = "big"

    @property
    def is_file(self) -> bool:
        """Files are served by a server's own means, where it has any."""
        return self in (Served.SMALL, Served.BIG)

    @property
    def size(self) -> int:
        """Bytes of the content."""
        sizes = {Served.JSON: len(JSON), Served.SMALL: SMALL_BYTES, Served.BIG: BIG_BYTES}
        return sizes.get(self, len(HELLO))


COMPILED = "Interlock, compiled"

Command = Callable[[int, Served, Path], list[str]]


@dataclass(frozen=True)
class Contender:
    """One server. `package` is whose version it has; `setting` what the reader must know."""

    name: str
    package: str
    arguments: Command
    setting: str = ""
    files_only: bool = False

    def version(self) -> str | None:
        """Its version; None where it is not installed; empty where it has none."""
        if self.name == COMPILED and not _is_compiled():
            return None
        if self.package == "interlock":
            import server  # noqa: PLC0415 - the checkout's, which a peer's run does without

            return server.__version__
        if self.package in ("", "nginx"):
            return _nginx_version() if self.package else ""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Pinned:
    """A contender as a process is started: what it serves, from where, on which core."""

    contender: Contender
    served: Served
    files: Path
    core: int

    def command(self, port: int) -> list[str]:
        """What to run."""
        pin = ["taskset", "-c", str(self.core)] if shutil.which("taskset") else []
        return [*pin, *self.contender.arguments(port, self.served, self.files)]


def make_files(folder: Path) -> None:
    """The files that are served, below `/static/`. Every server is told where they are."""
    below = folder / "static"
    below.mkdir()
    os.environ["SPEED_FILES"] = str(below)
    for place in (folder / "index.html", below / SMALL):
        place.write_bytes(b"<p>file</p>\n" * (SMALL_BYTES // 12))
    (below / BIG).write_bytes(bytes(BIG_BYTES))


def _is_compiled() -> bool:
    from server.compiled import CompiledError, usable  # noqa: PLC0415 - the checkout's, as above

    try:
        return usable() is not None
    except CompiledError:
        return False


def _interlock(port: int, served: Served, files: Path) -> list[str]:
    return ["env", "INTERLOCK_CORE=interpreted", *_either(port, served, files)]


def _compiled(port: int, served: Served, files: Path) -> list[str]:
    return ["env", "INTERLOCK_CORE=compiled", *_either(port, served, files)]


def _either(port: int, served: Served, files: Path) -> list[str]:
    what = ["--root", str(files)] if served.is_file else ["--app", APPLICATION]
    idle = ["--idle-seconds-max", str(IDLE_SECONDS_MAX)]
    at = ["--host", "127.0.0.1", "--port", str(port), "--threads", str(THREADS)]
    return [sys.executable, "-m", "server", *what, *at, *idle]


def _waitress(port: int, _: Served, __: Path) -> list[str]:
    limits = [f"--connection-limit={CONNECTIONS_MAX}", "--asyncore-use-poll"]
    at = ["--host=127.0.0.1", f"--port={port}", f"--threads={THREADS}"]
    return [sys.executable, "-m", "waitress", *at, *limits, APPLICATION]


def _cheroot(port: int, _: Served, __: Path) -> list[str]:
    at = ["--bind", f"127.0.0.1:{port}", "--threads", str(THREADS)]
    limits = ["--timeout", str(IDLE_SECONDS_MAX), "--request-queue-size", "1024"]
    return [sys.executable, "-m", "cheroot", APPLICATION, *at, *limits]


def _gunicorn(port: int, _: Served, __: Path) -> list[str]:
    kind = ["--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS)]
    limits = [
        *("--worker-connections", str(CONNECTIONS_MAX)),
        *("--keep-alive", str(IDLE_SECONDS_MAX)),
    ]
    at = ["--bind", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "gunicorn", *kind, *at, *limits, APPLICATION]


def _granian(port: int, served: Served, files: Path) -> list[str]:
    kind = ["--interface", "wsgi", "--workers", "1", "--blocking-threads", str(THREADS)]
    mount = ["--static-path-mount", str(files / "static")] if served.is_file else []
    at = ["--host", "127.0.0.1", "--port", str(port), "--backlog", str(CONNECTIONS_MAX)]
    return [sys.executable, "-m", "granian", *kind, *mount, *at, APPLICATION]


def _bare_loop(port: int, served: Served, _: Path) -> list[str]:
    loop = TOP / "benchmarks" / "servers" / "bare_loop.py"
    return [sys.executable, str(loop), str(port), str(served.size)]


NGINX = """\
daemon off; worker_processes 1; pid {own}/pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000000; keepalive_timeout {idle};
  client_body_temp_path {own}; proxy_temp_path {own}; fastcgi_temp_path {own};
  uwsgi_temp_path {own}; scgi_temp_path {own};
  server {{ listen 127.0.0.1:{port} backlog=1024; root {files}; }}
}}
"""


def _nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nginx_version() -> str | None:
    binary = _nginx_binary()
    if binary is None:
        return None
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False)
    return told.stderr.strip().rpartition("/")[2]


def _nginx(port: int, _: Served, files: Path) -> list[str]:
    own = tempfile.mkdtemp(dir=files, prefix=".nginx-")
    text = NGINX.format(own=own, idle=IDLE_SECONDS_MAX, port=port, files=files)
    configuration = Path(own) / "nginx.conf"
    configuration.write_text(text, encoding="ascii")
    return [_nginx_binary() or "nginx", "-c", str(configuration)]


CONTENDERS = (
    Contender("Interlock", "interlock", _interlock),
    Contender(COMPILED, "interlock", _compiled),
    Contender("waitress", "waitress", _waitress),
    Contender("cheroot", "cheroot", _cheroot),
    Contender("gunicorn", "gunicorn", _gunicorn, "gthread, 1 worker"),
    Contender("granian", "granian", _granian, "WSGI, 1 worker"),
    Contender("nginx", "nginx", _nginx, "1 worker", files_only=True),
    Contender(BARE, "", _bare_loop, "reads and sends, parses nothing"),
)
