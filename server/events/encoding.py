"""Events as the bytes of an event stream (WHATWG HTML 9.2.6), encoded once for all who read."""

from __future__ import annotations

import json
from typing import Final

CHANNEL_CHARACTERS_MAX: Final = 256

GAP: Final = "gap"
"""The name of the event that tells a subscriber what it has lost. No application may use it."""


def lines_of(data: object, event: str | None) -> bytes:
    """The lines of one event but for its id, and the empty line that ends it.

    `data` is text, or bytes of UTF-8, sent as they are; anything else is sent as JSON. Each of its
    lines becomes a line of the stream, and whatever ended it (CR, LF or both) an LF for the client:
    a stream has no other line ends. Raises ValueError for data that is neither UTF-8 nor JSON, and
    for an event name with a line end in it; TypeError for what JSON cannot say.
    """
    content = _bytes_of(data)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = b"data: %b\n\n" % content.replace(b"\n", b"\ndata: ")
    return b"event: %b\n%b" % (_checked_name(event), lines) if event else lines


def _bytes_of(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        content = bytes(data)
        content.decode()  # a client would put U+FFFD for what is no UTF-8, and nobody would be told
        return content
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _checked_name(event: str) -> bytes:
    if event == GAP:
        raise ValueError(f"the event name {GAP!r} is the server's own: it tells what was lost")
    return one_line(event, "event name")


def one_line(text: str, what: str) -> bytes:
    """A text that is the rest of one line. Raises ValueError if it would be more than that."""
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"the {what} {text!r:.80} has a line end or NUL in it")
    return text.encode()


def check_channel(name: object) -> None:
    """Raises TypeError or ValueError for what is no name of a channel: one character at least, 256
    at most.
    """
    if not isinstance(name, str):
        raise TypeError(f"a channel is {name!r:.80}, expected its name as a str")
    if not 0 < len(name) <= CHANNEL_CHARACTERS_MAX:
        raise ValueError(
            f"a channel's name has {len(name)} characters, expected 1 to {CHANNEL_CHARACTERS_MAX}"
        )
