"""What is below `/-/` is for the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.http1.messages import Request, Response

PREFIX: Final = "/-/"

Handler = Callable[[Request], Response]


def parting(pages: Handler) -> Handler:
    """`pages`, for one of several processes: the connection ends after each page. Who asks again
    comes to a process that accepts, and so to none that has stood still since.
    """

    def parted(request: Request) -> Response:
        response = pages(request)
        response.persists = False
        return response

    return parted
