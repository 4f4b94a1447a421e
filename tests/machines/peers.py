"""The two ends of the conversation: handlers that do what a request's path says, and peers that
hold what they read against what they asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.http1.messages import Request, Response
from tests.fakes import Disk, FakeTransport

Reply = tuple[int, dict[str, str], bytes]
"""Status, fields and content."""

UNHEARD = ("400", "408")
"""Answers to what was no whole request."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BIG = 3000

STATUSES: dict[str, int] = {
    "plain": 200,
    "big": 200,
    "file": 200,
    "short": 200,
    "close": 200,
    "empty": 204,
    "raise": 500,
    "exit": 500,
    "none": 500,
    "unframeable": 500,
    "unframeable-file": 500,
    "odd-file": 500,
}
"""What a handler is asked to do, and the status of what comes of it."""

CUT = frozenset(
    {"C7", "C10", "C14", "C15", "C18", "C19", "C20", "C21", "C6", "C23", "C36", "C37", "C38", "C46"}
)
"""Arrows after which the last response may be incomplete."""


class Answers:
    """The handler. Its paths are /KIND/NUMBER."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.calls: list[str] = []

    def __call__(self, request: Request) -> Response:
        path = request.head.path
        self.calls.append(path)
        kind = path.split("/")[1]
        name = path.encode()
        if kind == "raise":
            raise ValueError("the handler's own mistake")
        if kind == "exit":
            raise SystemExit(3)
        if kind == "none":
            return None  # type: ignore[return-value] # as handlers do
        if kind == "odd-file":
            odd = (("X", 7),)
            return Response(200, odd, self._disk.region(b"x"))  # type: ignore[arg-type] # the same
        return {
            "plain": lambda: Response(200, content=name),
            "big": lambda: Response(200, content=name.ljust(BIG, b".")),
            "file": lambda: Response(200, content=self._disk.region(name.ljust(BIG, b"."))),
            "short": lambda: Response(
                200, content=self._disk.region(name.ljust(BIG, b"."), claims=BIG + 1)
            ),
            "close": lambda: Response(200, content=name, persists=False),
            "empty": lambda: Response(204),
            "unframeable": lambda: Response(304, content=b"x"),
            "unframeable-file": lambda: Response(304, content=self._disk.region(b"x")),
        }[kind]()


@dataclass
class Asked:
    """One request that a peer has begun to send. `ends_at` counts the bytes of its connection."""

    method: str
    path: str
    ends_at: int

    @property
    def kind(self) -> str:
        return self.path.split("/")[1]


@dataclass
class Peer:
    """One client. What it says may lie on its way (`unsent`) and arrive in any pieces."""

    transport: FakeTransport
    asked: list[Asked] = field(default_factory=list)
    said: int = 0
    unsent: bytearray = field(default_factory=bytearray)
    sent: int = 0
    spoke_nonsense: bool = False
    is_silent: bool = False

    def ask(
        self, method: str, path: str, *, content: bytes = b"", fields: tuple[str, ...] = ()
    ) -> None:
        """Say one whole request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields]
        if content:
            lines.append(f"Content-Length: {len(content)}")
        self.say("\r\n".join([*lines, "", ""]).encode() + content)
        self.asked.append(Asked(method, path, self.said))

    def say(self, data: bytes) -> None:
        self.unsent += data
        self.said += len(data)

    def deliver(self, size: int | None = None) -> None:
        """Let the next bytes arrive; all of them without a size."""
        data = bytes(self.unsent[: size if size is not None else len(self.unsent)])
        del self.unsent[: len(data)]
        if not self.transport.closed:
            self.sent += len(data)
            self.transport.peer_sends(data)

    # --- what it got ------------------------------------------------------------------------

    def statuses(self) -> list[int]:
        """The final responses that have come whole."""
        return [status for status, _, _ in self.replies()[0]]

    def replies(self) -> tuple[list[Reply], bytes]:
        """The final responses that have come whole, in order, and the bytes after the last."""
        replies: list[Reply] = []
        rest = bytes(self.transport.received)
        while b"\r\n\r\n" in rest:
            head, after = rest.split(b"\r\n\r\n", 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            version, status = first.split(" ")[:2]
            assert version == "HTTP/1.1", f"not a response: {first!r}"
            if status == "100":
                rest = after
                continue
            fields = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
            method = "GET"
            if len(replies) < len(self.asked) and status not in UNHEARD:
                method = self.asked[len(replies)].method
            size = int(fields.get("content-length", 0)) if method != "HEAD" else 0
            if status in UNHEARD and len(after) < size:
                size = 0  # it knew that HEAD was asked, and refused the content
            if len(after) < size:
                break
            replies.append((int(status), fields, after[:size]))
            rest = after[size:]
        return replies, rest

    def check(self, trail: list[str], *, struck: bool = False) -> None:
        """Whole responses in the order of the requests, and the last one too unless it was cut."""
        replies, rest = self.replies()
        for number, (status, fields, content) in enumerate(replies):
            closing = fields.get("connection") == "close"
            assert not closing or number == len(replies) - 1, "more after the last response"
            if str(status) in UNHEARD:
                assert closing, "a refused peer is heard no more"
                continue
            asked = self.asked[number]
            assert asked.ends_at <= self.sent, f"{asked} was answered before it had come"
            expected = (STATUSES[asked.kind], 503, 500 if struck else 503)
            assert status in expected, f"{asked} was answered {status}"
            if status == 200 and asked.method != "HEAD":
                assert content.startswith(asked.path.encode()), f"{asked} got {content[:40]!r}"
        last = trail[-1] if trail else ""
        if last in CUT:
            return
        if rest and CONTINUE.startswith(rest):
            assert last in ("C4", "C5"), "half an interim response"
        else:
            assert not rest, f"bytes that are no response after {last}: {rest[:60]!r}"
        if not struck:
            self._check_none_forgotten(len(replies), trail)

    def _check_none_forgotten(self, answered: int, trail: list[str]) -> None:
        """A connection that ended in silence owed no answer."""
        if trail[-1:] == ["C4"] and not self.transport.unread_at_close:
            arrived = sum(1 for one in self.asked if one.ends_at <= self.sent)
            assert answered == arrived, f"{arrived} requests came, {answered} were answered"
