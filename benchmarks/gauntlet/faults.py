"""Rows of faults: what a job raises, where a client resets, and no descriptor that is left."""

from __future__ import annotations

from collections import Counter

from benchmarks.gauntlet.crowd import Client, Crowd, Phase, get, post
from benchmarks.gauntlet.process import Process
from benchmarks.gauntlet.row import Arena, Question, Result, healthy, judged, row, told

RAISED = ("Exception", "SystemExit", "KeyboardInterrupt", "BaseException", "MemoryError")
EACH = 8
"""Twice as many as there are threads: were each to cost one, none would be left."""
THREADS = 4
INTACT_SECONDS_MAX = 1.7
"""Four one-second requests on four threads take 1 s, on three 2 s."""
SETTLE_SECONDS_MAX = 20.0
RESET_BATCH = 16
RESPONSE_STEPS = 64
ROOM = 20
NEWCOMERS = 100
SHORTAGE_SECONDS = 3.0
SPIN_SHARE = 0.25
SILENCE = "told nothing"
AS_IF_WHOLE = "ended as if whole"

GREETING = get("/", "User-Agent: gauntlet", "Accept: */*")
UPLOAD = post("/", b"z" * 100)


def _intact(crowd: Crowd) -> float | None:
    """Seconds that as many one-second requests as threads take; None if not all are answered."""
    clients = [crowd.ask(get("/slow?seconds=1")) for _ in range(THREADS)]
    crowd.run(8.0, until=lambda: all(one.over for one in clients))
    seconds = max(one.took for one in clients)
    for one in clients:
        one.leave()
    return seconds if all(one.status == 200 for one in clients) else None


def _pool(seconds: float | None) -> str:
    if seconds is None:
        return "pool lost"
    return "pool intact" if seconds <= INTACT_SECONDS_MAX else f"pool shrunk ({seconds:.1f} s)"


@row(
    Question(
        "raises",
        "A job raises Exception, SystemExit, KeyboardInterrupt, BaseException, MemoryError, "
        "8 times each, before and within its content",
        "each client is answered 500 or cut in 5 s, and 4 threads still work",
    )
)
def raises(arena: Arena) -> tuple[Result, ...]:
    """Whatever a job raises, its client is told and its thread lives."""
    told = Counter[str]()
    last = ""
    with arena.serve() as (process, crowd):
        for last in RAISED:
            told += _raised(crowd, last)
            # A server that is on its way out needs a moment.
            if crowd.run(0.5, until=lambda: process.ended):
                break
        ended = process.ended
        seconds = None if ended else _intact(crowd)
    text = f"{last} ended the process" if ended else _pool(seconds)
    for how in (SILENCE, AS_IF_WHOLE):
        text += f"; {told[how]} of {told.total()} {how}" if told[how] else ""
    bad = told[SILENCE] + told[AS_IF_WHOLE]
    passed = seconds is not None and seconds <= INTACT_SECONDS_MAX and not bad
    return judged(passed, text, silent=told[SILENCE], as_if_whole=told[AS_IF_WHOLE])


def _raised(crowd: Crowd, what: str) -> Counter[str]:
    """How clients were told, whose jobs raised this before and within their content."""
    told = Counter[str]()
    for when in ("head", "content"):
        clients = [crowd.ask(get(f"/raise?what={what}&when={when}")) for _ in range(EACH)]
        crowd.run(5.0, until=lambda those=clients: all(one.over for one in those))  # type: ignore[misc]
        told.update(_told(one) for one in clients)
        for one in clients:
            one.leave()
    return told


def _told(client: Client) -> str:
    """A 500 or a connection that was cut; not silence, and no 200 that looks whole but is not."""
    if client.phase is Phase.CUT or client.status >= 500:
        return "told"
    if client.phase is Phase.ANSWERED and client.answer.ends_with_connection:
        return "told"
    return AS_IF_WHOLE if client.status == 200 else SILENCE


@row(
    Question(
        "resets",
        "Clients reset at every byte of a request, and at 64 places of a response",
        "descriptors as before, no traceback, and 4 threads still work",
    )
)
def resets(arena: Arena) -> tuple[Result, ...]:
    """A client that goes at the worst moment leaves nothing behind."""
    with arena.serve() as (process, crowd):
        _warm(crowd)
        before = process.descriptors()
        for request in (GREETING, UPLOAD):
            _reset_in_request(crowd, request)
        _reset_in_response(crowd, arena.options.big)
        left = _settled(process, crowd, before) - before
        seconds = _intact(crowd)
        noise = process.errors().count("Traceback (most recent call last)")
        count = len(GREETING) + len(UPLOAD) + 2 + RESPONSE_STEPS
    text = f"{count} resets, {left:+d} descriptors, {noise} tracebacks, {_pool(seconds)}"
    passed = left <= 0 and not noise and seconds is not None and seconds <= INTACT_SECONDS_MAX
    figures = {"resets": count, "descriptors_left": left, "tracebacks": noise}
    return judged(passed, text, **figures)


def _warm(crowd: Crowd) -> None:
    """Whatever a server opens once is open after this."""
    for request in [GREETING, UPLOAD, get("/big", "Connection: close")] * 4:
        client = crowd.ask(request)
        crowd.run(5.0, until=lambda one=client: one.over)  # type: ignore[misc]
        client.leave()
    crowd.run(1.0)


def _reset_in_request(crowd: Crowd, request: bytes) -> None:
    for begin in range(0, len(request) + 1, RESET_BATCH):
        ends = range(begin, min(begin + RESET_BATCH, len(request) + 1))
        clients = [crowd.ask(request[:end]) for end in ends]
        crowd.run(1.0, until=lambda those=clients: all(one.sent_at for one in those))  # type: ignore[misc]
        for one in clients:
            one.leave(reset=True)


def _reset_in_response(crowd: Crowd, big: str) -> None:
    """After so many bytes of 20 MB: none, few, more than the kernel's buffers hold."""
    for step in range(RESPONSE_STEPS):
        client = crowd.ask(get(f"/big?as={big}"))
        enough = step * step * 4096
        crowd.run(2.0, until=lambda one=client, least=enough: _has(one, least))  # type: ignore[misc]
        client.leave(reset=True)


def _has(client: Client, least: int) -> bool:
    return client.over or (client.sent_at is not None and client.answer.content_bytes >= least)


def _settled(process: Process, crowd: Crowd, before: int) -> int:
    """Descriptors once no more than before are open, or patience has ended."""
    crowd.run(SETTLE_SECONDS_MAX, until=lambda: process.descriptors() <= before)
    return process.descriptors()


@row(
    Question(
        "descriptors",
        "Room for 20 more descriptors, 100 silent newcomers: does an older connection go on?",
        "answered throughout, under a quarter of a core used, and a newcomer served once they left",
    ),
    clients=NEWCOMERS,
)
def descriptors(arena: Arena) -> tuple[Result, ...]:
    """EMFILE on accept: the listener pauses and resumes, and those who are in go on."""
    with arena.serve() as (process, crowd):
        kept = crowd.ask(get("/"))
        crowd.run(5.0, until=lambda: kept.over)
        process.leave_descriptors(ROOM)
        newcomers = [crowd.ask(b"") for _ in range(NEWCOMERS)]
        used = process.processor_seconds()
        answered, asked = _at_work(crowd, kept)
        share = (process.processor_seconds() - used) / SHORTAGE_SECONDS
        for one in newcomers:
            one.leave()
        client = healthy(crowd)
        text = f"{answered} of {asked} answered, {share:.0%} of a core, then {told(client)}"
    passed = answered == asked and share < SPIN_SHARE and client.status == 200
    return judged(passed, text, answered=answered, asked=asked, share=share, after=client.took)


def _at_work(crowd: Crowd, kept: Client) -> tuple[int, int]:
    """Asks on one connection while descriptors are short: answered, asked."""
    answered = asked = 0
    end = crowd.now() + SHORTAGE_SECONDS
    while crowd.now() < end:
        asked += 1
        if kept.open and kept.phase is Phase.ANSWERED:
            kept.ask_again(get("/"))
            crowd.run(1.0, until=lambda: kept.over)
            answered += kept.status == 200
        crowd.run(0.5)
    return answered, asked
