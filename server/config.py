"""Every limit and default in one frozen value.

The unit is the last word of a name; precedents stand beside the numbers. The command line is
generated from these fields: `head_bytes_max` is `--head-bytes-max`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from server.errors import ConfigError
from server.mount import Mount, check_prefixes

__all__ = [
    "CHOICES",
    "KIB",
    "MIB",
    "Config",
    "Dotfiles",
    "Engine",
    "HalfClosed",
    "LogFormat",
    "LogLevel",
    "Mount",
    "Symlinks",
    "html_folder",
    "option",
    "parser_of",
]

Engine = Literal["sealed", "stock"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Symlinks = Literal["inside", "any"]
Dotfiles = Literal["hidden", "served"]
HalfClosed = Literal["served", "gone"]
CHOICES: Final = {
    "engine": get_args(Engine),
    "log_level": get_args(LogLevel),
    "log_format": get_args(LogFormat),
    "symlinks": get_args(Symlinks),
    "dotfiles": get_args(Dotfiles),
    "half_closed": get_args(HalfClosed),
}
"""The words that a setting may have, where these are all it may have."""

KIB: Final = 1024
MIB: Final = 1024 * KIB


@functools.cache
def html_folder() -> Path:
    """The pages that belong to this code: in a wheel beside this file, in a checkout at the top."""
    installed = Path(__file__).parent / "_html"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "html"


def _limit(default: float, means: str, *, least: float = 1) -> Any:
    return field(default=default, metadata={"means": means, "least": least})


def _setting(default: Any, means: str) -> Any:
    return field(default=default, metadata={"means": means})


# RFC 9110 5.5: field-value = *field-content, which neither begins nor ends with whitespace.
_FIELD_VALUE: Final = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one server runs.

    Raises ConfigError for a value that cannot be used, or two that contradict each other.
    """

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _limit(7878, "port to listen on; 0 picks a free one and prints it", least=0)
    threads: int = _limit(4, "worker threads")
    processes: int = _limit(1, "processes that serve, with so many threads each")
    app: str = _setting(
        "", "WSGI application that answers every request, as MODULE:CALLABLE; --root is not served"
    )
    root: Path = field(
        default_factory=html_folder,
        metadata={
            "means": "folder whose files are served",
            "shown": "the pages that come with Interlock",
        },
    )
    mounts: tuple[Mount, ...] = field(
        default=(),
        metadata={
            "means": "folder whose files are served below a path of its own; may be repeated, and "
            "the longest prefix wins",
            "repeat": True,
        },
    )
    symlinks: Symlinks = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "inside", "links that are followed: those that stay inside their root, or any"
    )
    dotfiles: Dotfiles = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "hidden", "what is done with files and folders whose names begin with a dot"
    )
    cache_control: str = _setting("", "Cache-Control field that is sent with each file")
    access_log: str = _setting(
        "off", "where each answered request is logged: a file, - for standard output, or off"
    )
    access_log_format: str = _setting(
        "combined",
        "common, combined, tuple (with the 5-tuple), timed (and with times), json, or a LogFormat",
    )
    half_closed: HalfClosed = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "served",
        "what becomes of a request whose client has ended its side while it was queued: such a "
        "client may still read, or counts as gone",
    )
    trace: str = _setting(
        "", "file to which every arrow that any object takes is written, for `statemachine replay`"
    )
    flight_dir: str = field(
        default="",
        metadata={
            "means": "folder for what the flight recorder dumps when something goes wrong",
            "shown": "the system's folder for temporary files",
        },
    )
    ops_bind: str = field(
        default="",
        metadata={
            "means": "where the operator's pages are served, HOST:PORT; off: nowhere, and nothing "
            "is counted for them",
            "shown": "below /-/ of the main port, where that listens on the loopback only",
        },
    )
    ops_hosts: tuple[str, ...] = field(
        default=(),
        metadata={
            "means": "name by which the operator's pages may be asked for, besides addresses and "
            "localhost; may be repeated",
            "repeat": True,
        },
    )
    ops_token_file: str = _setting("", "file with the token that the operator's pages ask for")
    ctl_socket: str = _setting("", "Unix socket at which orders are taken, for `server ctl`")
    log_level: LogLevel = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "info", "least level of what the server says of itself"
    )
    log_file: str = _setting("", "file to which that is appended, in place of standard error")
    log_format: LogFormat = _setting("text", "how that is written")  # noqa: RUF009 - as above
    engine: Engine = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "sealed", "state machine engine: sealed (compiled) or stock (transitions' own)"
    )

    # How many.
    backlog: int = _limit(
        1024, "connections that the kernel may hold before they are accepted"
    )  # nginx 511, granian 1024
    connections_max: int = _limit(
        10_000, "connections open at once; more wait in the kernel's backlog"
    )
    stand_ins_max: int = _limit(
        16,
        "workers at once that may take the place of late or quarantined ones; at the cap the "
        "server is not ready",
        least=0,
    )
    queue_jobs_max: int = _limit(
        1024, "complete requests that may wait for a worker; more are answered 503"
    )
    start_tries_max: int = _limit(5, "failed starts in a row, of one of several processes")
    flight_events_max: int = _limit(
        4096, "last arrows that the flight recorder keeps; 0: none, and no dumps", least=0
    )
    event_channels_max: int = _limit(
        10_000,
        "channels of events that are remembered; beyond it, those that nobody subscribes to go",
    )
    event_ring_events_max: int = _limit(
        1024, "events that a channel keeps, for subscribers that come back or fall behind"
    )
    event_gaps_max: int = _limit(
        3, "times in a row that a slow subscriber is told what it has lost before it is cut"
    )
    fields_max: int = _limit(
        100, "field lines in a header or trailer section"
    )  # Apache 100, gunicorn 100

    # How large.
    request_line_bytes_max: int = _limit(
        8 * KIB, "request line, its CRLF not counted; a longer one is answered 414"
    )  # nginx 8k, Apache 8190
    field_line_bytes_max: int = _limit(
        8 * KIB, "one field line; a longer one is answered 431"
    )  # nginx 8k, Apache 8190
    head_bytes_max: int = _limit(
        64 * KIB, "request line and header section together; a longer one is answered 431"
    )  # nginx 4 x 8k
    body_bytes_max: int = _limit(
        1024 * MIB, "request content; more is answered 413", least=0
    )  # waitress 1 GiB, nginx 1m
    body_memory_bytes_max: int = _limit(
        512 * KIB, "request content kept in memory; more of it goes to a file", least=0
    )  # waitress 512 KiB
    relay_memory_bytes_max: int = _limit(
        1 * MIB, "streamed content kept in memory for a slow reader; more of it goes to a file"
    )  # waitress 1 MiB
    relay_file_bytes_max: int = _limit(
        1024 * MIB, "streamed content kept in a file; beyond it the handler waits for its reader"
    )
    buffer_memory_bytes_max: int = _limit(
        256 * MIB,
        "content of all connections together that is kept in memory, received or to be sent; "
        "more of it goes to files",
        least=0,
    )
    buffer_file_bytes_max: int = _limit(
        8192 * MIB,
        "content of all connections together that is kept in files; beyond it handlers wait for "
        "their readers, and uploads are answered 503",
        least=0,
    )
    event_ring_bytes_max: int = _limit(
        1 * MIB, "events that a channel keeps, in bytes; an event is no larger", least=1 * KIB
    )
    event_memory_bytes_max: int = _limit(
        64 * MIB, "events that all channels keep; beyond it the oldest go", least=1 * KIB
    )
    chunk_line_bytes_max: int = _limit(1 * KIB, "size and extensions of one chunk")
    trailer_bytes_max: int = _limit(8 * KIB, "trailer section of one request")
    receive_bytes_max: int = _limit(64 * KIB, "bytes taken from a socket at once")
    receive_turn_bytes_max: int = _limit(
        128 * KIB, "bytes of large content taken from one client before the next one's turn"
    )
    send_turn_bytes_max: int = _limit(
        256 * KIB, "bytes sent to one slow reader before the next one's turn"
    )

    # How fast.
    body_bytes_per_second_min: int = _limit(
        500, "request content that a client must send in a second, beyond --body-seconds-max"
    )  # Apache 500, Kestrel 240
    write_bytes_per_second_min: int = _limit(
        500, "response that a client must take in a second, beyond --write-seconds-max"
    )  # Kestrel 240

    # How long.
    static_cache_bytes_max: int = _limit(
        8 * MIB, "small files kept in memory for the next who asks; 0 keeps none", least=0
    )
    static_cache_seconds_max: float = _limit(
        1.0,
        "how long such a file is given without looking at the disk; 0 keeps none",
        least=0.0,
    )
    head_seconds_max: float = _limit(
        10.0, "from a request's first byte to the end of its head", least=0.001
    )  # Apache 20, waitress 120 (idle)
    body_seconds_max: float = _limit(
        20.0,
        "from the end of the head to the end of the content; each --body-bytes-per-second-min "
        "bytes of it add a second",
        least=0.001,
    )  # Apache 20, Kestrel 5, nginx 60 between reads
    idle_seconds_max: float = _limit(
        15.0, "from one response to the next request's first byte", least=0.001
    )  # Apache 5, nginx 75
    queue_seconds_max: float = _limit(
        3.0, "from a complete request to a worker; a longer wait is answered 503", least=0.001
    )
    late_seconds_max: float = _limit(
        2.0, "that a worker may be at one request before a stand-in takes its place", least=0.001
    )
    job_seconds_max: float = _limit(
        3600.0,
        "that a worker may be at one request before the request is taken from it and answered 500; "
        "0: for ever",
        least=0.0,
    )  # gunicorn 30 (kills the process)
    write_seconds_max: float = _limit(
        20.0,
        "for the part of a response that the reader did not take at once; each "
        "--write-bytes-per-second-min bytes of it add a second",
        least=0.001,
    )  # Kestrel 5, nginx 60 between writes
    event_heartbeat_seconds: float = _limit(
        15.0, "without an event until a subscriber is sent a comment", least=0.001
    )  # WHATWG HTML 9.2.7 suggests 15
    event_behind_seconds_max: float = _limit(
        60.0, "that a subscriber may be behind what is published before it is cut", least=0.001
    )
    event_retry_seconds: float = _limit(
        2.0,
        "that a subscriber is told to wait before it comes back; some up to twice as long, so that "
        "not all come at once",
        least=0.0,
    )  # browsers 3 to 5
    linger_seconds_max: float = _limit(
        2.0, "for the peer's end of a connection after our own", least=0.001
    )  # Apache 2, nginx 5 (30 in all)
    lame_duck_seconds: float = _limit(
        0.0, "from the first stop signal until newcomers are not accepted any more", least=0.0
    )  # gRPC and Kubernetes guides 5-20
    drain_seconds_max: float = _limit(
        30.0, "from then on until what is left is cut", least=0.0
    )  # gunicorn 30
    drain_idle_seconds: float = _limit(
        0.5, "that an idle connection is left open in a drain, for a request under way", least=0.0
    )
    cut_seconds_max: float = _limit(1.0, "from the cut until the process ends", least=0.0)
    start_seconds_max: float = _limit(60.0, "until one of several processes is ready", least=0.001)
    kill_seconds_max: float = _limit(5.0, "beyond the cut, until a process is killed", least=0.001)
    restart_pause_seconds: float = _limit(
        0.5, "before a second death in a row is replaced", least=0
    )
    accept_pause_seconds: float = _limit(
        0.5, "before accepting again when descriptors ran out", least=0.001
    )

    @property
    def has_log_files(self) -> bool:
        """Whether there is a log that may be moved away, and opened again."""
        return bool(self.log_file) or self.access_log not in ("off", "-")

    @property
    def observed(self) -> bool:
        """Whether anything is counted for an operator."""
        return self.ops_bind != "off"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Config:
        """A Config from settings by name; the others keep their defaults. Raises ConfigError."""
        return cls(**settings)

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            if "least" in one.metadata:
                _check_number(one, getattr(self, one.name))
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(
                    f"{option(name)} is {value!r}, expected one of {', '.join(choices)}"
                )
        _check_field_value("cache_control", self.cache_control)
        check_prefixes(self.mounts)
        if self.port > 65_535:
            raise ConfigError(f"--port is {self.port}, expected 0 to 65535")
        for small, large in (
            ("request_line_bytes_max", "head_bytes_max"),
            ("field_line_bytes_max", "head_bytes_max"),
            ("late_seconds_max", "job_seconds_max"),
            ("event_ring_bytes_max", "event_memory_bytes_max"),
        ):
            if getattr(self, small) > getattr(self, large) > 0:
                raise ConfigError(
                    f"{option(small)} is more than {option(large)}, expected at most as much"
                )


def option(name: str) -> str:
    """`head_bytes_max` → `--head-bytes-max`; what is repeated is named for one: `--mount`."""
    one = name.removesuffix("s") if name in ("mounts", "ops_hosts") else name
    return "--" + one.replace("_", "-")


def parser_of(one: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """How an option's text becomes the field's value, or one of its values where it is repeated."""
    parsers: dict[str, Callable[[str], Any]] = {
        "int": int,
        "float": float,
        "Path": Path,
        "tuple[Mount, ...]": Mount.of,
    }
    return parsers.get(str(one.type), str)


def _check_number(one: dataclasses.Field[Any], value: object) -> None:
    whole, least = str(one.type) == "int", one.metadata["least"]
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < float("inf"):
        what = "whole number" if whole else "number"
        raise ConfigError(f"{option(one.name)} is {value!r}, expected a {what}, {least:g} or more")


def _check_field_value(name: str, value: str) -> None:
    if not _FIELD_VALUE.fullmatch(value):
        raise ConfigError(
            f"{option(name)} is {value!r}, expected printable ASCII without spaces around it"
        )
