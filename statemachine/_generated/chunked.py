"""Generated from spec/chunked.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ChunkedState(enum.Enum):
    """The states of machine chunked."""

    SIZE = "SIZE"
    """A chunk line is expected."""

    DATA = "DATA"
    """Chunk data is expected."""

    DATA_END = "DATA_END"
    """The CRLF after chunk data is expected."""

    TRAILERS = "TRAILERS"
    """A trailer field or the final empty line is expected."""

    ENDED = "ENDED"
    """The content is complete."""

    REFUSED = "REFUSED"
    """Not the chunked coding; the message cannot be delimited."""

    __hash__ = object.__hash__


_INITIAL: Final = ChunkedState.SIZE


class ChunkedMachine(Model):
    """Content in the chunked transfer coding, on its way in."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "chunked"
    State: ClassVar[type[ChunkedState]] = ChunkedState
    state: ChunkedState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def size_read(self) -> None:
        """K1: SIZE → DATA when chunk_has_data.

        K2: SIZE → TRAILERS unless chunk_has_data.
        """
        raise Unbound(self, "size_read")

    def refused(self) -> None:
        """K3: SIZE → REFUSED.

        K6: DATA_END → REFUSED.
        K8: TRAILERS → REFUSED.
        """
        raise Unbound(self, "refused")

    def data_ended(self) -> None:
        """K4: DATA → DATA_END."""
        raise Unbound(self, "data_ended")

    def line_ended(self) -> None:
        """K5: DATA_END → SIZE."""
        raise Unbound(self, "line_ended")

    def trailers_ended(self) -> None:
        """K7: TRAILERS → ENDED."""
        raise Unbound(self, "trailers_ended")

    def chunk_has_data(self) -> bool:
        """The size in the chunk line is above zero."""
        raise Unbound(self, "chunk_has_data")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"chunk_has_data"}
    )
