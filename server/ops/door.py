"""Who may see the operator's pages. The door is in front of all of them.

What it keeps out, besides those who do not know the token where there is one (`server.ops.login`):

- other people's web pages in the operator's browser: a page whose own name was made to lead here
  (DNS rebinding) asks with that name as the host. An address, `localhost` and the names that the
  operator has given cannot be such a name;
- whoever comes through a proxy on this machine, which makes everybody local: what was forwarded
  says so, and has no token, or the one that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from server.clock import Clock, SystemClock
from server.http1.messages import Field, Request, Response
from server.ops.addresses import host_of, is_address
from server.ops.login import Login, is_foreign

FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")

POSTED: Final = ("/-/login", "/-/logout")
"""What may be posted, where there is a token: for nothing else a request changes anything."""

ALLOW: Final[Field] = ("Allow", "GET, HEAD")

NO_STORE: Final[Field] = ("Cache-Control", "no-store")

NO_SNIFF: Final[Field] = ("X-Content-Type-Options", "nosniff")


class Door:
    """`names` are hosts by which the operator asks for the pages, besides addresses. `token`, where
    there is one, is what each request has to show (RFC 6750), or to have shown once by the form.
    Threads: any.
    """

    __slots__ = ("_names", "login")

    def __init__(
        self, names: Iterable[str] = (), token: bytes | None = None, clock: Clock | None = None
    ) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}
        self.login = None if token is None else Login(token, clock or SystemClock())

    def refusal(self, request: Request) -> Response | None:
        """Why the request may not come in; None if it may."""
        head = request.head
        posts = head.method == "POST" and head.path in POSTED and self.login is not None
        if head.method not in ("GET", "HEAD") and not posts:
            return said(405, f"{head.method} is not allowed here. Allowed: GET, HEAD.", ALLOW)
        if not self._is_ours(head.authority):
            return said(421, "The operator's pages are not served by this name: see --ops-host.")
        if self.login is None:
            if any(head.fields.get(name) is not None for name in FORWARDED):
                return said(403, "The operator's pages are not for those who come by a proxy.")
            return None
        if posts:
            return said(403, "Another site's page asks for this.") if is_foreign(request) else None
        return self.login.refusal(request)

    def _is_ours(self, authority: str) -> bool:
        host = host_of(authority)
        return host.lower() in self._names or is_address(host)


def said(status: int, text: str, *fields: Field) -> Response:
    """A plain text, which nobody keeps."""
    own = (("Content-Type", "text/plain; charset=utf-8"), NO_SNIFF, NO_STORE)
    return Response(status, (*own, *fields), f"{text}\n".encode())
