"""Responses on their way out: the writer behind spec/response.toml. It frames a message and holds
it to its word.

Guarantee: COMPLETE means that as many content bytes were framed as the head promised, so that what
follows on the connection is read as the next response by any client.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from server.errors import ContentError
from server.http1.fields import check_response_value, lowered_response_name
from server.http1.messages import RequestHead, Response
from server.http1.persistence import persists as connection_persists
from statemachine._generated import ResponseMachine, ResponseState

STATUS_MIN, STATUS_MAX = 200, 599
WITHOUT_CONTENT: Final = frozenset({204, 205, 304})
"""Statuses whose responses have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)."""
WITHOUT_LENGTH: Final = frozenset({204, 304})
"""Of these, the ones sent without Content-Length. RFC 9110 section 8.6 forbids it in 204; in 304
it would have to be the length of the 200 that is not sent, which the writer does not know. 205
says 0 (section 15.3.6).
"""


class ResponseWriter(ResponseMachine):
    """Frames the response to one request. `head` is that request's, None for one that could not be
    read.

    `framed_bytes` counts the content so far, without its coding. `persists` says, once the final
    head is framed, what that head told the peer about the connection. `server_name` is the Server
    field's value; empty leaves the field out.
    """

    __slots__ = ("_coded", "_head", "_promised_bytes", "_server_name", "framed_bytes", "persists")

    def __init__(self, head: RequestHead | None, *, server_name: str = "interlock") -> None:
        super().__init__()
        self._head = head
        self._server_name = server_name
        self._coded = False
        self._promised_bytes: int | None = 0
        self.framed_bytes = 0
        self.persists = False

    def has_content(self) -> bool:
        return self._promised_bytes is None or self._promised_bytes > 0

    def content_is_exact(self) -> bool:
        return self._promised_bytes is None or self.framed_bytes == self._promised_bytes

    def interim(self, status: int = 100) -> bytes:
        """An interim head. Raises ContentError for what is none, and for a client of HTTP/1.0,
        which knows none.

        RFC 9110 section 15.2. 101 would end HTTP on this connection and is none that we send.
        """
        if not 100 <= status <= 199 or status == 101:
            raise ContentError(f"status {status} is not an interim one that can be sent")
        if self._head is None or self._head.minor == 0:
            raise ContentError("an interim response is for HTTP/1.1 requests only")
        self.interim_framed()
        return _status_line(status).encode("ascii") + b"\r\n"

    def head_of(self, response: Response, *, date: bytes, persists: bool) -> bytes:
        """The final head. `date` is the Date field's value, `persists` whether the server allows
        another request.

        Raises ContentError, and leaves the state PENDING, for a response that cannot be framed:
        another answer is still possible then. The error names the field or the status.
        """
        status, content = response.status, response.content
        size = len(content) if isinstance(content, bytes) else content.size
        self._check(status, size)
        lines = [_status_line(status)]
        names = set()
        for field in response.fields:
            names.add(lowered_response_name(field[0]))
            check_response_value(field)
            lines.append(f"{field[0]}: {field[1]}\r\n")
        if self._server_name and "server" not in names:
            lines.insert(1, f"Server: {self._server_name}\r\n")
        if "date" not in names:
            lines.insert(1, f"Date: {date.decode('latin-1')}\r\n")
        self.persists = connection_persists(self._head, response.persists, persists)
        if size is None:
            self._coded = self._head is not None and self._head.minor > 0
            # HTTP/1.0 knows no codings: there the end of the connection is the end of the content.
            self.persists = self.persists and self._coded
            lines.append("Transfer-Encoding: chunked\r\n" if self._coded else "")
        elif status not in WITHOUT_LENGTH:
            lines.append(f"Content-Length: {size}\r\n")
        lines.append(self._connection_line())
        self._promised_bytes = 0 if self._answers("HEAD") else size
        self.head_framed()
        return "".join(lines).encode("latin-1")

    def content(self, data: bytes) -> bytes:
        """The bytes to send for a piece of content: itself, counted, or the chunk that it makes.
        No bytes make no chunk, for an empty one would be the last. Raises as `count` does.
        """
        self.count(len(data))
        return b"%x\r\n%b\r\n" % (len(data), data) if self._coded and data else data

    def count(self, size: int) -> None:
        """Take `size` content bytes as framed, which the transport sends by itself from a file.

        Raises ContentError, after firing `failed`, for more than the head promised, and
        IllegalEvent where none is owed.
        """
        promised = self._promised_bytes
        if self.state is not ResponseState.CONTENT or (
            promised is not None and self.framed_bytes + size > promised
        ):
            self.failed()
            raise ContentError(f"content over the {promised} bytes that were promised")
        self.framed_bytes += size

    def end(self) -> bytes:
        """End the content that `head_of` left owed; returns what is still to send, the last chunk
        or nothing. Raises ContentError if it has fewer bytes than the head promised, and
        IllegalEvent where no content is owed.
        """
        self.content_ended()
        if self.state is ResponseState.BROKEN:
            raise ContentError(
                f"content of {self.framed_bytes} bytes, {self._promised_bytes} were promised"
            )
        return b"0\r\n\r\n" if self._coded else b""

    def _check(self, status: int, size: int | None) -> None:
        if not STATUS_MIN <= status <= STATUS_MAX:
            raise ContentError(f"status {status} is not one of a final response")
        if size != 0 and status in WITHOUT_CONTENT:
            raise ContentError(f"a response with status {status} has no content")
        # RFC 9110 section 9.3.6: after it the connection would be a tunnel.
        if status < 300 and self._answers("CONNECT"):
            raise ContentError("CONNECT cannot be answered with success")

    def _connection_line(self) -> str:
        """The Connection field where it is needed, and the empty line."""
        if not self.persists:
            return "Connection: close\r\n\r\n"
        if self._head is not None and self._head.minor == 0:
            return "Connection: keep-alive\r\n\r\n"
        return "\r\n"

    def _answers(self, method: str) -> bool:
        return self._head is not None and self._head.method == method


# At most 600 statuses pass the checks before it.
@lru_cache(maxsize=600)
def _status_line(status: int) -> str:
    """status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4), with
    its CRLF.
    """
    known = {one.value: one.phrase for one in HTTPStatus}
    return f"HTTP/1.1 {status} {known.get(status, '')}\r\n"
