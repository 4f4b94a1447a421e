"""One life, drawn from a seed before it is played: who comes, what they ask, what goes wrong.

A plan is data. So a part of it can be left out, and the rest stays as it was: that is how a life
that fails is made smaller.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `kind` is what is asked of the application, or which malformed bytes are sent;
    `size` a number that the kind takes. `form` is how it is sent: "plain", "chunked", "expect" (100
    is waited for), "old" (HTTP/1.0), "absolute", "upgrade", "last" (Connection: close). Of a
    request to an application of the user's, `path` and `fields` are its own, and `statuses` are
    those that it may be answered with.
    """

    kind: str
    number: int
    method: str = "GET"
    form: str = "plain"
    size: int = 0
    content: bytes = b""
    raw: bytes = b""
    path: str = ""
    fields: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()

    @property
    def target(self) -> str:
        """Its request target's path."""
        return self.path or f"/{self.kind}/{self.number}/{self.size}"

    @property
    def name(self) -> str:
        """What it is called where it is left out."""
        return f"r{self.number}"


@dataclass(frozen=True, slots=True)
class Visitor:
    """One client. It sends `window` requests ahead of their responses, in pieces of `piece_bytes`
    with `gap_seconds` between; its receive buffer holds `buffer_bytes`, of which it reads
    `sip_bytes` at a time, `sip_seconds` apart. `end` is how it parts: "leave" and "half" after the
    last response or request, "stay" until it is closed, or at a byte: "mute" after it has sent
    `at`, "reset" too, "stop_reading" and "reset_reading" after it has read so many.
    """

    number: int
    asks: tuple[Ask, ...]
    starts: float = 0.0
    window: int = 1
    piece_bytes: int = 0
    gap_seconds: float = 0.0
    buffer_bytes: int = 0
    sip_bytes: int = 0
    sip_seconds: float = 0.0
    end: str = "leave"
    at: int = 0

    @property
    def name(self) -> str:
        """What it is called where it is left out."""
        return f"c{self.number}"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that befalls the server: after so many `arrows`, or else at a time. `value` is a
    number that the kind takes.
    """

    kind: str
    arrows: int = 0
    seconds: float = 0.0
    value: float = 0.0
    number: int = 0

    @property
    def name(self) -> str:
        """What it is called where it is left out."""
        return f"d{self.number}"

    def __str__(self) -> str:
        when = f"after {self.arrows} arrows" if self.arrows else f"at {self.seconds:g} s"
        return f"{self.kind} {when}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole life. `setting` is the number of its Config, `app` the room that answers, `walk` how
    the threads take turns, `points` the machines whose arrows are points too.
    """

    seed: int
    setting: int
    app: str
    walk: str
    points: tuple[str, ...]
    visitors: tuple[Visitor, ...]
    deeds: tuple[Deed, ...]

    @property
    def strikes(self) -> bool:
        """Whether a thread is torn out in it."""
        return any(one.kind.startswith("strike") for one in self.deeds)

    @property
    def parts(self) -> list[str]:
        """The names of what can be left out: clients, requests and deeds."""
        asks = [ask.name for one in self.visitors for ask in one.asks]
        deeds = [one.name for one in self.deeds]
        return [one.name for one in self.visitors] + deeds + asks

    def without(self, names: Collection[str]) -> Plan:
        """The same life, without these parts."""
        visitors = tuple(
            replace(one, asks=tuple(ask for ask in one.asks if ask.name not in names))
            for one in self.visitors
            if one.name not in names
        )
        deeds = tuple(one for one in self.deeds if one.name not in names)
        return replace(self, visitors=visitors, deeds=deeds)


PLAIN_KINDS: Final = (
    *("plain",) * 6,
    *("echo",) * 4,
    *("big",) * 3,
    *("stream",) * 3,
    *("sized", "empty", "file", "slow", "publish", "publish", "subscribe", "subscribe"),
)
ROUGH_KINDS: Final = (
    *("raise", "exit", "breaks", "liar", "short", "hang", "hang", "stuck", "none", "latest"),
)
LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 200
POST: Final = b"POST / HTTP/1.1\r\nHost: a\r\n"
RAW: Final[tuple[tuple[str, bytes], ...]] = (
    ("no-line", b"\x00\x16\x03\x01 nonsense\r\n\r\n"),
    ("no-version", b"GET /\r\nHost: a\r\n\r\n"),
    ("version", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ("no-host", b"GET / HTTP/1.1\r\n\r\n"),
    ("bare-lf", b"GET / HTTP/1.1\nHost: a\n\n"),
    ("space", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("fold", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"),
    ("both", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("length", POST + b"Content-Length: +3\r\n\r\nabc"),
    ("coding", POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    ("chunk", POST + b"Transfer-Encoding: chunked\r\n\r\n3;\r\nabcd\r\n0\r\n\r\n"),
    ("too-much", POST + b"Content-Length: 999999999\r\n\r\nabc"),
    ("huge-line", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("huge-field", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n"),
    ("many-fields", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n"),
)
"""Bytes that are no request: each is to be refused, and the connection ends."""

FORMS: Final = ("plain",) * 7 + ("absolute", "upgrade", "old", "last")
WALKS: Final = ("random", "sticky", "sticky", "stickier", "stickier", "turns")
POINTS: Final[tuple[tuple[str, ...], ...]] = ((),) * 5 + (
    ("connection",),
    ("connection", "job", "pipe", "subscription"),
)
ENDS: Final = (
    *("leave",) * 8,
    *("half",) * 3,
    *("stay",) * 2,
    *("mute", "reset", "reset", "reset_reading", "reset_reading", "stop_reading"),
)
DEEDS: Final = (
    *("stop",) * 3,
    *("stop_twice", "stop_twice", "strike_worker", "strike_worker", "no_threads", "no_descriptors"),
    *("no_descriptors", "bad_accept", "disk_full", "disk_full", "wall", "leap", "release"),
    *("strike_reactor", "flood", "no_room"),
)
START_FAULTS: Final = ("no_port", "no_thread_0", "no_thread_1", "no_thread_2", "no_selector")
SETTINGS: Final = 12


class Draw:
    """The dice, as a plan needs them: all from one stream of random numbers."""

    def __init__(self, seed: int) -> None:
        self.number = random.Random(seed).random  # noqa: S311 - it is to be repeated

    def of(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[int(self.number() * len(choices))]

    def below(self, most: int) -> int:
        """A whole number from 0 on, less than `most`."""
        return int(self.number() * most)

    def chance(self, one_in: int) -> bool:
        """True once in so many times."""
        return self.number() * one_in < 1.0


def draw_plan(seed: int) -> Plan:
    """The life of this seed."""
    draw = Draw(seed)
    count = draw.of((1, 1, 2, 2, 3, 4)) if not draw.chance(16) else 5 + draw.below(9)
    rough = draw.chance(2)
    numbers = iter(range(1, 1000))
    visitors = tuple(_visitor(draw, one, numbers, rough=rough) for one in range(count))
    drawn = [_deed(draw) for _ in range(draw.of((0, 0, 1, 1, 2, 3)) if rough else draw.below(2))]
    if draw.chance(60):
        drawn.insert(0, (draw.of(START_FAULTS), 0, 0.0, 0.0))
    return Plan(
        seed=seed,
        setting=draw.below(SETTINGS),
        app=draw.of(("native", "native", "wsgi")),
        walk=draw.of(WALKS),
        points=draw.of(POINTS),
        visitors=visitors,
        deeds=tuple(Deed(*one, number) for number, one in enumerate(drawn)),
    )


def _visitor(draw: Draw, number: int, numbers: Iterator[int], *, rough: bool) -> Visitor:
    asks = tuple(_ask(draw, next(numbers), rough=rough) for _ in range(draw.of((1, 1, 1, 2, 2, 4))))
    end = draw.of(ENDS) if rough else draw.of(("leave", "leave", "half", "stay"))
    slow = draw.chance(5)
    size = 40 + draw.below(600)
    return Visitor(
        number=number,
        asks=asks,
        starts=draw.of((0.0, 0.0, 0.0, 0.01, 0.2)),
        window=draw.of((1, 1, 1, 2, 9)),
        piece_bytes=draw.of((0, 0, 0, 1 + draw.below(60), 1 + draw.below(400))),
        gap_seconds=draw.of((0.0, 0.0, 0.01, 0.1)) if rough else draw.of((0.0, 0.005)),
        buffer_bytes=draw.of((100, 700, 3000)) if slow else 0,
        sip_bytes=draw.of((150, 600, 2000)) if slow else 0,
        sip_seconds=draw.of((0.002, 0.02, 0.1)) if slow else 0.0,
        end=end,
        at=size if end in ("mute", "reset") else size * draw.of((1, 1, 4)),
    )


def _ask(draw: Draw, number: int, *, rough: bool) -> Ask:
    if rough and draw.chance(8):
        kind, raw = draw.of(RAW)
        return Ask(kind, number, raw=raw, method=raw.split(b" ")[0].decode("latin-1"))
    kind = draw.of(ROUGH_KINDS) if rough and draw.chance(4) else draw.of(PLAIN_KINDS)
    size = draw.of((0, 1, 3, 30, 30, 200))
    if kind == "echo":
        content = LETTERS[number % 26 :][: draw.of((0, 1, 40, 900, 5000))]
        form = draw.of(("plain", "plain", "chunked", "expect", "expect-chunked"))
        return Ask(kind, number, "POST", form, size, content)
    method = "HEAD" if kind in ("plain", "big", "empty", "stream") and draw.chance(7) else "GET"
    return Ask(kind, number, method, draw.of(FORMS), size)


def _deed(draw: Draw) -> tuple[str, int, float, float]:
    kind = draw.of(DEEDS)
    arrows = draw.below(200) if draw.chance(2) else draw.below(40)
    if draw.chance(4):
        arrows = 0
    seconds = draw.number() * draw.of((0.05, 1.0, 3.0))
    return kind, arrows, round(seconds, 3), round(draw.number(), 3)
