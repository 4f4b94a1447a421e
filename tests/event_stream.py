"""An event stream as a browser reads it: WHATWG HTML 9.2.6, step by step."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One event that was dispatched: `type`, `data` and `lastEventId` of its MessageEvent."""

    type: str
    data: str
    id: str

    def json(self) -> Any:
        return json.loads(self.data)


class EventStreamParser:
    """Fed bytes as they come. `last_event_id` is what a reconnection would send."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._text = ""
        self._begun = False
        self._data = self._type = self._id = ""
        self.last_event_id = ""
        self.reconnection_milliseconds: int | None = None
        self.comments: list[str] = []

    def feed(self, data: bytes) -> list[Message]:
        """The events that these bytes complete."""
        self._text += self._decode(data)
        if not self._begun and self._text:
            self._begun = True
            self._text = self._text.removeprefix("\ufeff")
        found = []
        while (line := self._line()) is not None:
            message = self._process(line)
            if message is not None:
                found.append(message)
        return found

    def _line(self) -> str | None:
        ends = [at for at in map(self._text.find, "\r\n") if at >= 0]
        if not ends or (self._text[min(ends)] == "\r" and min(ends) + 1 == len(self._text)):
            return None  # a CR at the end may be half of a CRLF
        at = min(ends)
        line, rest = self._text[:at], self._text[at:]
        self._text = rest[2:] if rest.startswith("\r\n") else rest[1:]
        return line

    def _process(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments.append(line[1:])
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.reconnection_milliseconds = int(value)
        return None

    def _dispatch(self) -> Message | None:
        self.last_event_id = self._id
        data, kind = self._data, self._type
        self._data = self._type = ""
        if not data:
            return None
        return Message(kind or "message", data.removesuffix("\n"), self._id)


class ChunkedDecoder:
    """The chunked coding, taken off again. `ended` says that the last chunk has come."""

    def __init__(self) -> None:
        self._left = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The content of these bytes' whole chunks."""
        self._left += data
        content = b""
        while not self.ended:
            line, found, rest = self._left.partition(b"\r\n")
            size = int(line, 16) if found else 0
            if not found or len(rest) < size + 2:
                break
            assert rest[size : size + 2] == b"\r\n", rest[:60]
            content += rest[:size]
            self._left = rest[size + 2 :]
            self.ended = size == 0
        assert not (self.ended and self._left), self._left
        return content
