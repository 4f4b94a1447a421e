"""A client of one life: says what its plan says, reads what comes, and is strict about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.simulation.carrier import Carrier
from server.simulation.kernel import Backlog, End
from server.simulation.plan import Ask, Visitor
from server.simulation.primitives import NEVER
from server.simulation.replies import Malformed, Reader

PATIENCE_SECONDS: Final = 1.6
"""For how long a client waits for anything, and then leaves."""

CONTINUE_SECONDS: Final = 0.3
"""For how long it waits for 100 (Continue)."""


PIECES_MAX: Final = 12
"""A request, or its content, comes in no more pieces than about these."""


class Over(Exception):
    """Nothing more can be said or read."""


class Guest:
    """One client, and the gate that it waits at. `end` is its connection, as the kernel has it.

    `ends` are where its requests end in what it has said. `saw_end`: it has read all, up to the
    end. `has_reset`: it has broken the connection itself. `note`, if there is one, is called of
    what it does.
    """

    def __init__(
        self, plan: Visitor, end: End, carrier: Carrier, note: Callable[[str], None] | None
    ) -> None:
        self.plan = plan
        self.end = end
        self.reader = Reader([one.method for one in plan.asks])
        self.is_open = False
        self.ends: list[int] = []
        self.said = 0
        self.taken = 0
        self.has_joined = False
        self.has_reset = False
        self.has_left = False
        self.saw_end = False
        self.fault = ""
        self._carrier = carrier
        self._note = note
        self._next_sip = 0.0
        if plan.buffer_bytes:
            end.room = plan.buffer_bytes
        end.heard = self._ring

    def _ring(self) -> None:
        self.is_open = True

    def _say_so(self, what: str) -> None:
        if self._note is not None:
            self._note(what)

    def live(self, backlog: Backlog) -> None:
        """Its whole visit."""
        if self.plan.starts:
            self._carrier.sleep(self.plan.starts)
        self.has_joined = backlog.join(self.end)
        self._say_so("connects" if self.has_joined else "is refused")
        if not self.has_joined:
            return
        try:
            for number, ask in enumerate(self.plan.asks):
                self._wait(lambda n=number: len(self.reader.finals) > n - self.plan.window)  # type: ignore[misc] # a default binds it
                self._say(ask)
            self._part()
        except Over:
            pass
        except Malformed as error:
            self.fault = str(error)
        self._leave()

    # --- saying -----------------------------------------------------------------------------

    def _say(self, ask: Ask) -> None:
        head, content = bytes_of(ask)
        whole = self.said + len(head) + len(content)
        if ask.form.startswith("expect"):
            self._send(head)
            before = self.reader.interims, len(self.reader.finals)
            self._wait(
                lambda: (self.reader.interims, len(self.reader.finals)) != before, CONTINUE_SECONDS
            )
            self._send(content)
        else:
            self._send(head + content)
        self.ends.append(whole)

    def _send(self, data: bytes) -> None:
        plan, step = self.plan, len(data)
        if plan.piece_bytes:
            step = max(plan.piece_bytes, len(data) // PIECES_MAX)
        for begin in range(0, len(data), step or 1):
            piece = data[begin : begin + step]
            if plan.end in ("mute", "reset") and self.said + len(piece) > plan.at:
                self._send_now(piece[: plan.at - self.said])
                self._stop()
            if begin and plan.gap_seconds:
                self._wait(None, plan.gap_seconds)
            elif begin:
                self._carrier.point()
            self._send_now(piece)

    def _send_now(self, piece: bytes) -> None:
        if self.end.closed or self.end.aborted:
            raise Over
        if piece:
            self.said += len(piece)
            if self._note is not None:
                self._note(f"sends {piece!r}")
            self.end.peer_sends(piece)

    def _stop(self) -> None:
        """In the middle of a request: fall silent, or break the connection. Raises Over."""
        if self.plan.end == "reset":
            self._reset()
        self._say_so("falls silent")
        self._wait(None)
        raise Over

    def _reset(self) -> None:
        self._say_so("resets")
        self.has_reset = True
        self.end.peer_resets()
        raise Over

    def _part(self) -> None:
        if self.plan.end == "half":
            self._say_so("ends its side")
            self.end.peer_ends()
            self._wait(None)
        elif self.plan.end in ("stay", "mute", "stop_reading"):
            self._wait(None)
        else:
            self._wait(lambda: len(self.reader.finals) >= len(self.plan.asks))

    def _leave(self) -> None:
        if self.has_reset or self.end.closed:
            return
        self.has_left = True
        self._say_so("leaves")
        if self.taken < len(self.end.received):
            self.end.peer_resets()  # what it has not read makes its close a reset
        else:
            self.end.peer_leaves()

    # --- reading ----------------------------------------------------------------------------

    def _wait(self, until: Callable[[], bool] | None, seconds: float = PATIENCE_SECONDS) -> bool:
        """Read what comes until this holds. False: it did not in time. Raises Over, Malformed."""
        carrier = self._carrier
        deadline = carrier.now + seconds
        while True:
            sip = self._read()
            if until is not None and until():
                return True
            if carrier.now >= deadline:
                return False
            self.is_open = False
            carrier.point(self, min(deadline, sip))

    def _read(self) -> float:
        """Read what there is; returns when it may read on. Raises Over when nothing will come."""
        plan, end, now = self.plan, self.end, self._carrier.now
        if end.was_reset:
            raise Over  # a reset, with which goes what nobody has read
        there = len(end.received) - self.taken
        if there and plan.end == "stop_reading" and self.taken >= plan.at:
            return NEVER
        if there and plan.sip_bytes:
            if now < self._next_sip:
                return self._next_sip
            there, self._next_sip = min(there, plan.sip_bytes), now + plan.sip_seconds
        if there:
            self._take(there)
        if self.taken < len(end.received):
            return self._next_sip
        if end.is_over:
            self.saw_end = True
            self._parse()
            raise Over
        return NEVER

    def _take(self, size: int) -> None:
        self.taken += size
        if self.plan.buffer_bytes:
            self.end.peer_takes(size)
        self._parse()
        if self._note is not None:
            self._note(f"reads {size} bytes, and has {len(self.reader.finals)} responses")
        if self.plan.end == "reset_reading" and self.taken >= self.plan.at:
            self._reset()

    def read_so_far(self) -> bytearray:
        """All bytes that it has read."""
        received = self.end.received
        return received if self.taken == len(received) else received[: self.taken]

    def _parse(self) -> None:
        self.reader.read(self.read_so_far(), is_over=self.saw_end)


def bytes_of(ask: Ask) -> tuple[bytes, bytes]:
    """A request as it is sent: its head, and what follows it."""
    if ask.raw:
        return ask.raw, b""
    target = f"http://a{ask.target}" if ask.form == "absolute" else ask.target
    lines = [f"{ask.method} {target} HTTP/1.{0 if ask.form == 'old' else 1}", "Host: a"]
    content = ask.content
    if ask.form == "upgrade":
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    if ask.form == "last":
        lines.append("Connection: close")
    if ask.form.startswith("expect"):
        lines.append("Expect: 100-continue")
    lines += ask.fields
    if ask.form.endswith("chunked"):
        lines.append("Transfer-Encoding: chunked")
        content = chunked(content)
    elif ask.method == "POST" or content:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode(), content


def chunked(content: bytes, chunk_bytes: int = 333) -> bytes:
    """The content in the chunked coding, with an extension and a trailer."""
    chunks = [content[i : i + chunk_bytes] for i in range(0, len(content), chunk_bytes)]
    coded = b"".join(b"%x;a=b\r\n%b\r\n" % (len(one), one) for one in chunks)
    return coded + b"0\r\nX-Trailer: t\r\n\r\n"
