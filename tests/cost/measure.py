"""What a request costs, counted: calls, what is asked of the kernel, locks, and what stays behind.

The house of `tests.machines` runs in lockstep, in memory, so every count is the same on every
machine, however busy. Counted is what happens in the server's own code and the engine's:

- `calls` of Python functions, and `builtin_calls` of the interpreter's;
- `kernel`: calls of a transport or of the poller; on a real socket, about a system call each;
- `locks`: entries of locks that threads share;
- `idle_bytes`: what an idle connection keeps that has been answered once, of memory that was
  allocated in that code. Its socket, and what Python's own allocator rounds up, come on top.

It does not count what a call takes: a longer loop, or a larger copy, is not seen here.
"""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from types import FrameType

from tests.machines.peers import Peer
from tests.machines.scene import Scene

WARM_UP, COUNTED, PIPELINED, IDLE = 4, 8, 8, 24
CONTENT = b"z" * 1000
REST_SECONDS = 5.0
"""Longer than until the wheel looks at a connection again, shorter than an idle one may live."""
OURS = ("/server/app/", "/server/events/", "/server/http1/", "/server/net/", "/statemachine/")
KERNEL, LOCKS = ("/server/simulation/", "/tests/fakes.py"), "/tests/stage.py"
Cost = dict[str, float]


def is_ours(file: str) -> bool:
    """Code of the server, or that the engine has compiled."""
    return file.startswith("<sealed") or any(part in file for part in OURS)


class Count:
    """A profile function, which counts while it is `counting`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.counting = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if not self.counting:
            return
        file = frame.f_code.co_filename
        if event == "c_call":
            self.counts["builtin_calls"] += is_ours(file)
        elif event == "call":
            if is_ours(file):
                self.counts["calls"] += 1
            elif frame.f_back is not None and is_ours(frame.f_back.f_code.co_filename):
                if any(part in file for part in KERNEL):
                    self.counts["kernel"] += 1
                elif LOCKS in file and frame.f_code.co_name in ("__enter__", "acquire"):
                    self.counts["locks"] += 1


def _steady(scene: Scene, peer: Peer, ask: Callable[[Peer], None], count: int) -> None:
    for _ in range(count):
        ask(peer)
        peer.deliver()
        scene.house.settle()


def _get(peer: Peer) -> None:
    peer.ask("GET", "/plain/1")


def _post(peer: Peer) -> None:
    peer.ask("POST", "/plain/1", content=CONTENT)


def _pipelined(peer: Peer) -> None:
    for _ in range(PIPELINED):
        _get(peer)


def _newcomer(scene: Scene) -> None:
    scene.asking("/close/1")
    scene.house.settle()


def counted(run: Callable[[Scene, int], None], requests: int) -> Cost:
    """Each request's share of what `run` costs, once it has warmed up."""
    count = Count()
    threading.setprofile(count)
    try:
        scene = Scene("sealed", {}, observed=False)
    finally:
        threading.setprofile(None)
    run(scene, WARM_UP)
    count.counting = True
    run(scene, COUNTED)
    count.counting = False
    scene.end()
    names = ("calls", "builtin_calls", "kernel", "locks")
    return {name: round(count.counts[name] / (COUNTED * requests), 3) for name in names}


def on_one_connection(ask: Callable[[Peer], None], requests: int = 1) -> Cost:
    """Requests on one connection, which is kept."""
    peers: list[Peer] = []

    def run(scene: Scene, count: int) -> None:
        peers[:] = peers or [scene.peer()]
        _steady(scene, peers[0], ask, count)

    return counted(run, requests)


def on_new_connections() -> Cost:
    """A connection a request."""

    def run(scene: Scene, count: int) -> None:
        for _ in range(count):
            _newcomer(scene)

    return counted(run, 1)


def idle() -> Cost:
    """What connections keep between two requests."""
    scene = Scene("sealed", {}, observed=False)
    peer = scene.peer()
    _steady(scene, peer, _get, 2)
    gc.collect()
    tracemalloc.start()
    try:
        before = _held()
        peers = [scene.asking("/plain/1") for _ in range(IDLE)]
        scene.house.settle()
        scene.house.advance(REST_SECONDS)
        scene.house.settle()
        gc.collect()
        held = _held() - before
    finally:
        tracemalloc.stop()
    assert all(one.statuses() == [200] for one in peers), "not all were answered"
    scene.end()
    return {"idle_bytes": round(held / IDLE)}


def _held() -> int:
    """Bytes that are held now, and were allocated in our code."""
    traces = tracemalloc.take_snapshot().statistics("filename")
    return sum(one.size for one in traces if is_ours(one.traceback[0].filename))


SCENES: dict[str, Callable[[], Cost]] = {
    "get": lambda: on_one_connection(_get),
    "post": lambda: on_one_connection(_post),
    "pipelined": lambda: on_one_connection(_pipelined, PIPELINED),
    "newcomer": on_new_connections,
    "idle": idle,
}


def version() -> str:
    """The Python whose pins these are: it decides what is a call."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
