"""What a client has received of one response: just enough of HTTP/1.1 to know when it is whole."""

from __future__ import annotations

KEPT_BYTES_MAX = 64 * 1024
"""Content beyond this is counted and dropped: a client that asks for 20 MB shall be cheap."""


class Answer:
    """One response, as its bytes come. `status` is 0 until the head is whole."""

    __slots__ = ("_tail", "content", "content_bytes", "fields", "head", "status")

    def __init__(self) -> None:
        self.head = b""
        self.status = 0
        self.fields: dict[str, str] = {}
        self.content = b""
        self.content_bytes = 0
        self._tail = b""

    def receive(self, data: bytes) -> None:
        """Takes what has come. Raises ValueError for what is no response."""
        if self.status == 0:
            self.head += data
            head, separator, data = self.head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._read(head.decode("latin-1"))
        self.content_bytes += len(data)
        self.content += data[: KEPT_BYTES_MAX - len(self.content)]
        self._tail = (self._tail + data)[-5:]

    def _read(self, head: str) -> None:
        line, *fields = head.split("\r\n")
        version, status, *_ = line.split(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"no response: {line!r}")
        pairs = (field.partition(":") for field in fields)
        self.fields = {name.lower(): value.strip() for name, _, value in pairs}
        self.status = int(status)

    @property
    def whole(self) -> bool:
        """It has ended by its own account: its length, or its last chunk."""
        if self.status == 0:
            return False
        if "content-length" in self.fields:
            return self.content_bytes >= int(self.fields["content-length"])
        if self.fields.get("transfer-encoding", "").lower() == "chunked":
            return self._tail == b"0\r\n\r\n"
        return self.status in (204, 304)

    @property
    def ends_with_connection(self) -> bool:
        """Only the end of the connection is the end of its content (RFC 9112 section 6.3)."""
        delimited = self.fields.keys() & {"content-length", "transfer-encoding"}
        return self.status != 0 and not delimited

    @property
    def persists(self) -> bool:
        """The server will take another request on this connection."""
        return self.fields.get("connection", "").lower() != "close"
