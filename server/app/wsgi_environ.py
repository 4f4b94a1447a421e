"""What a WSGI application is told of a request: its environ (PEP 3333, "environ Variables").

Whatever is text there holds bytes, one a character (latin-1), as the PEP asks.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

from server.app.event_streams import EventSource
from server.app.wsgi_files import FileWrapper
from server.http1.messages import Field, Fields, Request, RequestHead

LOG = logging.getLogger("interlock.app")

ERROR_LINE_CHARACTERS_MAX: Final = 8192
"""What an application writes to `wsgi.errors` without ending its line is logged in such pieces."""


class _Begun(threading.local):
    """The line that a thread has begun. It goes with the thread."""

    text = ""


class ErrorStream:
    """`wsgi.errors`: each line becomes one entry of the log `interlock.app`.

    Threads: any. What one thread writes is never mixed with another's, even within a line:
    `begun.text` is the line that the calling one has begun.
    """

    def __init__(self) -> None:
        self.begun = _Begun()

    def write(self, text: str) -> int:
        """Log the lines that `text` ends; the rest waits for its end, or for `flush`."""
        *lines, rest = (self.begun.text + text).split("\n")
        for line in lines:
            LOG.error("%s", line)
        while len(rest) > ERROR_LINE_CHARACTERS_MAX:
            LOG.error("%s", rest[:ERROR_LINE_CHARACTERS_MAX])
            rest = rest[ERROR_LINE_CHARACTERS_MAX:]
        self.begun.text = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all of them; they bring their own line ends."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what this thread has begun."""
        text = self.begun.text
        if text:
            self.begun.text = ""
            LOG.error("%s", text)


def environ_base(
    errors: ErrorStream, *, url_scheme: str, events: EventSource | None = None
) -> WSGIEnvironment:
    """What is the same for every request."""
    ours = {} if events is None else {"interlock.events": events}
    return ours | {
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": "interlock",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url_scheme,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # Reading ends where the content does, so that nobody needs CONTENT_LENGTH to be safe.
        "wsgi.input_terminated": True,
    }


_Known = tuple[tuple[str, int], WSGIEnvironment]
"""The address that a request came to, and what is the same for others like it."""


class Environs:
    """Makes the environs of one application's requests: `base`, and what the request says.

    What the head and its fields say is made once for all requests that share them. Threads: any;
    two that make it at once make the same.
    """

    __slots__ = ("_base",)

    def __init__(self, base: WSGIEnvironment) -> None:
        self._base = base

    def environ_of(self, request: Request) -> WSGIEnvironment:
        """The environ of one request, which is the application's to change."""
        head, content, local = request.head, request.content, request.local
        notes = head.notes
        if notes is None:
            environ = _environ_of(head, self._with_fields(head.fields), local)
        else:
            known: _Known | None = notes.get(self)  # type: ignore[assignment] # our own
            if known is None:
                made = _environ_of(head, self._with_fields(head.fields), local)
                known = notes[self] = local, made
            environ = known[1].copy()
            if known[0] != local:
                _name_the_server(environ, local)
        environ["REMOTE_ADDR"], remote_port = request.peer
        environ["REMOTE_PORT"] = str(remote_port)
        # The file itself: it has the methods of the PEP, stands at its beginning, and ends.
        environ["wsgi.input"] = io.BytesIO(content) if isinstance(content, bytes) else content
        if head.chunked:
            environ["CONTENT_LENGTH"] = str(_size(request))
        return environ

    def _with_fields(self, fields: Fields) -> WSGIEnvironment:
        """`base`, and what the fields say: nobody may change it."""
        notes = fields.notes
        if notes is None:
            return _environ_with(fields, self._base)
        known: WSGIEnvironment | None = notes.get(self)  # type: ignore[assignment]
        if known is None:
            known = notes[self] = _environ_with(fields, self._base)
        return known


def _environ_with(fields: Fields, base: WSGIEnvironment) -> WSGIEnvironment:
    environ = base.copy()
    for name, value in fields.lines:
        key = key_of(name)
        if key in environ:
            _join(environ, key, (name, value))
        elif key:
            environ[key] = value
    return environ


def _environ_of(
    head: RequestHead, base: WSGIEnvironment, local: tuple[str, int]
) -> WSGIEnvironment:
    """What is the same for every request with this head that comes to this address. `base` has its
    fields.

    PATH_INFO is decoded once. It is empty for the target `*`, which names the server and no path;
    REQUEST_URI and RAW_URI have the target as it came.
    """
    path, target = head.path, head.target
    environ = {
        **base,
        "REQUEST_METHOD": head.method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1") if "%" in path else path,
        "QUERY_STRING": head.query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": "HTTP/1.1" if head.minor else "HTTP/1.0",
    }
    if head.content_length is not None:
        environ["CONTENT_LENGTH"] = str(head.content_length)
    if target[:1] != "/":
        _name_the_target(environ, head)
    _name_the_server(environ, local)
    return environ


def _name_the_server(environ: WSGIEnvironment, local: tuple[str, int]) -> None:
    """The address that the request came to."""
    name, port = local
    # RFC 3875 4.1.14: an IPv6 address stands in brackets here, for URLs are made of it.
    environ["SERVER_NAME"] = f"[{name}]" if ":" in name else name
    environ["SERVER_PORT"] = str(port)


@lru_cache(maxsize=512)  # clients send a few dozen names; what an attacker makes up is bounded
def key_of(name: str) -> str:
    """The environ's key for a request field, empty for one that is kept from the application.

    - A name with an underscore, for it would be taken for the one with a hyphen: a proxy that
      removes a client's X-Forwarded-For lets X_Forwarded_For pass.
    - Proxy, which would be HTTP_PROXY: client libraries read that from the environment as their own
      setting ("httpoxy", CVE-2016-5385).
    - Content-Length and Transfer-Encoding: the content is whole and decoded, so that neither speaks
      of what the application reads (RFC 9112 7.1.3). CONTENT_LENGTH is the number of its bytes,
      and so is there for chunked content too, which most frameworks could not read without.
    """
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    if key in ("PROXY", "CONTENT_LENGTH", "TRANSFER_ENCODING"):
        return ""
    return key if key == "CONTENT_TYPE" else f"HTTP_{key}"


def _join(environ: WSGIEnvironment, key: str, line: Field) -> None:
    """Add a repeated field's value (RFC 9110 5.3); Cookie has its own separator (RFC 6265 5.4)."""
    separator = "; " if key == "HTTP_COOKIE" else ", "
    environ[key] = f"{environ[key]}{separator}{line[1]}"


def _name_the_target(environ: WSGIEnvironment, head: RequestHead) -> None:
    """A target in absolute-form, authority-form or asterisk-form."""
    if environ["PATH_INFO"] == "*":
        environ["PATH_INFO"] = ""
    # RFC 9112 3.2.2: what the target names counts, and Host is ignored.
    if head.authority:
        environ["HTTP_HOST"] = head.authority


def _size(request: Request) -> int:
    """The bytes of content, which stands at its beginning before and after."""
    content = request.content
    if isinstance(content, bytes):
        return len(content)
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    return size
