"""The operator's pages, below `/-/`: which there are, and what each is made of.

A page is a function from Request to Response in a table by its path. The door has let the request
in by then. Threads: any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import parse_qsl

from server.http1.messages import Field, Request, Response
from server.ops.assets import Assets
from server.ops.door import NO_STORE, Door, said
from server.ops.feed import Watched
from server.ops.prefix import PREFIX, Handler
from server.ops.several import Unanswered, unready
from server.ops.snapshot import Snapshot
from statemachine import System

SHORT: Final = ("/", "/-")
"""What people ask for who have been told a host and a port. Only a listener that the pages have for
themselves brings these here: elsewhere they are the site's own."""

JSON: Final[Field] = ("Content-Type", "application/json")

_NUMBER: Final = re.compile(r"[0-9]{1,6}")


class Shown(Protocol):
    """The server whose pages these are, or all processes of one. Threads: any. Where these do not
    answer, whoever asks raises Unanswered.
    """

    @property
    def system(self) -> System:
        """The spec that it runs."""
        ...

    def snapshot(self) -> Snapshot:
        """What it is now."""
        ...

    def connections(self, state: str, page: int) -> Mapping[str, object]:
        """One page of the connections in a state, of all where it is empty, as JSON has it: see
        `server.ops.listing.Page`.
        """
        ...

    def stacks(self) -> str:
        """Where each thread is."""
        ...


class Overview(Shown, Watched, Protocol):
    """What an operator is shown: one server, or all processes of one. Threads: any."""


class Pages:
    """Answers every request below PREFIX. `feed` is the dashboard's stream, `assets` its files."""

    __slots__ = ("_assets", "_door", "_pages", "_shown")

    def __init__(self, shown: Shown, door: Door, feed: Handler, assets: Assets) -> None:
        self._shown = shown
        self._assets = assets
        self._door = door
        self._pages: dict[str, Handler] = {
            "feed": feed,
            "live": self._live,
            "ready": self._ready,
            "ledger": self._ledger,
            "metrics": self._metrics,
            "connections": self._connections,
            "spec": self._spec,
            "threads": self._threads,
            "session": self._session,
        }
        if door.login is not None:
            self._pages |= {"login": self._login, "logout": self._logout}

    def __call__(self, request: Request) -> Response:
        """The response. Raises what a page raises."""
        refusal = self._door.refusal(request)
        if refusal is not None:
            return refusal
        if request.head.path in SHORT:
            return Response(301, (("Location", PREFIX), NO_STORE))
        path = request.head.path.removeprefix(PREFIX)
        page = self._pages.get(path)
        if page is not None:
            try:
                return page(request)
            except Unanswered as error:
                return said(503, str(error))
        if path in self._assets:
            return self._assets(path)
        return said(404, "There is no such page.")

    def _live(self, _: Request) -> Response:
        return said(200, "live")

    def _ready(self, _: Request) -> Response:
        now = self._shown.snapshot()
        if now.faults:
            return said(503, "\n".join(("not sound", *now.faults)))
        if reasons := unready(now):
            return said(503, f"not ready: {'; '.join(reasons)}")
        return said(200, "ready")

    def _ledger(self, _: Request) -> Response:
        now = self._shown.snapshot()
        each = now.several and {
            "processes": {
                one.number: one.now and one.now.ledger.told() for one in now.several.parts
            }
        }
        return said_json({**now.ledger.told(), **(each or {})})

    def _metrics(self, request: Request) -> Response:
        try:
            from server.ops.metrics import exposition  # noqa: PLC0415 - who asks for none needs none
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("prometheus_client"):
                raise
            return said(501, "Metrics need prometheus_client: pip install 'interlock[ops]'")
        accept = request.head.fields.get("accept") or ""
        content_type, text = exposition(self._shown.system, self._shown.snapshot(), accept)
        return Response(200, (("Content-Type", content_type), NO_STORE), text)

    def _connections(self, request: Request) -> Response:
        query = dict(parse_qsl(request.head.query, errors="replace"))
        state, page = query.get("state", ""), query.get("page", "0")
        states = self._shown.system.machines["connection"].states
        if (state and state not in states) or not _NUMBER.fullmatch(page):
            return said(400, f"Expected a state ({', '.join(states)}) and a page, a number from 0.")
        return said_json(self._shown.connections(state, int(page)))

    def _spec(self, _: Request) -> Response:
        return said_json(spec_of(self._shown.system))

    def _session(self, request: Request) -> Response:
        login = self._door.login
        return said_json({"signed_in": login is not None and login.session(request) is not None})

    def _login(self, request: Request) -> Response:
        assert self._door.login is not None
        return self._posted(request, self._door.login.sign_in)

    def _logout(self, request: Request) -> Response:
        assert self._door.login is not None
        return self._posted(request, self._door.login.sign_out)

    def _posted(self, request: Request, handler: Handler) -> Response:
        """To ask for what is posted leads to the pages, as who reloads it would want."""
        if request.head.method == "POST":
            return handler(request)
        return Response(303, (("Location", PREFIX), NO_STORE))

    def _threads(self, _: Request) -> Response:
        return said(200, self._shown.stacks())


def said_json(value: object) -> Response:
    """A value as JSON, which nobody keeps."""
    return Response(200, (JSON, NO_STORE), json.dumps(value, separators=(",", ":")).encode())


def spec_of(system: System) -> dict[str, object]:
    """The machines as JSON has them: states in the order in which they are drawn, and rows."""
    return {
        "name": system.name,
        "machines": {
            name: {
                "means": machine.means,
                "initial": machine.initial,
                "final": machine.final,
                "driven_by": machine.driven_by,
                "states": {key: one._asdict() for key, one in machine.states.items()},
                "arrows": [one._asdict() for one in machine.arrows],
            }
            for name, machine in system.machines.items()
        },
    }
