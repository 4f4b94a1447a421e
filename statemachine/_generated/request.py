"""Generated from spec/request.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class RequestState(enum.Enum):
    """The states of machine request."""

    AWAITED = "AWAITED"
    """No byte of the next request has come."""

    HEAD = "HEAD"
    """The request line or the header section is not complete."""

    CONTENT = "CONTENT"
    """The head is complete, the content is not."""

    COMPLETE = "COMPLETE"
    """Wholly received; what comes after it belongs to the next request."""

    ENDED = "ENDED"
    """The peer ended between two requests, as it may."""

    INCOMPLETE = "INCOMPLETE"
    """The peer ended within a request."""

    REFUSED = "REFUSED"
    """Not a request that we read: answered with an error, and the connection ends."""

    __hash__ = object.__hash__


_INITIAL: Final = RequestState.AWAITED


class RequestMachine(Model):
    """One request message on its way in (RFC 9112 section 2)."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "request"
    State: ClassVar[type[RequestState]] = RequestState
    state: RequestState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def began(self) -> None:
        """R1: AWAITED → HEAD."""
        raise Unbound(self, "began")

    def peer_ended(self) -> None:
        """R2: AWAITED → ENDED.

        R6: HEAD → INCOMPLETE.
        R9: CONTENT → INCOMPLETE.
        """
        raise Unbound(self, "peer_ended")

    def head_ended(self) -> None:
        """R3: HEAD → CONTENT when request_has_content.

        R4: HEAD → COMPLETE unless request_has_content.
        """
        raise Unbound(self, "head_ended")

    def refused(self) -> None:
        """R5: HEAD → REFUSED.

        R8: CONTENT → REFUSED.
        """
        raise Unbound(self, "refused")

    def content_ended(self) -> None:
        """R7: CONTENT → COMPLETE."""
        raise Unbound(self, "content_ended")

    def renewed(self) -> None:
        """R10: COMPLETE → AWAITED."""
        raise Unbound(self, "renewed")

    def has_content(self) -> bool:
        """Its framing announces content: Content-Length above zero, or chunked."""
        raise Unbound(self, "has_content")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"has_content"}
    )
