"""The head that a WSGI application gives: what `start_response` is called with (PEP 3333)."""

from __future__ import annotations

import re
from functools import lru_cache
from types import TracebackType
from typing import Final

from server.http1 import grammar
from server.http1.messages import Field

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
"""What `sys.exc_info()` gives."""


class ApplicationError(AssertionError):
    """An application broke PEP 3333. An AssertionError, as `wsgiref.validate` raises them."""


# PEP 3333: "a string of the form "999 Message here"", without control characters. A status without
# a message is common, and harmless.
_STATUS: Final = re.compile(r"([0-9]{3})(?: [^\x00-\x1f\x7f]*)?")

HOP_BY_HOP: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "trailers", "transfer-encoding", "upgrade", "proxy-connection"),
    }
)
"""What no application may set (PEP 3333, "Other HTTP Features"): RFC 2616 13.5.1's list, and
Proxy-Connection. `Trailers` is that list's own misspelling.
"""


Head = tuple[int, tuple[Field, ...], int | None]
"""A status code, the fields without Content-Length, and the size that this declared."""


def head_of(status: object, headers: object) -> Head:
    """The head of a response, as `status_of` and `fields_of` say. Raises ApplicationError."""
    if type(headers) is list:
        try:
            return _kept_head(status, tuple(headers))
        except TypeError:  # something in it has no hash: what it should be will be said below
            pass
    return status_of(status), *fields_of(headers)


@lru_cache(maxsize=512)  # what an application answers again and again
def _kept_head(status: object, headers: tuple[object, ...]) -> Head:
    return status_of(status), *fields_of(list(headers))


@lru_cache(maxsize=128)  # applications use few
def status_of(text: object) -> int:
    """The status code of a text like `200 OK`. Raises ApplicationError.

    Whether a response may have it, the writer knows. The reason phrase is the writer's own, too
    (RFC 9112 4: a client ought to ignore it).
    """
    found = _STATUS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ApplicationError(f"the status is {text!r:.80}, expected one like '200 OK'")
    return int(found[1])


def fields_of(headers: object) -> tuple[tuple[Field, ...], int | None]:
    """The fields of a list of names and values, without Content-Length, and the size that this
    declares, None where it is not there.

    Raises ApplicationError. Names and values are held against the grammar by the writer.
    """
    if not isinstance(headers, list):
        raise ApplicationError(f"the headers are a {type(headers).__name__}, expected a list")
    size: int | None = None
    fields = []
    for field in headers:
        if not isinstance(field, tuple) or len(field) != 2:
            raise ApplicationError(f"a header is {field!r:.80}, expected a tuple of name and value")
        name, value = field
        if not isinstance(name, str) or not isinstance(value, str):
            raise ApplicationError(f"a header is {field!r:.80}, expected name and value to be str")
        lowered = _lowered(name)
        if lowered != "content-length":
            fields.append(field)
        elif size is not None or not grammar.CONTENT_LENGTH.fullmatch(value):
            raise ApplicationError(f"Content-Length is {value!r:.32}, expected one number")
        else:
            size = int(value)
    return tuple(fields), size


@lru_cache(maxsize=512)
def _lowered(name: str) -> str:
    lowered = name.lower()
    if lowered in HOP_BY_HOP:
        raise ApplicationError(f"{name} is a hop-by-hop field, which is the server's own")
    return lowered


def error_of(exc_info: ExcInfo) -> BaseException:
    """The error that `exc_info` is about, with its traceback. Raises ApplicationError."""
    error = exc_info[1]
    if error is None:
        raise ApplicationError("start_response was called with an exc_info of no exception")
    return error.with_traceback(exc_info[2])
