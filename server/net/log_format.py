r"""Apache's LogFormat, compiled once into one function from an Entry to its line.

What is supported means here what it means in `mod_log_config` of Apache 2.4, and what is not is a
ConfigError that names it: a log that quietly says `-` would be read as a fact.

| directive | writes |
|---|---|
| `%h` `%a` `%{c}a` | the peer's address; names are never looked up |
| `%A` `%p` `%{local}p` `%{canonical}p` `%{remote}p` | our address and port, the peer's port |
| `%l` `%u` | `-`: neither identd nor authentication is asked |
| `%t` `%{FORMAT}t` | when the request began, as `[10/Oct/2000:13:55:36 -0700]` or by strftime; |
| | `sec`, `msec`, `usec`, `msec_frac`, `usec_frac`; `begin:` or `end:` before any of them |
| `%r` `%m` `%U` `%q` `%H` | request line, method, path as received, `?` and query, HTTP version |
| `%s` `%>s` `%<s` `%b` `%B` | status; bytes of content, none being `-` or `0` |
| `%D` `%T` `%{UNIT}T` | how long it took: microseconds, seconds, or in `us`, `ms`, `s` |
| `%{queue_ms}T` `%{app_ms}T` | in milliseconds, with three places: waited for a worker; in the |
| `%{write_ms}T` | handler until it answered; from then to the last byte. Our own. |
| `%{NAME}i` | a field of the request |
| `%P` `%{pid}P` `%{tid}P` | process; the thread that ended the exchange |
| `%L` | the request's id in the error log: the connection's number, and its own in it |
| `%{trace}L` `%{parent}L` | the ids of a valid `traceparent` (W3C Trace Context). Our own. |
| `%X` | how the connection was left: `X` cut off before the end, `+` persists, `-` closed |
| `%{state}X` | the connection's state at the answer's end, or `CUT`. Our own. |
| `%{tuple}a` | the 5-tuple, `tcp 127.0.0.1:51324 127.0.0.1:7878`: protocol, peer, us. Our own. |
| `%%` | a percent sign |

`%400,501X` and `%!200,304X` write `-` unless the status is, or is not, among those listed.
Between directives, `\"` `\\` `\t` `\n` are read as in a configuration file of Apache.

What a peer has chosen is escaped as there: a quote and a backslash by a backslash, white space
other than the space as `\t` and its like, every other byte that is not printable ASCII as `\xhh`.
So a line's quotes are ours, and no peer can end one or begin the next.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Final

from server.clock import MONTHS
from server.errors import ConfigError
from server.http1.messages import RequestHead
from server.http1.trace_context import TraceContext, trace_context
from server.net.log_entry import CUT, Entry
from server.net.log_json import as_json

OPTION: Final = "--access-log-format"

_COMMON: Final = '%h %l %u %t "%r" %>s %b'
_COMBINED: Final = _COMMON + ' "%{Referer}i" "%{User-agent}i"'
PRESETS: Final = {
    "common": _COMMON,
    "combined": _COMBINED,
    "tuple": _COMBINED + " %{tuple}a",
    "timed": _COMBINED
    + " %L %{state}X %D %{queue_ms}T %{app_ms}T %{write_ms}T %{tuple}a %{trace}L",
}
JSON: Final = "json"
"""The one form that is no LogFormat: an object a line."""

Write = Callable[[Entry], str]
Piece = Write | str
"""What a directive becomes: a function, or a text that is the same in every line."""


@functools.lru_cache(maxsize=16)
def compile_format(text: str) -> Write:
    """The function that writes an entry's line, without its end, by a preset's name or a LogFormat.

    Raises ConfigError, naming the directive and where it stands, for one that is not supported.
    """
    if text == JSON:
        return as_json
    text = PRESETS.get(text, text)
    template, writes, at = "", [], 0
    while at < len(text):
        if text[at] == "%":
            piece, at = _directive(text, at)
        else:
            until = text.find("%", at) % (len(text) + 1)  # -1, none left: the end
            piece, at = _LITERAL_ESCAPE.sub(_literal, text[at:until]), until
        if isinstance(piece, str):
            template += piece.replace("%", "%%")
        else:
            template += "%s"
            writes.append(piece)
    return lambda entry: template % tuple([write(entry) for write in writes])


_DIRECTIVE: Final = re.compile(
    r"%(?P<unless>!)?(?P<statuses>\d{3}(?:,\d{3})*)?(?P<which>[<>])?"
    r"(?:\{(?P<parameter>[^}]*)\})?(?P<letter>[A-Za-z%])",
    re.ASCII,
)
_LITERAL_ESCAPE: Final = re.compile(r'\\([\\"tn])')


def _literal(found: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n"}.get(found[1], found[1])


def _directive(text: str, at: int) -> tuple[Piece, int]:
    found = _DIRECTIVE.match(text, at)
    where = f"at character {at + 1}"
    if found is None:
        raise ConfigError(f"{OPTION}: {text[at : at + 12]!r} {where} is no directive")
    unless, listed = found["unless"], found["statuses"]
    by_parameter = _DIRECTIVES.get(found["letter"])
    if (
        by_parameter is None
        or (unless and not listed)
        or (found["which"] and found["letter"] != "s")
    ):
        raise ConfigError(f"{OPTION}: {found[0]} {where} is not supported")
    piece = by_parameter(found["parameter"])
    if piece is None:
        raise ConfigError(f"{OPTION}: {found[0]} {where} has a parameter that is not supported")
    if listed:
        piece = _if_status(piece, {int(one) for one in listed.split(",")}, negated=bool(unless))
    return piece, found.end()


def _if_status(piece: Piece, statuses: set[int], *, negated: bool) -> Write:
    def write(entry: Entry) -> str:
        if (entry.status in statuses) is negated:
            return "-"
        return piece if isinstance(piece, str) else piece(entry)

    return write


# --- what a peer has chosen -------------------------------------------------------------------

_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
_SHORT: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _escaped(text: str) -> str:
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    one = found[0]
    if one in _SHORT:
        return _SHORT[one]
    raw = one.encode("latin-1" if one <= "\xff" else "utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _of_head(read: Callable[[RequestHead], str]) -> Write:
    def write(entry: Entry) -> str:
        return "-" if entry.head is None else _escaped(read(entry.head))

    return write


def _query(head: RequestHead) -> str:
    return f"?{head.query}" if head.query or head.target.endswith("?") else ""


def _request_field(name: str | None) -> Piece | None:
    if not name:
        return None
    wanted = name.lower()

    def write(entry: Entry) -> str:
        # Several lines of one name are one list (RFC 9110 5.3). No line at all is `-`, an empty one
        # is empty.
        values = entry.head.fields.all(wanted) if entry.head is not None else []
        return _escaped(", ".join(values)) if values else "-"

    return write


# --- time -------------------------------------------------------------------------------------


class _EachSecond:
    """A text that changes with the second, written once for each.

    Threads: any, without a lock: the second and its text are one tuple, swapped at once.
    """

    __slots__ = ("_known", "_write")

    def __init__(self, write: Callable[[int], str]) -> None:
        self._write = write
        self._known = (0, write(0))

    def at(self, second: int) -> str:
        known = self._known
        if known[0] != second:
            known = self._known = (second, self._write(second))
        return known[1]


def _log_time(second: int) -> str:
    year, month, day, hour, minute, sec, *_ = now = time.localtime(second)
    east = now.tm_gmtoff // 60
    zone = f"{'-' if east < 0 else '+'}{abs(east) // 60:02d}{abs(east) % 60:02d}"
    return f"[{day:02d}/{MONTHS[month - 1]}/{year:04d}:{hour:02d}:{minute:02d}:{sec:02d} {zone}]"


_FRACTIONS: Final[dict[str, Callable[[float], str]]] = {
    "sec": lambda moment: str(int(moment)),
    "msec": lambda moment: str(int(moment * 1e3)),
    "usec": lambda moment: str(int(moment * 1e6)),
    "msec_frac": lambda moment: f"{int(moment * 1e3) % 1_000:03d}",
    "usec_frac": lambda moment: f"{int(moment * 1e6) % 1_000_000:06d}",
}


def _moment(form: str | None) -> Piece | None:
    form = form or ""
    ended = form.startswith("end:")
    try:
        write = _written_as(form.removeprefix("end:" if ended else "begin:"))
    except ValueError:  # strftime's word for a form that this system does not have
        return None
    if ended:
        return lambda entry: write(entry.started + entry.seconds)
    return lambda entry: write(entry.started)


def _written_as(form: str) -> Callable[[float], str]:
    if form in _FRACTIONS:
        return _FRACTIONS[form]
    by_strftime = _EachSecond(
        (lambda second: time.strftime(form, time.localtime(second))) if form else _log_time
    )
    return lambda moment: by_strftime.at(int(moment))


# --- the table --------------------------------------------------------------------------------


def _among(**by_parameter: Piece) -> Callable[[str | None], Piece | None]:
    """A directive that takes one of these parameters; `plain` stands for none."""
    return lambda parameter: by_parameter.get("plain" if parameter is None else parameter)


def _end(host_and_port: tuple[str, int]) -> str:
    host, port = host_and_port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _peer_host(entry: Entry) -> str:
    return entry.peer[0]


def _local_port(entry: Entry) -> str:
    return str(entry.local[1])


def _seconds(entry: Entry) -> str:
    return str(int(entry.seconds))


def _microseconds(entry: Entry) -> str:
    return str(int(entry.seconds * 1e6))


def _milliseconds(read: Callable[[Entry], float | None]) -> Write:
    def write(entry: Entry) -> str:
        seconds = read(entry)
        return "-" if seconds is None else f"{seconds * 1e3:.3f}"

    return write


def _trace(read: Callable[[TraceContext], str]) -> Write:
    def write(entry: Entry) -> str:
        context = entry.head and trace_context(entry.head.fields)
        return read(context) if context else "-"

    return write


def _state(entry: Entry) -> str:
    return entry.end_state.upper()


def _process(_: Entry) -> str:
    return str(os.getpid())


def _left(entry: Entry) -> str:
    if entry.end_state == CUT:
        return "X"
    return "+" if entry.persists else "-"


_DIRECTIVES: Final[dict[str, Callable[[str | None], Piece | None]]] = {
    "%": _among(plain="%"),
    "A": _among(plain=lambda entry: entry.local[0]),
    "B": _among(plain=lambda entry: str(entry.size)),
    "D": _among(plain=_microseconds),
    "H": _among(plain=_of_head(lambda head: f"HTTP/1.{head.minor}")),
    "P": _among(plain=_process, pid=_process, tid=lambda _: str(threading.get_ident())),
    "T": _among(
        plain=_seconds,
        s=_seconds,
        us=_microseconds,
        ms=lambda entry: str(int(entry.seconds * 1e3)),
        queue_ms=_milliseconds(lambda entry: entry.queue_seconds),
        app_ms=_milliseconds(lambda entry: entry.app_seconds),
        write_ms=_milliseconds(lambda entry: entry.write_seconds),
    ),
    "U": _among(plain=_of_head(lambda head: head.path)),
    "L": _among(
        plain=lambda entry: entry.request_id,
        trace=_trace(lambda context: context.trace_id),
        parent=_trace(lambda context: context.parent_id),
    ),
    "X": _among(plain=_left, state=_state),
    "a": _among(
        plain=_peer_host,
        c=_peer_host,
        tuple=lambda entry: f"{entry.protocol} {_end(entry.peer)} {_end(entry.local)}",
    ),
    "b": _among(plain=lambda entry: str(entry.size or "-")),
    "h": _among(plain=_peer_host),
    "i": _request_field,
    "l": _among(plain="-"),
    "m": _among(plain=_of_head(lambda head: head.method)),
    "p": _among(
        plain=_local_port,
        canonical=_local_port,
        local=_local_port,
        remote=lambda entry: str(entry.peer[1]),
    ),
    "q": _among(plain=_of_head(_query)),
    "r": _among(plain=_of_head(lambda head: f"{head.method} {head.target} HTTP/1.{head.minor}")),
    "s": _among(plain=lambda entry: str(entry.status)),
    "t": _moment,
    "u": _among(plain="-"),
}
