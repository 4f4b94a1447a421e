"""Rows of clients that are slow: to send a head, to send content, to read, and to end at all."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.gauntlet.crowd import Client, Crowd, get
from benchmarks.gauntlet.process import Process
from benchmarks.gauntlet.row import Arena, Question, Result, Row, healthy, judged, row, told

RUN_UP_SECONDS = 3.0
"""Time for the load to be accepted, and to be what it is, before a healthy client comes."""
SMALL_BUFFER_BYTES = 4096
MEBIBYTE = 1024 * 1024
MEMORY_BYTES_A_READER_MAX = MEBIBYTE
DEADLINE_SECONDS_MAX = 75.0

SLOW_HEAD = get("/", *(f"X-Slow-{number}: {'z' * 50}" for number in range(60)))
SLOW_CONTENT = (
    b"POST / HTTP/1.1\r\nHost: gauntlet\r\nContent-Length: 100000\r\n\r\n" + b"z" * 100_000
)
HEAD_OF_CONTENT_BYTES = SLOW_CONTENT.index(b"\r\n\r\n") + 4

Load = Callable[[Crowd, Arena], Client]


def slow_head(crowd: Crowd, _: Arena) -> Client:
    """A head at a byte a second, from its first byte on."""
    return crowd.ask(SLOW_HEAD, rate=1)


def slow_content(crowd: Crowd, _: Arena) -> Client:
    """A whole head, and then content at a byte a second."""
    return crowd.ask(SLOW_CONTENT, prompt=HEAD_OF_CONTENT_BYTES, rate=1)


def no_reader(crowd: Crowd, arena: Arena) -> Client:
    """Asks for 20 MB and reads nothing of it."""
    request = get(f"/big?as={arena.options.big}")
    return crowd.ask(request, reads=False, receive_buffer_bytes=SMALL_BUFFER_BYTES)


def beside(arena: Arena, load: Load, count: int) -> tuple[Result, ...]:
    """So many of the load, and then a healthy client: is it served?"""
    with arena.serve() as (process, crowd):
        before = process.resident_bytes()
        clients = crowd.gather(count, lambda: load(crowd, arena))
        crowd.run(RUN_UP_SECONDS)
        client = healthy(crowd)
        grown = process.resident_bytes() - before
        memory = grown / MEBIBYTE
        figures = {"seconds": client.took, "status": client.status, "memory_mib": memory}
        served = client.status == 200
        if load is not no_reader:
            return judged(served, told(client), **figures)
        figures["shed"] = sum(1 for one in clients if one.status)
        bounded = grown <= count * MEMORY_BYTES_A_READER_MAX or count < 100
        text = f"{told(client)}, {memory:+.0f} MiB" if count >= 100 else told(client)
        return judged(served and bounded, text, **figures)


def _row(kind: str, says: str, load: Load, count: int, limit: str = "") -> Row:
    asks = f"{count:,} clients {says}: is a healthy client served?"
    question = Question(f"{kind}-{count}", asks, f"answered 200 in 5 s{limit}")

    @row(question, clients=count)
    def asked(arena: Arena) -> tuple[Result, ...]:
        return beside(arena, load, count)

    return asked


_A_HEAD = "send a head at 1 B/s"
_NOTHING = "ask for 20 MB and do not read"
_MEMORY = ", and memory grows by less than 1 MiB a client"
_CONTENT = "send content at 1 B/s"
slow_heads = tuple(_row("slow-heads", _A_HEAD, slow_head, n) for n in (4, 110, 1000))
slow_contents = tuple(_row("slow-contents", _CONTENT, slow_content, n) for n in (4, 1000))
few_no_readers = _row("no-readers", _NOTHING, no_reader, 4)
many_no_readers = _row("no-readers", _NOTHING, no_reader, 500, _MEMORY)


@row(
    Question(
        "deadlines",
        "One client each trickles a head, trickles content, sips 20 MB, says nothing, keeps "
        "alive: does the server end it?",
        f"each is let go in {DEADLINE_SECONDS_MAX:.0f} s",
    )
)
def deadlines(arena: Arena) -> tuple[Result, ...]:
    """A total deadline ends what a trickle of bytes prolongs; seen from the server's sockets."""
    with arena.serve() as (process, crowd):
        kept = crowd.ask(get("/"))
        crowd.run(2.0, until=lambda: kept.over)
        clients = {
            "head": slow_head(crowd, arena),
            "content": slow_content(crowd, arena),
            "reader": crowd.ask(
                get(f"/big?as={arena.options.big}"),
                read_rate=1,
                receive_buffer_bytes=SMALL_BUFFER_BYTES,
            ),
            "silence": crowd.ask(b""),
            "idle": kept,
        }
        ended = _watch(process, crowd, clients)
    texts = [f"{name} {f'{ended[name]:.0f} s' if name in ended else 'never'}" for name in clients]
    return judged(ended.keys() == clients.keys(), ", ".join(texts), **ended)


def _watch(process: Process, crowd: Crowd, clients: dict[str, Client]) -> dict[str, float]:
    """Seconds until the server closed its side of each; those that it did not are left out."""
    ports = {name: client.socket.getsockname()[1] for name, client in clients.items()}
    began = crowd.now()
    ended: dict[str, float] = {}
    crowd.run(0.5)
    while crowd.now() - began < DEADLINE_SECONDS_MAX and len(ended) < len(ports):
        crowd.run(0.25)
        for name in ports.keys() - ended.keys():
            if not process.holds(ports[name]):
                ended[name] = crowd.now() - began
    return ended
