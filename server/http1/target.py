"""The request target in its four forms, and the host that it is for (RFC 9112 section 3.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from server.errors import ProtocolError
from server.http1 import grammar
from server.http1.fields import byte_in_words
from server.http1.messages import Fields

PORT_MAX = 65_535
HOST_BYTES_MAX = 255 + len(":65535")
"""A name of the DNS has at most 255 bytes (RFC 1035 section 2.3.4), and RFC 3986 section 3.2.2
asks to stay within.
"""


class Target(NamedTuple):
    """A request target in its parts. `authority` is None where the target names none and the Host
    field does.
    """

    path: str
    query: str
    authority: str | None


def target_of(method: str, text: str) -> Target:
    """The parts of a target that consists of visible ASCII.

    Raises ProtocolError: status 421 for an https resource, else 400 if no form fits.
    """
    if method == "CONNECT":
        return _authority_form(text)
    origin = grammar.ORIGIN_FORM.fullmatch(text)
    if origin:
        path, query = origin.groups("")
        return Target(path, query, None)
    if text == "*":
        if method != "OPTIONS":
            raise ProtocolError("target * is for OPTIONS only")
        return Target("*", "", None)
    absolute = grammar.ABSOLUTE_FORM.fullmatch(text)
    if absolute:
        return _absolute_form(method, absolute)
    raise _no_form(text)


def _absolute_form(method: str, match: re.Match[str]) -> Target:
    scheme, authority, path, query = match.groups()
    # RFC 9110 section 7.4: a request for an https resource MUST be refused unless the connection is
    # secured by a certificate for it. None is, here; a gateway that secures its own sends us the
    # origin-form.
    if scheme.lower() == "https":
        raise ProtocolError("target is for https, and this connection is plain", status=421)
    if scheme.lower() != "http":
        raise ProtocolError(f"target has the scheme {scheme[:32]}, expected http")
    # RFC 9110 section 4.2.4: userinfo from an untrusted source is an error; 4.2.1: so is an empty
    # host.
    if "@" in authority:
        raise ProtocolError("target contains userinfo")
    if not is_host(authority) or not authority or authority[0] == ":":
        raise ProtocolError("target has no valid host")
    if path is None:
        # RFC 9112 section 3.2.4: OPTIONS for a whole server, told in absolute-form.
        path = "*" if method == "OPTIONS" and query is None else "/"
    return Target(path, query or "", authority)


def _authority_form(text: str) -> Target:
    """authority-form = uri-host ":" port, with a port and a host: there is nothing to connect to
    without.
    """
    match = grammar.HOST.fullmatch(text)
    if not match or not match[1] or not match[2] or not is_host(text):
        raise ProtocolError("target of CONNECT is not host:port")
    return Target("", "", text)


def _no_form(text: str) -> ProtocolError:
    if "#" in text:
        return ProtocolError("target contains a fragment")
    if text[0] != "/" and "://" not in text:
        return ProtocolError("target is in none of the four forms")
    # What the pattern took is the longest beginning that fits, so that the byte after it is the
    # one that does not.
    match = grammar.ORIGIN_FORM.match(text) or grammar.ABSOLUTE_FORM.match(text)
    wrong = text[match.end() : match.end() + 1] if match else ""
    if wrong == "%":
        return ProtocolError("target contains a % without two hexadecimal digits")
    if not wrong:
        return ProtocolError("target is in none of the four forms")
    return ProtocolError(f"target contains {byte_in_words(wrong)}")


def is_host(value: str) -> bool:
    """Host = uri-host [ ":" port ], with a port that exists."""
    return len(value) <= HOST_BYTES_MAX and _is_short_host(value)


# A server is asked for few hosts, again and again, and the pattern is the costliest of the head.
@lru_cache(maxsize=256)
def _is_short_host(value: str) -> bool:
    match = grammar.HOST.fullmatch(value)
    return match is not None and int(match[2] or 0) <= PORT_MAX


def host_of(fields: Fields, *, minor: int) -> str:
    """The Host field's value, empty for an HTTP/1.0 request without one.

    Raises ProtocolError, status 400, if it is missing, repeated or invalid (RFC 9112 section 3.2),
    even where an absolute-form target overrides it.
    """
    value = fields.get("host")
    if value is None:
        if minor == 0:
            return ""
        raise ProtocolError("request without Host")
    if not is_host(value):
        raise ProtocolError("Host is not a valid host")
    if len(fields.all("host")) > 1:
        raise ProtocolError("Host is repeated")
    return value
