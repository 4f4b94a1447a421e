"""All processes as one server: what an operator is shown, whichever of them has been asked.

The parent asks its children (`gathering`); a child that has the operator's request asks through the
parent, and is asked like the others. What comes back is summed here, in the one as in the other.

Threads: any. Who asks for a page waits, for little longer than the processes have time.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from server.observing import nothing
from server.ops.control import NotDone
from server.ops.frames import Lane, View
from server.ops.several import Parent, Unanswered, together
from server.ops.snapshot import Part, Snapshot
from server.ops.spelling import numbers, process_of, understood
from server.processes.accounts import Total
from server.processes.gathering import ANSWER_SECONDS_MAX, Gathered, Question, Then
from statemachine import System

LOG = logging.getLogger("interlock.processes")

Ask = Callable[[Question, Then], None]
"""Asks all processes, and calls the other at the end, once. Raises Unanswered."""

PARENT_SECONDS_MAX: Final = ANSWER_SECONDS_MAX + 0.5
"""From a question to its answer, what the parent needs for itself included."""

Fact = Mapping[str, object]


class Company:
    """What is shown of all processes. `phase` is as `server.ops.feed.Watched` has it."""

    def __init__(self, system: System, ask: Ask, phase: Callable[[], object]) -> None:
        self.system = system
        self.phase = phase
        self._ask = ask
        self._nothing = nothing(system)

    def snapshot(self) -> Snapshot:
        """All of them now. Raises Unanswered, as all here."""
        return self.sum_of(self._asked(Question("snapshot")))

    def view(self, then: View) -> None:
        """Call `then` with all of them and their workers, when they have answered."""

        def come(gathered: Gathered) -> None:
            try:
                then(self.sum_of(gathered), list(_lanes(gathered)))
            except Unanswered as error:
                LOG.debug("there is nothing to be seen: %s", error)

        self._ask(Question("frame"), come)

    def connections(self, state: str, page: int) -> dict[str, object]:
        """A page of each process's connections. It has as many pages as who has most."""
        gathered = self._asked(Question("connections", {"state": state, "page": page}))
        pages = [(number, one) for number, one in _objects(gathered)]
        return {
            "page": page,
            "pages": max((_number(one, "pages") for _, one in pages), default=0),
            "total": sum(_number(one, "total") for _, one in pages),
            "connections": [
                {"process": number, **each}
                for number, one in pages
                for each in _list(one, "connections")
                if isinstance(each, dict)
            ],
        }

    def stacks(self) -> str:
        """Where each thread of each process is."""
        gathered = self._asked(Question("stacks"))
        return "\n".join(
            f"process {number}\n\n{gathered.answers.get(number) or 'does not answer'}"
            for number in _asked_of(gathered)
        )

    # --- orders -----------------------------------------------------------------------------

    def resize(self, threads: int) -> bool:
        """Have so many workers in each process. False: none does. Raises NotDone for some."""
        gathered = self._asked(Question("resize", {"threads": threads}))
        asked = _asked_of(gathered)
        left = [number for number in asked if gathered.answers.get(number) is not True]
        if left and len(left) < len(asked):
            raise NotDone(f"not done by process {', '.join(map(str, left))}, by the others it is")
        return bool(asked) and not left

    def dump(self, reason: str) -> str | None:
        """Let each process write down its last arrows: a line for each, or None if none has."""
        gathered = self._asked(Question("dump", {"reason": reason}))
        if not any(gathered.answers.values()):
            return None
        return "\n".join(
            f"process {number}: {gathered.answers.get(number) or 'nothing was written'}"
            for number in _asked_of(gathered)
        )

    # --- what has come back -----------------------------------------------------------------

    def _asked(self, question: Question) -> Gathered:
        come = queue.SimpleQueue[Gathered]()
        self._ask(question, come.put)
        try:
            return come.get(timeout=PARENT_SECONDS_MAX)
        except queue.Empty:
            raise Unanswered("the parent of the processes does not answer") from None

    def sum_of(self, gathered: Gathered) -> Snapshot:
        """What was gathered, as one. Raises Unanswered for what another version has said."""
        facts = gathered.facts
        try:
            processes = [one for one in _list(facts, "processes") if isinstance(one, dict)]
            parts = [_part(one, gathered) for one in processes]
            before = list(_before(facts, processes, parts))
            return together(self._parent(facts, processes, parts), parts, before)
        except (KeyError, TypeError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
            raise Unanswered(f"the processes are not understood: {said}") from None

    def _parent(self, facts: Fact, processes: Sequence[Fact], parts: Sequence[Part]) -> Parent:
        states = Counter(one.state for one in parts)
        ledger = Total.of(numbers(facts["total"]))
        for process, part in zip(processes, parts, strict=True):
            seen = Total.of(numbers(process["account"]))
            ledger += seen if part.now is None else Total.of(part.now.ledger.told())
        return Parent(
            nothing=self._nothing,
            state=str(facts["state"]),
            places=_number(facts, "places"),
            url=str(facts["url"]),
            uptime_seconds=_seconds(facts, "uptime_seconds"),
            process=process_of(facts["process"]),
            ledger=ledger,
            occupancy={
                "fleet": {**self._nothing.occupancy["fleet"], str(facts["state"]): 1},
                "process": {**self._nothing.occupancy["process"], **states},
            },
            arrows=numbers(facts["arrows"]),
        )


def _part(one: Fact, gathered: Gathered) -> Part:
    number = _number(one, "number")
    answer, now = gathered.answers.get(number), None
    if isinstance(answer, dict):
        try:
            now = understood(answer.get("snapshot"))
        except ValueError as error:
            LOG.debug("what process %d says is not understood: %s", number, error)
    state, place = str(one["state"]), _number(one, "place")
    return Part(number, place, state, bool(one["asked"]), now)


def _before(facts: Fact, processes: Sequence[Fact], parts: Sequence[Part]) -> Iterator[Snapshot]:
    """What those have counted that are over, and those that do not answer."""
    told = [facts["past"]]
    told += [
        one.get("last") for one, part in zip(processes, parts, strict=True) if part.now is None
    ]
    yield from (understood(one) for one in told if one is not None)


def _asked_of(gathered: Gathered) -> list[int]:
    """The numbers of the processes that were asked."""
    return [
        _number(one, "number")
        for one in _list(gathered.facts, "processes")
        if isinstance(one, dict) and one.get("asked")
    ]


def _objects(gathered: Gathered) -> Iterable[tuple[int, Fact]]:
    return ((n, one) for n, one in sorted(gathered.answers.items()) if isinstance(one, dict))


def _lanes(gathered: Gathered) -> Iterator[Lane]:
    for number, one in _objects(gathered):
        for lane in _list(one, "lanes"):
            if isinstance(lane, dict):
                request = lane.get("request")
                yield Lane(
                    name=f"{number}/{lane.get('name')}",
                    state=str(lane.get("state")),
                    request=None if request is None else str(request),
                    seconds=_seconds(lane, "seconds"),
                )


def _list(found: Fact, name: str) -> list[object]:
    value = found.get(name)
    return value if isinstance(value, list) else []


def _number(found: Fact, name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) else 0


def _seconds(found: Fact, name: str) -> float:
    value = found.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0
