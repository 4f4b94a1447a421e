"""A client that sends exactly the bytes it is told to, and reads exactly what comes."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

PATIENCE_SECONDS = 30.0
"""Far more than any answer takes: it ends a hanging test, and is no part of any."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One response as it came: names lower case, values as sent."""

    version: str
    status: int
    reason: str
    fields: dict[str, str]
    content: bytes


class Client:
    """One connection."""

    def __init__(self, address: tuple[str, int], *, receive_buffer_bytes: int = 0) -> None:
        self._socket = socket.socket()
        if receive_buffer_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.connect(address)
        self._read = b""

    @property
    def local(self) -> tuple[str, int]:
        name = self._socket.getsockname()
        return name[0], name[1]

    @property
    def peer(self) -> tuple[str, int]:
        name = self._socket.getpeername()
        return name[0], name[1]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        """End our side; the other may still answer."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def reply(self, *, to: str = "GET") -> Reply:
        """The next final response; interim ones are passed over. Raises EOFError at the end."""
        while True:
            head = self._until(b"\r\n\r\n").decode("latin-1")
            line, *lines = head.split("\r\n")
            version, status, reason = line.split(" ", 2)
            fields = {}
            for one in lines:
                name, _, value = one.partition(":")
                assert name.lower() not in fields, f"{name} came twice"
                fields[name.lower()] = value.strip()
            if int(status) >= 200:
                break
        size = int(fields.get("content-length", "0"))
        content = b"" if to == "HEAD" or int(status) in (204, 304) else self._exactly(size)
        return Reply(version, int(status), reason, fields, content)

    def interim(self) -> str:
        """The status line of the next response, which must be an interim one."""
        return self._until(b"\r\n\r\n").decode("latin-1")

    def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        data, self._read = self._read, b""
        while more := self._socket.recv(65_536):
            data += more
        return data

    def ended(self) -> bool:
        """Whether the server ends the connection without another byte."""
        return self.rest() == b""

    def close(self) -> None:
        self._socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        found, _, self._read = self._read.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _more(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise EOFError(f"the server ended after {self._read!r}")
        self._read += data
