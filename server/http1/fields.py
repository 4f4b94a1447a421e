"""Field lines: from text to `Fields`, and what is wrong with one that is none (RFC 9112 section
5).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from server.errors import ContentError, ProtocolError
from server.http1 import grammar
from server.http1.messages import Field, Fields

WRITER_OWNED: Final = frozenset(
    {
        # They frame the message: RFC 9112 section 6, and 7.1.2 for Trailer.
        *("content-length", "transfer-encoding", "trailer"),
        # They speak of this connection only: RFC 9110 section 7.6.1 and 7.8.
        *("connection", "keep-alive", "proxy-connection", "te", "upgrade"),
    }
)
"""Response fields that no handler may set."""

NEVER_TRAILERS: Final = frozenset(
    {
        # Where the message ends, and whom it is for: RFC 9112 section 6, RFC 9110 section 7.2.
        *("content-length", "transfer-encoding", "host"),
        # What becomes of this connection: RFC 9110 section 7.6.1, 7.8 and 10.1.1.
        *("connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"),
    }
)
"""Field names that no trailer section may have (RFC 9110 section 6.5.1): they decide what must be
decided before the content is read.
"""


def byte_in_words(character: str) -> str:
    """How a message names a byte that must not be where it is: `byte 0x0d`."""
    return f"byte 0x{ord(character):02x}"


def fields_of(section: str, notes: dict[object, object] | None = None) -> Fields:
    """The fields of a section that the grammar has matched: lines that each end in CRLF."""
    lines = grammar.FIELD_LINE_PARTS.findall(section)
    # OWS after a value is rare; looking for it once is cheaper than stripping every value.
    if " \r\n" in section or "\t\r\n" in section:
        lines = [(name, value.rstrip(" \t")) for name, value in lines]
    return Fields(tuple(lines), notes)


def check_trailers(trailers: Fields) -> None:
    """Raises ProtocolError, status 400, for a trailer field that speaks of framing, of routing or
    of the connection.

    Dropping it would do for us, and RFC 9112 section 7.1.2 would let us. But only a mistake or an
    attack on whoever merges trailers into the head sends one, and no client needs to.
    """
    for name, _ in trailers:
        if name.lower() in NEVER_TRAILERS:
            raise ProtocolError(f"field {name} in a trailer section")


def check_field_line(line: str) -> None:
    """Raises ProtocolError, status 400, that says which rule the line breaks."""
    if grammar.FIELD_LINE.fullmatch(line):
        return
    if line[0] in " \t":
        raise ProtocolError("field line begins with whitespace (obs-fold is not accepted)")
    name, colon, value = line.partition(":")
    wrong = grammar.NOT_TCHAR.search(name)
    if not colon:
        raise ProtocolError("field line without a colon")
    if not name:
        raise ProtocolError("field line with an empty name")
    if wrong and name[-1] in " \t":
        raise ProtocolError("whitespace between field name and colon")
    if wrong:
        raise ProtocolError(f"field name contains {byte_in_words(wrong[0])}")
    bad = grammar.NOT_FIELD_VALUE.search(value)
    assert bad, "a line with a good name and a good value matches the rule"
    raise ProtocolError(f"value of field {name[:64]} contains {byte_in_words(bad[0])}")


@lru_cache(maxsize=512)
def lowered_response_name(name: str) -> str:
    """The name in lower case. Raises ContentError if no handler may set it, or it is none."""
    if not grammar.TOKEN.fullmatch(name):
        raise ContentError(f"response field name {name[:64]!r} is not a token")
    lowered = name.lower()
    if lowered in WRITER_OWNED:
        raise ContentError(f"response field {name} is the writer's own")
    return lowered


def check_response_value(field: Field) -> None:
    """Raises ContentError for a value that would break out of its line, or that is not latin-1."""
    name, value = field
    bad = grammar.NOT_FIELD_VALUE.search(value)
    if bad:
        raise ContentError(f"value of response field {name} contains {byte_in_words(bad[0])}")
