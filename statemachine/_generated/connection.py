"""Generated from spec/connection.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ConnectionState(enum.Enum):
    """The states of machine connection."""

    PARKED = "PARKED"
    """Idle, or its next request is not complete yet."""

    QUEUED = "QUEUED"
    """One complete request waits for a worker."""

    EXCHANGING = "EXCHANGING"
    """A worker runs the handler and sends the response."""

    RELAYING = "RELAYING"
    """A worker makes the content, the reactor sends it, and all they share is a pipe."""

    FLUSHING = "FLUSHING"
    """The response is decided; bytes are left to send, and no worker waits."""

    REFUSING = "REFUSING"
    """The reactor sends an answer of its own: an error, or 503. No worker is concerned."""

    STREAMING = "STREAMING"
    """Subscribed to channels; the hub sends what is published, and no worker is held."""

    LINGERING = "LINGERING"
    """Our side has ended; what still comes is read and dropped, so that the peer can read our
    last words.
    """

    CLOSED = "CLOSED"
    """Over; the socket is closed, or about to be by the reactor."""

    __hash__ = object.__hash__


_INITIAL: Final = ConnectionState.PARKED


class ConnectionMachine(Model):
    """One accepted connection, from accept to close."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "connection"
    State: ClassVar[type[ConnectionState]] = ConnectionState
    state: ConnectionState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def request_received(self) -> None:
        """C1: PARKED → QUEUED."""
        raise Unbound(self, "request_received")

    def request_refused(self) -> None:
        """C2: PARKED → REFUSING."""
        raise Unbound(self, "request_refused")

    def deadline_passed(self) -> None:
        """C3: PARKED → REFUSING when request_began.

        C4: PARKED → CLOSED unless request_began.
        C19: FLUSHING → CLOSED.
        C24: LINGERING → CLOSED.
        C29: RELAYING → CLOSED.
        C36: REFUSING → CLOSED.
        C43: STREAMING → CLOSED.
        """
        raise Unbound(self, "deadline_passed")

    def peer_ended(self) -> None:
        """C5: PARKED → CLOSED.

        C22: LINGERING → CLOSED.
        C41: STREAMING → CLOSED.
        C47: EXCHANGING → CLOSED.
        """
        raise Unbound(self, "peer_ended")

    def peer_failed(self) -> None:
        """C6: PARKED → CLOSED.

        C15: EXCHANGING → CLOSED.
        C20: FLUSHING → CLOSED.
        C23: LINGERING → CLOSED.
        C30: RELAYING → CLOSED.
        C37: REFUSING → CLOSED.
        C42: STREAMING → CLOSED.
        """
        raise Unbound(self, "peer_failed")

    def cut(self) -> None:
        """C7: PARKED → CLOSED.

        C10: QUEUED → CLOSED.
        C21: FLUSHING → CLOSED.
        C25: LINGERING → CLOSED.
        C31: RELAYING → CLOSED.
        C38: REFUSING → CLOSED.
        C45: STREAMING → CLOSED.
        C46: EXCHANGING → CLOSED.
        """
        raise Unbound(self, "cut")

    def taken(self) -> None:
        """C8: QUEUED → EXCHANGING."""
        raise Unbound(self, "taken")

    def shed(self) -> None:
        """C9: QUEUED → REFUSING."""
        raise Unbound(self, "shed")

    def response_sent(self) -> None:
        """C11: EXCHANGING → PARKED when persists.

        C12: EXCHANGING → LINGERING unless persists.
        """
        raise Unbound(self, "response_sent")

    def send_blocked(self) -> None:
        """C13: EXCHANGING → FLUSHING."""
        raise Unbound(self, "send_blocked")

    def response_broken(self) -> None:
        """C14: EXCHANGING → CLOSED.

        C18: FLUSHING → CLOSED.
        C28: RELAYING → CLOSED.
        """
        raise Unbound(self, "response_broken")

    def flushed(self) -> None:
        """C16: FLUSHING → PARKED when persists.

        C17: FLUSHING → LINGERING unless persists.
        C34: REFUSING → PARKED when persists.
        C35: REFUSING → LINGERING unless persists.
        """
        raise Unbound(self, "flushed")

    def content_outran_peer(self) -> None:
        """C26: EXCHANGING → RELAYING."""
        raise Unbound(self, "content_outran_peer")

    def content_made(self) -> None:
        """C27: RELAYING → FLUSHING."""
        raise Unbound(self, "content_made")

    def revoked(self) -> None:
        """C32: EXCHANGING → REFUSING unless answer_began.

        C33: EXCHANGING → CLOSED when answer_began.
        """
        raise Unbound(self, "revoked")

    def subscribed(self) -> None:
        """C39: EXCHANGING → STREAMING."""
        raise Unbound(self, "subscribed")

    def stream_ended(self) -> None:
        """C40: STREAMING → LINGERING."""
        raise Unbound(self, "stream_ended")

    def fell_behind(self) -> None:
        """C44: STREAMING → CLOSED."""
        raise Unbound(self, "fell_behind")

    def room_needed(self) -> None:
        """C48: PARKED → CLOSED."""
        raise Unbound(self, "room_needed")

    def request_began(self) -> bool:
        """At least one byte of a request has come and the request is not complete."""
        raise Unbound(self, "request_began")

    def answer_began(self) -> bool:
        """The head of the final response has been framed: the peer may have some of it."""
        raise Unbound(self, "answer_began")

    def persists(self) -> bool:
        """Another request may follow: the request, the response and the server's phase all
        allow it (RFC 9112 section 9.3).
        """
        raise Unbound(self, "persists")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"request_began", "answer_began", "persists"}
    )
