"""What a subscriber was sent, held against what was published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from server.simulation.application import CHANNELS, Stage
from server.simulation.plan import Ask

BLOCK: Final = re.compile(
    rb"(?:id: s-(?P<id>\d+)\n)?(?:retry: \d+\n)?(?:: hb\n)?"
    rb"(?:event: (?P<event>\S+)\n)?(?:data: (?P<data>[^\n]*)\n)?"
)


def faults_of_events(stage: Stage, ask: Ask, content: bytes, *, is_whole: bool) -> Iterator[str]:
    """Whether each event is one that was published, in their order, and none is missing unless the
    subscriber was told so.
    """
    *blocks, rest = content.split(b"\n\n")
    if rest and is_whole:
        yield f"{ask.target}: the stream ends within an event: {rest[-60:]!r}"
    audience = _Audience(stage, ask)
    for block in blocks:
        found = BLOCK.fullmatch(block + b"\n")
        if found is None:
            yield f"{ask.target}: no event: {block[:80]!r}"
            return
        number = None if found["id"] is None else int(found["id"])
        if found["event"] is not None:
            audience.is_told_of_a_gap(number, found["data"])
        elif found["data"] is None:
            audience.is_at(number)
        else:
            yield from audience.gets(number, found["data"])


class _Audience:
    """One subscriber: the number up to which it has had everything, and by channel, the number up
    to which it knows what it has lost.
    """

    def __init__(self, stage: Stage, ask: Ask) -> None:
        self._published = stage.published
        self._may_lose = stage.may_lose
        self._ask = ask
        self._at: int | None = None
        self._lost: dict[str, int] = {}
        self._wanted = CHANNELS if ask.kind == "subscribe" else CHANNELS[:1]

    def is_at(self, number: int | None) -> None:
        if number is not None:
            self._at = number

    def is_told_of_a_gap(self, number: int | None, data: bytes) -> None:
        self.is_at(number)
        for loss in json.loads(data)["lost"]:
            self._lost[loss["channel"]] = int(loss["last"].rpartition("-")[2])

    def gets(self, number: int | None, data: bytes) -> Iterator[str]:
        target, at = self._ask.target, self._at
        published = None if number is None else self._published.get(number)
        if published is None and self._may_lose:
            return
        if number is None or published is None or published[1].encode() != data:
            yield f"{target}: event {number} is {data[:60]!r}, published was {published}"
            return
        if at is not None and number <= at:
            yield f"{target}: event {number} comes after {at}"
        if at is not None and self._ask.kind == "subscribe" and not self._may_lose:
            between = ((n, self._published[n][0]) for n in range(at + 1, number))
            missed = [n for n, name in between if name in self._wanted and n > self._known(name)]
            if missed:
                yield f"{target}: event {number} comes after {at}, and {missed} are missing"
        self._at = number

    def _known(self, channel: str) -> int:
        return self._lost.get(channel, -1)
