"""A fuzzer of the request reader: `make fuzz`, or `python -m tests.http1.fuzz --seconds 60`.

It begins with the corpus and with messages by grammar, spoils and splices them, and keeps what
behaved as nothing before it did: another refusal, another shape of connection, or, where the
interpreter tells of lines cheaply (3.12 and later), another line of server/http1. Each input is
judged by four oracles:

1. Nothing escapes the reader but ProtocolError.
2. What is told does not depend on where the bytes were split.
3. What is kept and what is done is bounded: less than one line is buffered, each byte is searched
   a few times at most, and there are no more events than bytes.
4. h11 reads the same, to the byte where each request ends, or the disagreement is listed in
   disagreements.toml. This is the oracle for request smuggling.

On one interpreter, a run is determined by its seed and its number of executions. A finding is made
small and printed; it belongs into tests/corpus then.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from server.errors import ProtocolError
from server.http1.persistence import _options_in
from server.http1.reader import RequestReader
from server.http1.target import _is_short_host
from tests.http1 import against_h11
from tests.http1.generate import Author
from tests.http1.lines_run import LinesRun
from tests.http1.talk import SMALL, Outcome, Told, bound_to, pump, split_at
from tests.http1.test_corpus import BOTH

WIRE_BYTES_MAX: Final = 3000
FINDINGS_MAX: Final = 5
BUFFERED_BYTES_MAX: Final = max(SMALL.request_line_bytes_max, SMALL.field_line_bytes_max) + 1
SEARCHES_MAX: Final = 3
"""How often a byte may be searched: for the end of the head, of its line, and once more at a
piece's end."""

TOKENS: Final = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\xff", b":", b",", b";", b'"'),
    *(b"0", b"9", b"-", b"+", b"0x", b"%", b"#", b"?", b"*", b"@", b"[", b"]", b"//", b"HTTP/1.1"),
    *(b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    *(
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"GET / HTTP/1.1\r\n",
        b"3\r\nabc\r\n",
    ),
    *(
        b"HEAD ",
        b"CONNECT a:1 ",
        b"OPTIONS * ",
        b"http://a",
        b"X" * 300,
        b"1" * 20,
        b"\x0b",
        b"\x85",
    ),
)
"""What is put in where a fuzzer puts in something."""


HEAD_ENDS: Final = re.compile(rb"\r\n\r\n")
REQUEST_STARTS: Final = re.compile(rb"(?=[A-Z]{3,16} [!-~]+ HTTP/1)")


@dataclass(frozen=True)
class Finding:
    """What an oracle found wrong. `kind` stays the same while the input is made smaller."""

    kind: str
    detail: str
    wire: bytes


class Escaped(Exception):
    """An oracle's word that something is wrong."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def observe(pieces: Iterable[bytes], *, shortcut: bool = False) -> Outcome:
    """Read the pieces and the end after them; with the `shortcut`, as the server does. Raises
    Escaped for what a reader must never do.
    """
    reader = bound_to("sealed").make_reader(SMALL)
    outcome = Outcome([], reader.state)
    received = 0
    try:
        for piece in pieces:
            received += len(piece)
            whole = reader.take_whole(piece) if shortcut and piece else None
            if whole is None:
                reader.receive(piece)
            else:
                outcome.requests.append(Told(*whole))
            pump(reader, outcome)
            _check_bounds(reader, received)
    except ProtocolError as error:
        outcome.status, outcome.message = error.status, str(error)
    outcome.state = reader.state
    return outcome


def _check_bounds(reader: RequestReader, received: int) -> None:
    if reader.buffered > BUFFERED_BYTES_MAX:
        raise Escaped("kept too much", f"{reader.buffered} bytes are buffered")
    searched = reader._buffer.searched_bytes
    if searched > SEARCHES_MAX * received:
        raise Escaped("searched too much", f"{searched} bytes of {received}")


def judge(wire: bytes, cuts: list[int]) -> tuple[Outcome, Finding | None]:
    """Hold one input to the oracles. The outcome is that of the input as a whole."""
    outcome = Outcome([], bound_to("sealed").make_reader(SMALL).state)
    try:
        outcome = observe([*([wire] if wire else []), b""])
        pieces = [one for one in split_at(wire, cuts) if one]
        split = observe([*pieces, b""])
        if split.without_message() != outcome.without_message():
            raise Escaped("split", f"cut at {cuts}:\n  {outcome}\n  {split}")
        for ends in HEAD_ENDS, REQUEST_STARTS:
            places = [one.end() for one in ends.finditer(wire)]
            pieces = [one for one in split_at(wire, places) if one]
            short = observe([*pieces, b""], shortcut=True)
            if short.without_message() != outcome.without_message():
                raise Escaped("shortcut", f"cut at {places}:\n  {outcome}\n  {short}")
        judged = against_h11.judge(wire)
        if judged is not None and judged[1] is None:
            found = judged[0]
            raise Escaped("h11", f"{found.by}: {found.word}\n  {found.ours}\n  {found.theirs}")
    except Escaped as escaped:
        return outcome, Finding(escaped.kind, str(escaped), wire)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        return outcome, Finding(f"{type(error).__name__} escaped", repr(error), wire)
    return outcome, None


def behaviour(outcome: Outcome) -> str:
    """What tells one kind of outcome from another: the refusal without its numbers and names, and
    the requests by how they are framed.
    """
    word = re.sub(
        r"0x..|\d+|'.*'|(?<=field )\S+|(?<=coding )\S+|(?<=scheme )\S+", "_", outcome.message
    )
    told = ""
    for one in outcome.requests[-1:]:
        head = one.head
        length = min(head.content_length or 0, 2)
        framing = (head.chunked, length, bool(one.content), bool(one.trailers))
        form = (head.target[:1] == "/", "://" in head.target, head.method == "CONNECT")
        told = f"{framing} {form} {head.persists} {head.expects_continue}"
    return f"{min(len(outcome.requests), 3)} {told} {word} {outcome.state}"


class Mutator:
    """Makes new inputs from old ones, by a seeded `draw`."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._authors = [Author(draw, oddness=oddness) for oddness in (0.0, 0.03, 0.1, 0.3)]
        self._ways: list[Callable[[bytes, bytes], bytes]] = [
            self._set_byte,
            self._put_token,
            self._put_token,
            self._cut_out,
            self._double,
            self._splice,
            self._swap_lines,
            self._move_number,
            self._add_request,
        ]

    def next(self, pool: list[bytes]) -> bytes:
        """A new input: by grammar, or from one or two of the pool."""
        draw = self._draw
        if draw.random() < 0.2:
            return draw.choice(self._authors).connection()[:WIRE_BYTES_MAX]
        wire = draw.choice(pool)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
            wire = draw.choice(self._ways)(wire, draw.choice(pool))
        return wire[:WIRE_BYTES_MAX]

    def cuts(self, wire: bytes) -> list[int]:
        """Where to split it: at every byte, around one place, or in a few pieces."""
        draw, size = self._draw, len(wire)
        way = draw.random()
        if way < 0.1:
            return list(range(1, size))
        if way < 0.5:
            place = self._place(wire)
            return [place, min(place + 1, size)]
        return sorted(draw.randint(0, size) for _ in range(draw.randint(1, 6)))

    def _place(self, wire: bytes) -> int:
        """Any place, or better one where a line ends."""
        ends = [at for at, byte in enumerate(wire) if byte in b"\r\n"]
        if ends and self._draw.random() < 0.5:
            return min(max(self._draw.choice(ends) + self._draw.randint(-1, 2), 0), len(wire))
        return self._draw.randint(0, len(wire))

    def _set_byte(self, wire: bytes, _: bytes) -> bytes:
        at = self._place(wire)
        return wire[:at] + bytes([self._draw.randrange(256)]) + wire[at + 1 :]

    def _put_token(self, wire: bytes, _: bytes) -> bytes:
        at = self._place(wire)
        return wire[:at] + self._draw.choice(TOKENS) + wire[at + self._draw.choice((0, 0, 1, 2)) :]

    def _cut_out(self, wire: bytes, _: bytes) -> bytes:
        at = self._place(wire)
        return wire[:at] + wire[at + self._draw.choice((1, 1, 2, 8, 40)) :]

    def _double(self, wire: bytes, _: bytes) -> bytes:
        at = self._place(wire)
        size = self._draw.choice((1, 2, 8, 40, 200))
        return wire[: at + size] + wire[at:]

    def _splice(self, wire: bytes, other: bytes) -> bytes:
        return wire[: self._place(wire)] + other[self._place(other) :]

    def _swap_lines(self, wire: bytes, other: bytes) -> bytes:
        lines, others = wire.split(b"\r\n"), other.split(b"\r\n")
        lines.insert(self._draw.randint(0, len(lines)), self._draw.choice(others))
        return b"\r\n".join(lines)

    def _move_number(self, wire: bytes, _: bytes) -> bytes:
        numbers = list(re.finditer(rb"[0-9]+", wire))
        if not numbers:
            return wire
        one = self._draw.choice(numbers)
        moved = int(one[0][:18]) + self._draw.choice((-1, 1, 1, 7, 100, 1 << 40))
        return wire[: one.start()] + str(max(moved, 0)).encode() + wire[one.end() :]

    def _add_request(self, wire: bytes, _: bytes) -> bytes:
        return wire + self._draw.choice(self._authors).request()


@dataclass
class Report:
    """What a run came to."""

    executions: int = 0
    seconds: float = 0.0
    began_with: int = 0
    pool: list[bytes] = field(default_factory=list)
    behaviours: set[str] = field(default_factory=set)
    lines: LinesRun = field(default_factory=LinesRun)
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.executions / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.executions} executions in {self.seconds:.1f} s, {rate:.0f} a second",
            f"pool: {self.began_with} inputs at the beginning, {len(self.pool)} now",
            f"behaviours: {len(self.behaviours)}; {self.lines}",
            f"findings: {len(self.findings)}",
        ]
        lines += [f"\n{one.kind}: {one.detail}\n  {one.wire!r}" for one in self.findings]
        return "\n".join(lines)


def fuzz(*, seed: int, goes_on: Callable[[Report], bool]) -> Report:
    """Fuzz as long as `goes_on` says so, or until FINDINGS_MAX kinds of finding have been met."""
    report = Report(pool=[one.wire for one in BOTH], began_with=len(BOTH))
    mutator = Mutator(random.Random(seed))
    # What a cache answers runs no line: with one that is full, a run would not be its seed's.
    for cache in (_is_short_host, _options_in):
        cache.cache_clear()
    began = time.perf_counter()
    with report.lines:
        for wire in list(report.pool):
            _execute(wire, mutator, report)
        while len(report.findings) < FINDINGS_MAX and goes_on(report):
            wire = mutator.next(report.pool)
            if _execute(wire, mutator, report):
                report.pool.append(wire)
            report.seconds = time.perf_counter() - began
    return report


def _execute(wire: bytes, mutator: Mutator, report: Report) -> bool:
    """Judge one input. True: it behaved as none before it did."""
    report.executions += 1
    lines_before = report.lines.count
    outcome, finding = judge(wire, mutator.cuts(wire))
    if finding is not None and finding.kind not in {one.kind for one in report.findings}:
        report.findings.append(smallest(finding, mutator))
    kind = behaviour(outcome)
    new = kind not in report.behaviours or report.lines.count > lines_before
    report.behaviours.add(kind)
    return new and finding is None


def smallest(finding: Finding, mutator: Mutator) -> Finding:
    """The finding with as much of its input left out as leaves it the same kind."""
    size = max(len(finding.wire) // 2, 1)
    while size:
        at = 0
        while at < len(finding.wire):
            wire = finding.wire[:at] + finding.wire[at + size :]
            found = next(filter(None, (judge(wire, mutator.cuts(wire))[1] for _ in range(4))), None)
            if found is not None and found.kind == finding.kind:
                finding = found
            else:
                at += size
        size //= 2
    return finding


def main() -> int:
    """Fuzz for some time, print what came of it, and fail if something was found."""
    parser = argparse.ArgumentParser(description="Fuzz the request reader.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--executions", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=None, help="a new one each time, and printed")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}\n")
    report = fuzz(
        seed=seed,
        goes_on=lambda report: (
            report.seconds < options.seconds and report.executions < options.executions
        ),
    )
    sys.stdout.write(f"{report}\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
