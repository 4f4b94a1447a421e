"""A subscription: where one subscriber is in its channels' rings (spec/subscription.toml).

It holds numbers, and no event: a thousand slow subscribers cost what a thousand quick ones do.
Threads: the reactor's alone, once it has begun.
"""

from __future__ import annotations

import json
from typing import Final, Literal, NamedTuple

from server.events.encoding import GAP
from server.events.ring import Channel
from statemachine._generated import SubscriptionMachine

Policy = Literal["lossless", "latest"]

NOT_WATCHED: Final = -1
"""The mark of an object that the reactor's wheel does not have."""

FRESH: Final = -1
"""The place of a subscriber of the newest who has had nothing yet: so nothing can be lost to it."""

FOREIGN_CHARACTERS_MAX: Final = 100


class Subscription(SubscriptionMachine):
    """One subscriber's place.

    `place` is the number up to which it has had every event of its channels, or has been told of
    its loss. `told` are the channels where that is so up to a higher number: what a gap event has
    named. `after` is the id that it came with; `foreign` keeps it until it is told that this id
    says nothing here: it comes from before a restart, or from elsewhere.

    `deadline` and `tick` are the reactor's, for its wheel.
    """

    __slots__ = (
        "after", "channels", "deadline", "foreign", "gaps", "gaps_max", "names", "place",
        "policy", "tick", "told",
    )  # fmt: skip

    def __init__(
        self, names: tuple[str, ...], *, policy: Policy, after: str, gaps_max: int
    ) -> None:
        super().__init__()
        self.names = names
        self.policy = policy
        self.after = after
        self.gaps_max = gaps_max
        self.gaps = 0
        self.channels: tuple[Channel, ...] = ()
        self.place = 0
        self.told: dict[Channel, int] = {}
        self.foreign: str | None = None
        self.deadline = 0.0
        self.tick = NOT_WATCHED

    def may_lose_more(self) -> bool:
        return self.gaps < self.gaps_max

    def count_gap(self) -> None:
        self.gaps += 1

    def forget_gaps(self) -> None:
        self.gaps = 0

    def move(self, number: int) -> None:
        """All up to this number has been taken, or told to be lost."""
        self.place = number
        if self.told and number >= max(self.told.values()):
            self.told.clear()

    def place_in(self, channel: Channel) -> int:
        """The number up to which it knows of what became of this channel's events."""
        return max(self.place, self.told.get(channel, 0))


class Loss(NamedTuple):
    """What a subscriber has lost of one channel: its events after the id `after`, up to `last`.

    `events` is how many, None where nobody knows any more. `last` is None where all that is known
    of the end is that the channel's next event comes after it.
    """

    channel: str
    after: str
    last: str | None
    events: int | None


def gap_lines(losses: tuple[Loss, ...]) -> bytes:
    """The gap event, but for its id."""
    lost = [
        {"channel": one.channel, "after": one.after, "last": one.last, "events": one.events}
        for one in losses
    ]
    text = json.dumps({"lost": lost}, separators=(",", ":"))
    return b"event: %b\ndata: %b\n\n" % (GAP.encode(), text.encode())
