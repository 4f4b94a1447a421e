"""Who watches a server sees it work, and sees it stop: the dashboard's feed on real sockets."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any

from server.http1.messages import Request, Response
from tests.event_stream import EventStreamParser
from tests.wire.conftest import Serve

Frame = dict[str, Any]


class Viewer:
    """One who watches, as a browser does."""

    def __init__(self, address: tuple[str, int], **fields: str) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=30)
        self._connection.request("GET", "/-/feed", headers=fields)
        self._response = self._connection.getresponse()
        assert self._response.getheader("Content-Type") == "text/event-stream"
        self._frames = self._read()

    def _read(self) -> Iterator[Frame]:
        parser = EventStreamParser()
        while data := self._response.read1():
            yield from (one.json() for one in parser.feed(data) if one.type == "frame")

    def until(self, holds: Callable[[Frame], bool]) -> Frame:
        """The first frame of which that holds; StopIteration where the stream ends before."""
        return next(frame for frame in self._frames if holds(frame))

    def rest(self) -> list[Frame]:
        """All that come until the stream ends, which must be in order."""
        found = list(self._frames)
        self._connection.close()
        return found


def test_a_viewer_sees_a_request_and_the_drain_to_its_end(serve: Serve) -> None:
    go = threading.Event()

    def handler(_: Request) -> Response:
        go.wait(30)
        return Response(200, (), b"here")

    served = serve(handler, threads=2, drain_seconds_max=60.0)
    viewer = Viewer(served.server.address)
    client = served.send(b"GET /hold/%3Cb%3E?key=secret HTTP/1.1\r\nHost: here\r\n\r\n")
    frame = viewer.until(lambda one: any(w["request"] for w in one["workers"]))
    (busy,) = [one for one in frame["workers"] if one["request"]]
    assert (busy["state"], busy["request"]) == ("BUSY", "GET /hold/%3Cb%3E")
    assert frame["readiness"] == "READY"
    assert frame["ledger"]["open"] == 1
    served.server.request_stop()
    frame = viewer.until(lambda one: one["phase"] == "DRAINING" and one["listener"] == "CLOSED")
    assert (frame["readiness"], frame["connections"]["open"]) == ("WITHDRAWN", 2)
    go.set()
    assert client.reply().status == 200
    rest = viewer.rest()
    assert all(one["phase"] == "DRAINING" for one in rest)
    ledger = rest[-1]["ledger"]
    assert (ledger["answered"], ledger["open"]) == (ledger["accepted"], 0), "what came of all"
    assert rest[-1]["connections"]["open"] == 1, "itself"
    assert served.wait() == 0


def test_viewers_alone_hold_up_no_drain(serve: Serve) -> None:
    served = serve(lambda _: Response(200), drain_seconds_max=60.0)
    viewers = [Viewer(served.server.address) for _ in range(3)]
    for viewer in viewers:
        viewer.until(lambda one: one["phase"] == "SERVING")
    served.server.request_stop()
    for viewer in viewers:
        viewer.rest()
    assert served.wait() == 0
