"""What a parent and its child say to each other: JSON objects, one a line, over a pair of sockets.

From the parent, by `asks`:

    {"asks": "serve", "number": 3, "settings": {"threads": "4", ...}}   first, and once
    {"asks": "stop"}            drain; the second time, cut off what is left
    {"asks": "dump"}            let the flight recorder write down what it has
    {"asks": "tell", "id": 5, "what": "snapshot", "argument": {}}       answer this (`answers`)
    {"asks": "hear", "id": 9, "number": 2, "value": ...}    what process 2 has answered
    {"asks": "hear", "id": 9, "facts": {...}}               that was all, and what the parent knows

From the child, by `says`:

    {"says": "ready"}           it accepts
    {"says": "stopping"}        it stops, whoever has told it to
    {"says": "failed", "status": 1, "why": "one line"}      it could not start, and ends
    {"says": "told", "id": 5, "value": ...}                 the answer, null where there is none
    {"says": "wonders", "id": 9, "what": "snapshot", "argument": {}}    all are to answer this
    {"says": "ended", "status": 0, "account": {"accepted": 7, "answered": 7, ...},
     "snapshot": {...}}         its last word, and all that it has counted

`settings` are a Config's that differ from the defaults, as the command line would have them: text,
or a list of texts where an option may be repeated. The end of the stream says that the other is
gone. Whoever does not know a word passes over it, since parent and child may be of different
versions: a child that is started in a rolling restart has loaded newer code than its parent. So a
word may be added, and keeps its meaning.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Final

LOG = logging.getLogger("interlock.processes")

LINE_BYTES_MAX: Final = 1 << 20
"""No message is as long: what is, is none, and is thrown away."""

RECEIVE_BYTES: Final = 1 << 16

Message = Mapping[str, object]


def encoded(message: Message) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode("ascii") + b"\n"


class Decoder:
    """Makes messages of what comes in, whatever the pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now. What is none is logged, and passed over."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            LOG.error("a message is longer than %d bytes: passed over", LINE_BYTES_MAX)
            self._rest = b""
        for line in lines:
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if isinstance(found, dict):
                yield found
            else:
                LOG.error("no message: %r", line[:80])


def integer(message: Message, name: str, default: int = 0) -> int:
    """A number that a message has under this name; the default where it has none."""
    value = message.get(name, default)
    return value if isinstance(value, int) else default


def text(message: Message, name: str) -> str:
    """A text that a message has under this name, or an empty one."""
    value = message.get(name, "")
    return value if isinstance(value, str) else ""


def argument(message: Message, name: str) -> Mapping[str, object]:
    """An object that a message has under this name, or an empty one."""
    value = message.get(name)
    return value if isinstance(value, dict) else {}


def counts(message: Message, name: str) -> dict[str, int]:
    """The numbers by name that a message has under this name; none where it has none."""
    value = message.get(name)
    if not isinstance(value, dict):
        return {}
    return {str(key): one for key, one in value.items() if isinstance(one, int)}
