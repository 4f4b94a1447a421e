"""Which handler answers a request: by its method, then by its path.

```
 method known? ── no ─▶ 501
      │ yes
 GET, HEAD ──▶ below a mount? ── yes ─▶ the file there ────────┐
      │             └─ no ─▶ a page of ours? ── yes ─▶ its handler ─▶ 200, 206, 301, 304, 406, 412,
      │                            └─ no ─▶ the file there ────┘      416, or Refused: 400, 403 …
 OPTIONS ──▶ 204, Allow
 CONNECT ──▶ 501           others ──▶ 405, Allow
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from server.app.errors import Refused, error_response
from server.app.folder import Folder
from server.app.paths import Names, names_of
from server.app.representation import Renderer
from server.app.shelf import Shelf
from server.app.sleep import Sleep
from server.app.static import Site
from server.clock import Clock
from server.config import Config, Dotfiles
from server.http1.messages import Field, Request, RequestHead, Response

Handler = Callable[[Request, Names], Response]
"""Answers a GET or HEAD, given the names of its path. Raises Refused where it will not."""

ALLOW: Final[Field] = ("Allow", "GET, HEAD, OPTIONS")


def beside(application: Callable[[Request], Response], files: App) -> Callable[[Request], Response]:
    """`files` where something is mounted, `application` everywhere else."""

    def handler(request: Request) -> Response:
        return (files if files.mounted(request.head.path) else application)(request)

    return handler


def make_app(config: Config, clock: Clock) -> App:
    """The application that serves the files below the root and the mounts, and `/sleep`.

    It may be called from every thread. Raises StartError where a folder cannot be served.
    """
    renderer = Renderer(clock, cache_control=config.cache_control)
    shelf = Shelf(
        clock,
        bytes_max=config.static_cache_bytes_max,
        seconds_max=config.static_cache_seconds_max,
    )
    site = Site(Folder(config.root, symlinks=config.symlinks), renderer, shelf)
    mounts = {}
    for mount in config.mounts:
        named = f"--mount {mount.prefix}:"
        folder = Folder(mount.folder, symlinks=config.symlinks, named=named)
        at = names_of(mount.prefix)
        mounts[at] = Site(folder, renderer, shelf, at=at)
    paths: dict[str, Handler] = {
        "/": site.index,
        "/sleep": Sleep(site, clock).page,
    }
    return App(site, paths, mounts=mounts, dotfiles=config.dotfiles)


class App:
    """Request in, Response out. Threads: any; nothing in it changes once it is made."""

    __slots__ = ("_depth_max", "_dotfiles", "_handlers", "_mounts", "_site")

    def __init__(
        self,
        site: Site,
        paths: Mapping[str, Handler],
        *,
        mounts: Mapping[Names, Site],
        dotfiles: Dotfiles,
    ) -> None:
        self._site = site
        self._handlers = {names_of(path): handler for path, handler in paths.items()}
        self._mounts = mounts
        self._depth_max = max(map(len, mounts), default=0)
        self._dotfiles = dotfiles

    def __call__(self, request: Request) -> Response:
        """The response to `request`. Raises what a handler raises, Refused excepted."""
        method = request.head.method
        answer = METHODS.get(method)
        if answer is None:
            return error_response(501, f"{method} is no method that this server knows.")
        return answer(self, request)

    def get(self, request: Request) -> Response:
        """GET and HEAD (RFC 9110 9.3.1, 9.3.2)."""
        try:
            handler, names = self._route(request.head)
            return handler(request, names)
        except Refused as refused:
            if refused.status == 404:
                return self._site.not_found(refused.detail)
            return error_response(refused.status, refused.detail)

    def _route(self, head: RequestHead) -> tuple[Handler, Names]:
        """Who answers, and the names in the path. Raises Refused."""
        notes = head.notes
        known: tuple[Handler, Names] | None = None
        if notes is not None:
            known = notes.get(self)  # type: ignore[assignment] # our own
        if known is None:
            names = names_of(head.path, self._dotfiles)
            known = self._handler_of(names), names
            if notes is not None:
                notes[self] = known
        return known

    def _handler_of(self, names: Names) -> Handler:
        """A mount's before our own, for the operator named it; of mounts the longest prefix."""
        for depth in range(min(len(names), self._depth_max), 0, -1):
            mounted = self._mounts.get(names[:depth])
            if mounted is not None:
                return mounted.page
        return self._handlers.get(names, self._site.page)

    def mounted(self, path: str) -> bool:
        """Whether the path of a target is below a mount's prefix, or is one."""
        try:
            names = names_of(path, self._dotfiles)
        except Refused:
            return False
        return any(names[:depth] in self._mounts for depth in range(1, self._depth_max + 1))

    def options(self, _: Request) -> Response:
        """OPTIONS (9.3.7): the same for every path, and for `*`, the server as a whole."""
        return Response(204, (ALLOW,))

    def refuse(self, request: Request) -> Response:
        """405 (15.5.6): a method that we know, and that nothing here allows."""
        detail = f"{request.head.method} is not allowed here. Allowed: {ALLOW[1]}."
        return error_response(405, detail, fields=(ALLOW,))

    def connect(self, _: Request) -> Response:
        """CONNECT (9.3.6): 501, for its target is another host and not a resource of ours.

        405 would owe an Allow list for a resource that does not exist. The connection ends: what a
        client sends into the tunnel that it hoped for must never be read as a request.
        """
        response = error_response(501, "This server opens no tunnels.")
        response.persists = False
        return response


METHODS: Final[dict[str, Callable[[App, Request], Response]]] = {
    "GET": App.get,
    "HEAD": App.get,
    "OPTIONS": App.options,
    "CONNECT": App.connect,
    "DELETE": App.refuse,
    "PATCH": App.refuse,
    "POST": App.refuse,
    "PUT": App.refuse,
    "TRACE": App.refuse,
}
"""The methods of RFC 9110 section 9, and PATCH (RFC 5789). Their case counts."""
