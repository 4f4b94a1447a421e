"""Large content on its way in: received to where it gathers, one turn after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from server.http1.messages import Request, Response
from server.net.intake import Intake
from server.simulation.guest import chunked
from statemachine import Engine
from tests.fakes import FakeTransport
from tests.machines.house import House
from tests.machines.peers import CONTINUE, Peer

TURN = 700
MEMORY = 1024
"""What a request of the house's may keep in memory."""
CONTENT = bytes(range(256)) * 40 + b"the end"
SIZE = len(CONTENT)


class Upload:
    """A house, and a peer whose content its handler keeps and answers with the length of."""

    def __init__(self, engine: Engine, **settings: object) -> None:
        limits = {"receive_bytes_max": 500, "receive_turn_bytes_max": TURN}
        self.house = House(engine, self._handle, {**limits, **settings})
        self.contents: list[bytes] = []
        self.house.settle()
        self.peers: list[Peer] = []
        self.spaces: list[tuple[FakeTransport, int, int | None]] = []

    def _handle(self, request: Request) -> Response:
        content = request.content
        self.contents.append(content if isinstance(content, bytes) else content.read())
        return Response(200, content=request.head.path.encode())

    def peer(self) -> Peer:
        peer = Peer(self.house.visit())
        self.peers.append(peer)
        transport = peer.transport
        receive_into = transport.receive_into

        def noted(space: memoryview) -> int | None:
            size = receive_into(space)
            self.spaces.append((transport, len(space), size))
            return size

        transport.receive_into = noted  # type: ignore[method-assign] # to see what it is asked for
        return peer

    def ask(self, peer: Peer, path: str = "/plain/1", content: bytes = CONTENT) -> None:
        peer.ask("POST", path, content=content)

    def trail(self, peer: Peer) -> list[str]:
        return self.house.trails[peer.transport]

    def held(self) -> tuple[int, int]:
        kept = self.house.reservoir
        return kept.memory.held_bytes, kept.file.held_bytes

    def intake(self, peer: Peer) -> Intake:
        return self.house.connection(peer.transport).content

    def end(self) -> None:
        self.house.end()
        for peer in self.peers:
            peer.check(self.trail(peer))


@pytest.fixture
def upload(engine: Engine) -> Iterator[Upload]:
    one = Upload(engine)
    yield one
    one.house.put_away()


@pytest.mark.parametrize("pieces", [[], [1], [60, 3000], [400] * 30, [120, 1], [SIZE - 10]])
def test_content_is_whole_however_it_comes_and_what_is_behind_it_too(
    upload: Upload, pieces: list[int]
) -> None:
    peer = upload.peer()
    upload.ask(peer)
    peer.ask("GET", "/plain/2")
    upload.ask(peer, "/plain/3", CONTENT[::-1])
    for size in pieces:
        peer.deliver(size)
        upload.house.settle()
    peer.deliver()
    upload.house.settle()
    assert peer.statuses() == [200] * 3
    assert upload.contents == [CONTENT, b"", CONTENT[::-1]]
    assert upload.spaces, "nothing was received to where it gathers"
    assert upload.held() == (0, 0)
    upload.end()


@pytest.mark.parametrize(
    ("limit", "size"), [("receive_bytes_max", 1 << 20), ("buffer_memory_bytes_max", 0)]
)
def test_content_is_whole_that_does_not_gather(engine: Engine, limit: str, size: int) -> None:
    """It came with its head; or there is no memory for it to gather in."""
    upload = Upload(engine, **{limit: size})
    try:
        peer = upload.peer()
        upload.ask(peer)
        peer.deliver()
        upload.house.settle()
        assert (peer.statuses(), upload.contents, upload.spaces) == ([200], [CONTENT], [])
        upload.end()
    finally:
        upload.house.put_away()


@pytest.mark.parametrize("chunk_bytes", [7, 900, 5000])
def test_chunked_content_is_whole(upload: Upload, chunk_bytes: int) -> None:
    peer = upload.peer()
    peer.ask("POST", "/plain/1", fields=("Transfer-Encoding: chunked",))
    peer.say(chunked(CONTENT, chunk_bytes))
    peer.asked[0].ends_at = peer.said
    peer.ask("GET", "/plain/2")
    peer.deliver()
    upload.house.settle()
    assert peer.statuses() == [200, 200]
    assert upload.contents == [CONTENT, b""]
    upload.end()


def test_nobody_takes_more_than_a_turn_and_all_have_theirs(upload: Upload) -> None:
    peers = [upload.peer(), upload.peer()]
    for number, peer in enumerate(peers):
        upload.ask(peer, f"/plain/{number}")
        peer.deliver()
    upload.house.settle()
    assert [peer.statuses() for peer in peers] == [[200], [200]]
    assert max(asked for _, asked, _ in upload.spaces) <= TURN
    assert max(size or 0 for _, _, size in upload.spaces) == TURN
    taken = [peers[0].transport is transport for transport, _, _ in upload.spaces]
    assert all(one != other for one, other in itertools.pairwise(taken))
    upload.end()


@pytest.mark.parametrize(("how", "arrow"), [("peer_ends", "C5"), ("peer_resets", "C6")])
def test_a_peer_that_goes_within_its_content_leaves_nothing(
    upload: Upload, how: str, arrow: str
) -> None:
    peer = upload.peer()
    upload.ask(peer)
    peer.deliver(5000)
    upload.house.settle()
    memory, file = upload.held()
    assert memory == MEMORY
    assert 0 < 5000 - file < MEMORY + 200
    getattr(peer.transport, how)()
    upload.house.settle()
    assert upload.trail(peer) == [arrow]
    assert upload.held() == (0, 0)
    upload.house.end()


@pytest.mark.parametrize("room", [0, 3000, SIZE - 1])
@pytest.mark.parametrize("at_once", [500, 1 << 20])
def test_content_without_room_is_refused_when_that_is_known(
    engine: Engine, room: int, at_once: int
) -> None:
    """With one byte too few, only the last of it tells."""
    upload = Upload(engine, buffer_file_bytes_max=room, receive_bytes_max=at_once)
    try:
        peer = upload.peer()
        upload.ask(peer)
        peer.deliver()
        upload.house.settle()
        assert peer.statuses() == [503]
        assert upload.trail(peer)[:2] == ["C2", "C35"]
        assert (upload.contents, upload.held()) == ([], (0, 0))
        upload.house.end()
    finally:
        upload.house.put_away()


@pytest.mark.parametrize(("each_second", "status"), [(500, 200), (100, 408)])
def test_who_keeps_up_the_rate_has_time(engine: Engine, each_second: int, status: int) -> None:
    upload = Upload(engine, body_seconds_max=3.0, body_bytes_per_second_min=400)
    try:
        peer = upload.peer()
        upload.ask(peer)
        peer.deliver(100)
        upload.house.settle()
        while peer.unsent and not peer.statuses():
            upload.house.advance(1.0)
            peer.deliver(each_second)
            upload.house.settle()
        assert peer.statuses() == [status]
        assert upload.house.clock.monotonic() > 3.0
        upload.house.end()
    finally:
        upload.house.put_away()


def test_an_interim_response_that_did_not_fit_is_sent_beside_the_content(upload: Upload) -> None:
    peer = upload.peer()
    peer.transport.room = 5
    peer.ask("POST", "/plain/1", content=CONTENT, fields=("Expect: 100-continue",))
    peer.deliver(peer.said - SIZE)
    upload.house.settle()
    assert peer.transport.received == b"HTTP/"
    peer.deliver(4000)
    upload.house.settle()
    assert upload.spaces
    assert peer.transport.received == b"HTTP/"
    peer.transport.peer_takes(1 << 20)
    upload.house.settle()
    assert peer.transport.received == CONTINUE
    peer.deliver()
    upload.house.settle()
    assert peer.transport.received.startswith(CONTINUE + b"HTTP/1.1 200 OK\r\n")
    assert upload.contents == [CONTENT]
    upload.end()


def test_a_descriptor_that_was_not_ready_is_looked_at_again(upload: Upload) -> None:
    peer = upload.peer()
    upload.ask(peer)
    peer.deliver(4000)
    upload.house.settle()
    upload.house.poller.nudges.add(peer.transport.descriptor)
    upload.house.settle()
    assert upload.spaces[-1][2] is None
    peer.deliver()
    upload.house.settle()
    assert (peer.statuses(), upload.contents) == ([200], [CONTENT])
    upload.end()


def test_a_forced_stop_leaves_nothing(upload: Upload) -> None:
    peer = upload.peer()
    upload.ask(peer)
    peer.deliver(4000)
    upload.house.settle()
    assert upload.intake(peer).basin is not None
    upload.house.stop()
    upload.house.settle()
    upload.house.cut()
    upload.house.settle()
    assert upload.trail(peer) == ["C7"]
    assert upload.held() == (0, 0)
    upload.house.end()
