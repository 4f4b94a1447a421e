"""What the reader tells: each event is a value, and "not yet" is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from server.http1.messages import RequestHead


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing more can be said before more bytes come: call `receive`."""


@dataclass(frozen=True, slots=True)
class ContentPiece:
    """The next bytes of the content, without the coding that carried them. Never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EndOfRequest:
    """The request is whole. What is still buffered belongs to the next one: `renew` before reading
    it.
    """


@dataclass(frozen=True, slots=True)
class PeerEnded:
    """The peer has ended its side: between two requests, as it may, or within one (RFC 9112
    section 8).
    """

    within_request: bool


NEED_DATA: Final = NeedData()
END_OF_REQUEST: Final = EndOfRequest()
ENDED_BETWEEN: Final = PeerEnded(within_request=False)
ENDED_WITHIN: Final = PeerEnded(within_request=True)

Event = NeedData | RequestHead | ContentPiece | EndOfRequest | PeerEnded
