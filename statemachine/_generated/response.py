"""Generated from spec/response.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ResponseState(enum.Enum):
    """The states of machine response."""

    PENDING = "PENDING"
    """No final head has been framed; any answer is still possible."""

    CONTENT = "CONTENT"
    """The head is framed; content is owed."""

    COMPLETE = "COMPLETE"
    """Framed to its end, as its head said."""

    BROKEN = "BROKEN"
    """Not what its head said; the connection must be cut."""

    __hash__ = object.__hash__


_INITIAL: Final = ResponseState.PENDING


class ResponseMachine(Model):
    """One response message on its way out (RFC 9112 section 6)."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "response"
    State: ClassVar[type[ResponseState]] = ResponseState
    state: ResponseState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def interim_framed(self) -> None:
        """A1: PENDING → PENDING."""
        raise Unbound(self, "interim_framed")

    def head_framed(self) -> None:
        """A2: PENDING → CONTENT when response_has_content.

        A3: PENDING → COMPLETE unless response_has_content.
        """
        raise Unbound(self, "head_framed")

    def content_ended(self) -> None:
        """A4: CONTENT → COMPLETE when content_is_exact.

        A5: CONTENT → BROKEN unless content_is_exact.
        """
        raise Unbound(self, "content_ended")

    def failed(self) -> None:
        """A6: CONTENT → BROKEN."""
        raise Unbound(self, "failed")

    def has_content(self) -> bool:
        """Bytes follow the head: not the answer to HEAD, not 204 or 304, and more than none."""
        raise Unbound(self, "has_content")

    def content_is_exact(self) -> bool:
        """As many content bytes were framed as the head promised."""
        raise Unbound(self, "content_is_exact")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"has_content", "content_is_exact"}
    )
