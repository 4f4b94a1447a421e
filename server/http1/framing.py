"""Where a request's message body ends: RFC 9112 section 6.3, as its numbered steps, returning a
value that says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from server.errors import ProtocolError
from server.http1 import grammar
from server.http1.messages import Fields


@dataclass(frozen=True, slots=True)
class NoBody:
    """Nothing follows the head."""


@dataclass(frozen=True, slots=True)
class FixedLength:
    """So many bytes follow the head."""

    size: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """Content in the chunked transfer coding follows the head."""


Framing = NoBody | FixedLength | Chunked
NO_BODY: Final = NoBody()
CHUNKED: Final = Chunked()


def framing_of(fields: Fields, *, minor: int) -> Framing:
    """How the request is framed. Raises ProtocolError, status 400 or 501, where that cannot be
    known for certain.
    """
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")

    # Steps 1 and 2 are about responses.

    # 3. Both fields: "ought to be handled as an error". A server may also drop Content-Length;
    #    what stands before us may have dropped the other one.
    if coding is not None and length is not None:
        raise ProtocolError("both Transfer-Encoding and Content-Length")

    # 4. Transfer-Encoding, with chunked as the final coding. Section 6.1 asks to treat the field
    #    in HTTP/1.0 as faulty framing, because what stands between may not have understood it.
    if coding is not None:
        if minor == 0:
            raise ProtocolError("Transfer-Encoding in an HTTP/1.0 request")
        check_codings(fields.all("transfer-encoding"))
        return CHUNKED

    if length is not None:
        # 5. An invalid Content-Length. Repeating the same number is refused too: no client needs
        #    to.
        if len(fields.all("content-length")) > 1:
            raise ProtocolError("Content-Length is repeated")
        if not grammar.CONTENT_LENGTH.fullmatch(length):
            raise ProtocolError(f"Content-Length is {length[:32]!r}, expected digits")
        # 6. A valid Content-Length.
        return FixedLength(int(length))

    # 7. A request without either. (Step 8 is about responses.)
    return NO_BODY


def check_codings(values: list[str]) -> None:
    """Raises ProtocolError unless `chunked` is the one transfer coding: 501 for one that we do not
    have, else 400.

    Empty list members are not skipped here, though RFC 9110 section 5.6.1 would: framing is no
    place for leniency.
    """
    if values == ["chunked"]:
        return
    names = []
    for member in ",".join(values).split(","):
        match = grammar.TRANSFER_CODING.fullmatch(member.strip(" \t"))
        if not match:
            raise ProtocolError("Transfer-Encoding is not a list of transfer codings")
        names.append(match[1].lower())
        # RFC 9112 section 7.1: parameters of chunked are an error.
        if names[-1] == "chunked" and match[2]:
            raise ProtocolError("chunked in Transfer-Encoding has parameters")
    if "chunked" in names[:-1]:
        raise ProtocolError("chunked in Transfer-Encoding is repeated or not final")
    unknown = [name for name in names if name != "chunked"]
    if unknown:
        raise ProtocolError(f"transfer coding {unknown[0][:32]} is not implemented", status=501)
