"""Questions that go to all processes, and what they have answered by the time.

A question begins a gathering: each process is told, and whoever asked hears at once when all have
answered, and after ANSWER_SECONDS_MAX in any case, with the answers that there are. So a process
that is stuck makes nobody wait longer than that, and is known by its silence.

Threads: the parent's one.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from server.ops.several import added
from server.ops.snapshot import Snapshot
from server.ops.spelling import understood
from server.processes.channel import Message, integer

LOG = logging.getLogger("interlock.processes")

ANSWER_SECONDS_MAX: Final = 1.0
"""How long a process may take to answer. Prometheus waits for ten seconds, people for less."""


@dataclass(frozen=True, slots=True)
class Question:
    """What all processes are asked: a word, and what goes with it (`server.processes.answers`)."""

    what: str
    argument: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of a question: what the parent itself knows at the end of it, and the answers by
    the processes' numbers.
    """

    facts: Message
    answers: Mapping[int, object]


Then = Callable[[Gathered], None]


@dataclass(slots=True)
class Gathering:
    """One question under way. `waits_for` are the processes that have not answered."""

    waits_for: set[int]
    deadline: float
    then: Then
    answers: dict[int, object] = field(default_factory=dict)


class Gatherings:
    """All that are under way. `facts` says what the parent knows besides these answers."""

    def __init__(
        self,
        send: Callable[[int, Message], None],
        monotonic: Callable[[], float],
        facts: Callable[[Mapping[int, object]], Message],
    ) -> None:
        self._send = send
        self._monotonic = monotonic
        self._facts = facts
        self._ids = itertools.count(1)
        self._open: dict[int, Gathering] = {}

    def begin(self, question: Question, asked: Collection[int], then: Then) -> None:
        """Ask these processes, and call `then` when they have answered, or should have."""
        id_ = next(self._ids)
        deadline = self._monotonic() + ANSWER_SECONDS_MAX
        self._open[id_] = Gathering(set(asked), deadline, then)
        order = {"asks": "tell", "id": id_, "what": question.what, "argument": question.argument}
        for number in asked:
            self._send(number, order)
        self._conclude(id_)

    def hear(self, number: int, message: Message) -> None:
        """A process has answered. An answer that nobody waits for any more is passed over."""
        id_ = integer(message, "id")
        one = self._open.get(id_)
        if one is not None and number in one.waits_for:
            one.waits_for.remove(number)
            one.answers[number] = message.get("value")
            self._conclude(id_)

    def lose(self, number: int) -> None:
        """A process is over, or has said its last word: nobody waits for it. What it has answered
        is no answer any more: its counts are told as those of one that is over.
        """
        for id_, one in list(self._open.items()):
            one.waits_for.discard(number)
            one.answers.pop(number, None)
            self._conclude(id_)

    def pass_time(self) -> None:
        """Wait no longer for what should have been answered by now."""
        now = self._monotonic()
        for id_, one in list(self._open.items()):
            if one.deadline <= now:
                LOG.debug("no answer from %s", sorted(one.waits_for))
                one.waits_for.clear()
                self._conclude(id_)

    def until(self) -> float | None:
        """When time passes next; None: nobody waits."""
        return min((one.deadline for one in self._open.values()), default=None)

    def _conclude(self, id_: int) -> None:
        one = self._open.get(id_)
        if one is None or one.waits_for:
            return
        del self._open[id_]
        try:
            one.then(Gathered(self._facts(one.answers), one.answers))
        except Exception:
            # Whoever asked has made the mistake: the processes are kept all the same.
            LOG.exception("what processes have answered could not be told")


class Chronicle:
    """What processes have counted by the last that each has told, and `past`, what those have that
    are over: so that nothing that was told once is ever told to be less.
    """

    def __init__(self) -> None:
        self.past: Snapshot | None = None
        self._last: dict[int, tuple[object, Snapshot]] = {}

    def note(self, number: int, snapshot: object) -> None:
        """What a process has told of itself, as it has come. What is none is passed over."""
        try:
            self._last[number] = snapshot, understood(snapshot)
        except ValueError as error:
            LOG.debug("what process %d says of itself is not understood: %s", number, error)

    def last(self, number: int, besides: object = None) -> Snapshot | None:
        """What it has told last; None: nothing yet, or nothing `besides` this."""
        told, last = self._last.get(number, (None, None))
        return None if told is besides else last

    def close(self, number: int) -> None:
        """A process is over: what it has told last is counted as past."""
        _, last = self._last.pop(number, (None, None))
        if last is not None:
            self.past = added(self.past, last)
