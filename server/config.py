"""Every limit and default in one frozen value.

The unit is the last word of a name; precedents stand beside the numbers. The command line is
generated from these fields: `head_bytes_max` is `--head-bytes-max`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from server.errors import ConfigError

Engine = Literal["sealed", "stock"]
LogLevel = Literal["debug", "info", "warning", "error"]
Symlinks = Literal["inside", "any"]
Dotfiles = Literal["hidden", "served"]
CHOICES: Final = {
    "engine": get_args(Engine),
    "log_level": get_args(LogLevel),
    "symlinks": get_args(Symlinks),
    "dotfiles": get_args(Dotfiles),
}
"""The words that a setting may have, where these are all it may have."""

KIB: Final = 1024
MIB: Final = 1024 * KIB


def html_folder() -> Path:
    """The pages that belong to this code: in a wheel beside this file, in a checkout at the top."""
    installed = Path(__file__).parent / "_html"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "html"


def _limit(default: float, means: str, *, least: float = 1) -> Any:
    return field(default=default, metadata={"means": means, "least": least})


def _setting(default: Any, means: str) -> Any:
    return field(default=default, metadata={"means": means})


# Segments of unreserved characters (RFC 3986 2.3), which are spelled one way only in a path; none
# hidden but the one that is public by definition (RFC 8615).
_PREFIX: Final = re.compile(r"(?=/)(?:/\.well-known)?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")

# RFC 9110 5.5: field-value = *field-content, which neither begins nor ends with whitespace.
_FIELD_VALUE: Final = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder whose files are served below `prefix`: a path without a slash at its end.

    Raises ConfigError for a prefix that is none.
    """

    prefix: str
    folder: Path

    @classmethod
    def of(cls, text: str) -> Self:
        """A mount as the command line names it. Raises ConfigError."""
        prefix, equals, folder = text.partition("=")
        if not equals or not folder:
            raise ConfigError(f"--mount is {text!r}, expected /PREFIX=DIR")
        return cls(prefix, Path(folder))

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigError(
                f"--mount has the prefix {self.prefix!r}, expected a path like /docs or /a/b, of "
                "letters, digits and - . _ ~, without a slash at its end"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one server runs.

    Raises ConfigError for a value that cannot be used, or two that contradict each other.
    """

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _limit(7878, "port to listen on; 0 picks a free one and prints it", least=0)
    threads: int = _limit(4, "worker threads")
    app: str = _setting(
        "", "WSGI application that answers every request, as MODULE:CALLABLE; --root is not served"
    )
    root: Path = field(
        default_factory=html_folder, metadata={"means": "folder whose files are served"}
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
        "common, combined, tuple (combined, and the connection's 5-tuple), or a LogFormat string",
    )
    log_level: LogLevel = _setting(  # noqa: RUF009 - it calls dataclasses.field
        "info", "least level of what the server says on standard error"
    )
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
    queue_jobs_max: int = _limit(
        1024, "complete requests that may wait for a worker; more are answered 503"
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
    chunk_line_bytes_max: int = _limit(1 * KIB, "size and extensions of one chunk")
    trailer_bytes_max: int = _limit(8 * KIB, "trailer section of one request")
    receive_bytes_max: int = _limit(64 * KIB, "bytes taken from a socket at once")
    send_turn_bytes_max: int = _limit(
        256 * KIB, "bytes sent to one slow reader before the next one's turn"
    )

    # How long.
    head_seconds_max: float = _limit(
        10.0, "from a request's first byte to the end of its head", least=0.001
    )  # Apache 20, waitress 120 (idle)
    body_seconds_max: float = _limit(
        60.0, "from the end of the head to the end of the content", least=0.001
    )  # nginx 60 between reads
    idle_seconds_max: float = _limit(
        15.0, "from one response to the next request's first byte", least=0.001
    )  # Apache 5, nginx 75
    queue_seconds_max: float = _limit(
        30.0, "from a complete request to a worker; a longer wait is answered 503", least=0.001
    )
    write_seconds_max: float = _limit(
        60.0, "for the part of a response that the reader did not take at once", least=0.001
    )  # nginx 60 between writes
    linger_seconds_max: float = _limit(
        2.0, "for the peer's end of a connection after our own", least=0.001
    )  # Apache 2, nginx 5 (30 in all)
    drain_seconds_max: float = _limit(
        30.0, "from the first stop signal until what is left is cut", least=0.0
    )  # gunicorn 30
    drain_idle_seconds: float = _limit(
        0.5, "that an idle connection is left open in a drain, for a request under way", least=0.0
    )
    cut_seconds_max: float = _limit(1.0, "from the cut until the process ends", least=0.0)
    accept_pause_seconds: float = _limit(
        0.5, "before accepting again when descriptors ran out", least=0.001
    )

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
        _check_prefixes(self.mounts)
        if self.port > 65_535:
            raise ConfigError(f"--port is {self.port}, expected 0 to 65535")
        for small, large in (
            ("request_line_bytes_max", "head_bytes_max"),
            ("field_line_bytes_max", "head_bytes_max"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise ConfigError(
                    f"{option(small)} is more than {option(large)}, expected at most as much"
                )


def option(name: str) -> str:
    """`head_bytes_max` → `--head-bytes-max`; what is repeated is named for one: `--mount`."""
    one = "mount" if name == "mounts" else name
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


def _check_prefixes(mounts: tuple[Mount, ...]) -> None:
    prefixes = [mount.prefix for mount in mounts]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise ConfigError(f"--mount names the prefix {prefix} twice, expected it once")
