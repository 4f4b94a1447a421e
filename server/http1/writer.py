"""Responses on their way out: the writer behind spec/response.toml. It frames a message and holds
it to its word.

Guarantee: COMPLETE means that as many content bytes were framed as the head promised, so that what
follows on the connection is read as the next response by any client.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from server.errors import ContentError
from server.http1.fields import check_response_value, lowered_response_name
from server.http1.messages import Field, RequestHead, Response
from statemachine._generated import ResponseMachine, ResponseState

STATUS_MIN, STATUS_MAX = 200, 599
WITHOUT_CONTENT: Final = frozenset({204, 205, 304})
"""Statuses whose responses have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)."""
WITHOUT_LENGTH: Final = frozenset({204, 304})
"""Of these, the ones sent without Content-Length. RFC 9110 section 8.6 forbids it in 204; in 304
it would have to be the length of the 200 that is not sent, which the writer does not know. 205
says 0 (section 15.3.6).
"""


WITHOUT_USUAL_CONTENT: Final = frozenset({"HEAD", "CONNECT"})
"""Methods whose answers may not be framed as those of all others are (RFC 9110 sections 9.3.2 and
9.3.6)."""

CONTENT: Final = ResponseState.CONTENT
KEPT_HEADS_MAX: Final = 256
"""Of so many different responses are the checked lines kept."""


class ResponseWriter(ResponseMachine):
    """Frames the response to one request. `head` is that request's, None for one that could not be
    read.

    `status` is the response's, 0 as long as there is none. `framed_bytes` counts the content so
    far, without its coding; `told_bytes` is its size where somebody else will frame the rest of it,
    out of a file. `persists` says, once the final
    head is framed, what that head told the peer about the connection; `coded`, whether the content
    is in the chunked coding. `server_name` is the Server field's value; empty leaves the field out.
    """

    __slots__ = (
        "_head", "_promised_bytes", "_server_name", "coded", "framed_bytes", "persists", "status",
        "told_bytes",
    )  # fmt: skip

    def __init__(self, head: RequestHead | None, *, server_name: str = "interlock") -> None:
        ResponseMachine.__init__(self)
        self._head = head
        self._server_name = server_name
        self.coded = False
        self._promised_bytes: int | None = 0
        self.framed_bytes = 0
        self.persists = False
        self.status = 0
        self.told_bytes: int | None = None

    @property
    def size(self) -> int:
        """The content's size in bytes, as the logs tell it."""
        return self.framed_bytes if self.told_bytes is None else self.told_bytes

    def has_content(self) -> bool:
        return self._promised_bytes is None or self._promised_bytes > 0

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection says where the content ends: HTTP/1.0 knows no
        coding that could (RFC 9112 section 6.3, step 8).
        """
        return self._promised_bytes is None and not self.coded

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
        self.status = status
        self.interim_framed()
        return _status_line(status).encode("ascii") + b"\r\n"

    def head_of(self, response: Response, *, date: bytes, persists: bool) -> bytes:
        """The final head. `date` is the Date field's value, `persists` whether the server allows
        another request.

        Raises ContentError, and leaves the state PENDING, for a response that cannot be framed:
        another answer is still possible then. The error names the field or the status.
        """
        status, content, head = response.status, response.content, self._head
        size = len(content) if isinstance(content, bytes) else content.size
        method = "" if head is None else head.method
        if status in WITHOUT_CONTENT or method == "CONNECT":
            _check(status, size, method)
        fields = response.fields
        try:
            lines = _kept_lines(status, fields, self._server_name, date)
        except TypeError:  # not a tuple of tuples: it has no hash
            lines = _lines_of(status, fields, self._server_name, date)
        persists = persists and response.persists and head is not None and head.persists
        if size is None:
            self.coded = head is not None and head.minor > 0
            # HTTP/1.0 knows no codings: there the end of the connection is the end of the content.
            persists = persists and self.coded
        self.status, self.persists = status, persists
        self._promised_bytes = 0 if method == "HEAD" else size
        self.head_framed()
        if not persists:
            end = b"Connection: close\r\n\r\n"
        elif head is not None and head.minor == 0:
            end = b"Connection: keep-alive\r\n\r\n"
        else:
            end = b"\r\n"
        if size is None:
            return lines + (b"Transfer-Encoding: chunked\r\n" if self.coded else b"") + end
        if status in WITHOUT_LENGTH:
            return lines + end
        return b"%bContent-Length: %d\r\n%b" % (lines, size, end)

    def message_of(self, response: Response, content: bytes, date: bytes, persists: bool) -> bytes:
        """The whole message: the head, and `content`, which is the response's own, if the request
        asks for any. Raises as `head_of` does.
        """
        asked, status = self._head, response.status
        if (
            asked is None
            or not persists
            or not (asked.persists and response.persists)
            or asked.minor == 0
            or not content
            or asked.method in WITHOUT_USUAL_CONTENT
            or status in WITHOUT_CONTENT
        ):
            head = self.head_of(response, date=date, persists=persists)
            if self.state is not CONTENT:
                return head
            self.framed_bytes = len(content)
            self.content_ended()
            return head + content
        # The usual case, of which `head_of` would say the same: written out, for this is done for
        # each request.
        try:
            lines = _kept_lines(status, response.fields, self._server_name, date)
        except TypeError:
            lines = _lines_of(status, response.fields, self._server_name, date)
        self.status = status
        self.persists = True
        self._promised_bytes = self.framed_bytes = size = len(content)
        self.head_framed()
        self.content_ended()
        return b"%bContent-Length: %d\r\n\r\n%b" % (lines, size, content)

    def content(self, data: bytes) -> bytes:
        """The bytes to send for a piece of content: itself, counted, or the chunk that it makes.
        No bytes make no chunk, for an empty one would be the last. Raises as `count` does.
        """
        self.count(len(data))
        return chunk(data) if self.coded and data else data

    def count(self, size: int) -> None:
        """Take `size` content bytes as framed, which the transport sends by itself from a file.

        Raises ContentError, after firing `failed`, for more than the head promised, and
        IllegalEvent where none is owed.
        """
        promised = self._promised_bytes
        if self.state is not CONTENT or (
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
        return b"0\r\n\r\n" if self.coded else b""


def _check(status: int, size: int | None, method: str) -> None:
    if size != 0 and status in WITHOUT_CONTENT:
        raise ContentError(f"a response with status {status} has no content")
    # RFC 9110 section 9.3.6: after it the connection would be a tunnel.
    if status < 300 and method == "CONNECT":
        raise ContentError("CONNECT cannot be answered with success")


def _lines_of(status: int, fields: Iterable[Field], server_name: str, date: bytes) -> bytes:
    """The lines of a head that do not depend on its message. Where the handler has set Date itself,
    that counts. Raises ContentError.
    """
    if not STATUS_MIN <= status <= STATUS_MAX:
        raise ContentError(f"status {status} is not one of a final response")
    lines = []
    names = set()
    for field in fields:
        names.add(lowered_response_name(field[0]))
        check_response_value(field)
        lines.append(f"{field[0]}: {field[1]}\r\n")
    begin = _status_line(status)
    if "date" not in names:
        begin += f"Date: {date.decode('ascii')}\r\n"
    if server_name and "server" not in names:
        begin += f"Server: {server_name}\r\n"
    return (begin + "".join(lines)).encode("latin-1")


# Applications answer with the same few heads within a second, but for what they set in cookies and
# validators.
_kept_lines = lru_cache(maxsize=KEPT_HEADS_MAX)(_lines_of)


def chunk(data: bytes) -> bytes:
    """A piece of content in the chunked coding (RFC 9112 section 7.1). It must have bytes: an empty
    one would be the last.
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


RENAMED: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Reason phrases of RFC 9110 section 15.5, where Python before 3.13 has those of older ones."""


# At most 600 statuses pass the checks before it.
@lru_cache(maxsize=600)
def _status_line(status: int) -> str:
    """status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4), with
    its CRLF.
    """
    known = {one.value: one.phrase for one in HTTPStatus} | RENAMED
    return f"HTTP/1.1 {status} {known.get(status, '')}\r\n"
