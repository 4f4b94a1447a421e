"""What the Python of one request costs in all rooms, in one thread, without a socket.

    python -m benchmarks.rooms
    python -m benchmarks.rooms --connections 1 --scene post --profile 30

The server is real, up to its transports and its selector: the reactor reads from CONNECTIONS in
each turn, and one worker, which this thread plays, has the baton and answers each request as soon
as it is read. With --queued it takes the jobs from the queue after the turn, as a worker does that
is not quick; then it is also told what of the time is the reactor's turn, the job, and the pool
between two jobs. Printed is the best and the median round, in microseconds of processor time a
request. To compare two checkouts, run each in its own folder, in turns.

It does not measure: system calls, switches between threads, and what a processor's caches lose to
both. On one machine the same request took twice its time here between two real calls of the kernel.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from typing import Final, cast

from benchmarks.speed.application import application
from server.app.wsgi import wsgi
from server.config import Config
from server.ground import Ground
from server.net.transport import Transport
from server.net.worker import Worker
from server.server import Server
from server.supervisor import House
from statemachine._generated import RequestState

ROUNDS, TURNS, WARM_UP = 12, 100, 50
FIRST_DESCRIPTOR: Final = 1000

SCENES: Final = {
    "hello": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "post": b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10_000,
    "file": b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
}


class Wire:
    """A transport whose peer says the same again and again, and takes everything."""

    peer, local = ("127.0.0.1", 50_000), ("127.0.0.1", 8080)

    def __init__(self, descriptor: int, says: bytes) -> None:
        self.descriptor = descriptor
        self._says = says

    def receive(self, _: int) -> bytes:
        return self._says

    def send(self, data: bytes) -> int:
        return len(data)

    def peek(self) -> bool:
        return False


class Deaf:
    """A selector that nothing is asked of: the turns are told who is ready."""

    def add(self, descriptor: int) -> None: ...
    def arm(self, descriptor: int, what: int) -> None: ...
    def attend(self, descriptor: int) -> None: ...
    def mute(self, descriptor: int) -> None: ...
    def disarm(self, descriptor: int) -> None: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...

    def poll(self, _: float | None) -> list[int]:
        return []


class Bench:
    """One server, and one thread that is its reactor and its worker in turn."""

    def __init__(self, scene: str, connections: int, *, queued: bool = False) -> None:
        handler = None if scene == "file" else wsgi(application)
        config = Config(host="127.0.0.1", port=0, threads=1)
        server = Server(config, handler, ground=Ground(poller=Deaf))
        self._house: House = server._build()
        server.lifecycle.started()
        self._worker = self._enlisted()
        self._ready = [FIRST_DESCRIPTOR + number for number in range(connections)]
        reactor = self._house.reactor
        for descriptor in self._ready:
            wire = cast("Transport", Wire(descriptor, SCENES[scene]))
            connection = reactor._makers.connection(wire)
            reactor.connections[descriptor] = connection
            reactor._deadlines.begin(connection, RequestState.AWAITED)
        if not queued:
            baton, pool = self._house.baton, self._house.pool
            with pool.lock:
                baton._candidate = self._worker
                baton.lent()
                baton.runner = self._worker

    def _enlisted(self) -> Worker:
        pool = self._house.pool
        with pool.lock:
            pool.crew.places = 1
            worker = pool._enlist_locked()
            worker.ident = pool.threading.get_ident()
            worker.started()
        return worker

    def turns(self, count: int) -> None:
        """So many turns: everybody asks once in each, and is answered."""
        worker, turn, ready = self._worker, self._house.reactor.turn, self._ready
        queue, after_turn = self._house.pool.queue, self._house.baton.after_turn
        for _ in range(count):
            turn(ready)
            after_turn()
            if not queue:
                continue
            job = worker._wait_for_job()
            while job is not None:
                job.run()
                job = worker._settle(job, None)

    def shares(self, count: int) -> dict[str, float]:
        """The best of so many turns, in microseconds a request, by where the time went."""
        worker, now = self._worker, time.perf_counter
        best: dict[str, float] = {}
        for _ in range(count):
            began = now()
            self._house.reactor.turn(self._ready)
            read = now()
            jobs = 0.0
            job = worker._wait_for_job()
            while job is not None:
                at = now()
                job.run()
                jobs += now() - at
                job = worker._settle(job, None)
            spent = {"turn": read - began, "jobs": jobs, "pool": now() - read - jobs}
            for name, seconds in spent.items():
                best[name] = min(seconds, best.get(name, seconds))
        return {name: 1e6 * seconds / len(self._ready) for name, seconds in best.items()}


def main() -> None:
    """Measure a scene, and print what it costs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scene", choices=SCENES, default="hello")
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="in each turn")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="of cProfile")
    parser.add_argument("--queued", action="store_true", help="not as soon as it is read")
    asked = parser.parse_args()
    bench = Bench(asked.scene, asked.connections, queued=asked.queued)
    bench.turns(WARM_UP)
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        bench.turns(TURNS)
        rounds.append(1e6 * (time.process_time() - began) / (TURNS * asked.connections))
    shares = bench.shares(TURNS) if asked.queued else {}
    print(
        f"{asked.scene}, {asked.connections} connections: {min(rounds):.2f} us a request, "
        f"median {statistics.median(rounds):.2f}",
        *(f"{name} {us:.2f}" for name, us in shares.items()),
        sep=", ",
    )
    if asked.profile:
        profile = cProfile.Profile()
        profile.runcall(bench.turns, TURNS)
        pstats.Stats(profile).sort_stats("tottime").print_stats(asked.profile)


if __name__ == "__main__":
    main()
