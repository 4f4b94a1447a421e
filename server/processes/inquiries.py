"""What is asked of all processes, by their operator: the parent's side.

Who asks is another thread of the parent's process, or a child that an operator's request has come
to. Threads: the parent's one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from server.ops.snapshot import Snapshot
from server.ops.spelling import told
from server.processes.accounts import Total
from server.processes.channel import Message, argument, text
from server.processes.fleet import Fleet
from server.processes.gathering import Chronicle, Gathered, Gatherings, Question, Then
from server.processes.process import Process
from server.processes.world import World


class Inquiries:
    """Asks the processes of `fleet`, and keeps what they have counted. `own` is what the parent
    says of itself.
    """

    def __init__(self, fleet: Fleet, world: World, own: Callable[[], Message]) -> None:
        self._fleet = fleet
        self._world = world
        self._own = own
        self._chronicle = Chronicle()
        self._gatherings = Gatherings(world.send, world.monotonic, self._facts)
        self._resized: Mapping[str, object] | None = None

    def ask(self, question: Question, then: Then) -> None:
        """Ask all processes that serve, or are on their way out; `then` is called once, before this
        returns or in a later turn.
        """
        if question.what == "resize":
            self._resized = question.argument
        asked = [one.number for one in self._fleet.processes if one.answers]
        self._gatherings.begin(question, asked, then)

    def until(self) -> float | None:
        """When `pass_time` has something to do next; None: not at all."""
        return self._gatherings.until()

    def pass_time(self) -> None:
        """Wait no longer for what should have been answered by now."""
        self._gatherings.pass_time()

    # --- what processes say -----------------------------------------------------------------

    def welcome(self, one: Process) -> None:
        """It serves. It was started with the workers that the command line says: where the operator
        has asked for others since, it is told.
        """
        if self._resized is not None:
            order = {"asks": "tell", "id": 0, "what": "resize", "argument": self._resized}
            self._world.send(one.number, order)

    def hear_answer(self, one: Process, message: Message) -> None:
        """It has answered."""
        if "snapshot" in argument(message, "value"):
            self._chronicle.note(one.number, argument(message, "value")["snapshot"])
        self._gatherings.hear(one.number, message)

    def hear_question(self, one: Process, message: Message) -> None:
        """It wants to know something of all, itself included."""
        number, id_ = one.number, message.get("id")

        def tell(gathered: Gathered) -> None:
            for other, value in gathered.answers.items():
                answer = {"asks": "hear", "id": id_, "number": other, "value": value}
                self._world.send(number, answer)
            self._world.send(number, {"asks": "hear", "id": id_, "facts": gathered.facts})

        self.ask(Question(text(message, "what"), argument(message, "argument")), tell)

    def hear_last_word(self, one: Process, message: Message) -> None:
        """It will say no more."""
        self._chronicle.note(one.number, message.get("snapshot"))
        self._gatherings.lose(one.number)

    def close(self, one: Process) -> None:
        """It is over, and no longer of the fleet."""
        self._chronicle.close(one.number)
        self._gatherings.lose(one.number)

    # --- what the parent knows --------------------------------------------------------------

    def _facts(self, answers: Mapping[int, object]) -> Message:
        """What there is to know of all besides their answers, as JSON: see `company.Company`."""
        return {
            **self._own(),
            "state": self._fleet.state.name,
            "places": len(self._fleet.places),
            "total": asdict(self._fleet.total),
            "past": _told(self._chronicle.past),
            "processes": [
                self._fact(one, answers.get(one.number)) for one in self._fleet.processes
            ],
        }

    def _fact(self, one: Process, answer: object) -> Message:
        seen = Total.of(self._world.counts(one.number))
        # Who has answered has told its counts: they are not told twice, some times a second.
        answered = answer.get("snapshot") if isinstance(answer, dict) else None
        return {
            "number": one.number,
            "place": one.place,
            "state": one.state.name,
            "asked": one.answers,
            "account": asdict(replace(seen, open=seen.accepted - seen.settled)),
            "last": _told(self._chronicle.last(one.number, besides=answered)),
        }


def _told(one: Snapshot | None) -> Message | None:
    return None if one is None else told(one)
