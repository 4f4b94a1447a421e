"""What the sealing compiler refuses: whatever it cannot do to the letter."""

from __future__ import annotations

import enum
import itertools
import operator
from typing import Any

import pytest
import transitions
from transitions.core import Condition, Event, State, Transition
from transitions.extensions import HierarchicalMachine, LockedMachine

from statemachine import SealError
from statemachine.machine import compile_events
from statemachine.sealing import advanced


class Phase(enum.Enum):
    A = 1
    B = 2


class Model:
    def __init__(self) -> None:
        self.state: object = Phase.A

    def yes(self) -> bool:
        return True

    @property
    def quality(self) -> bool:
        return True

    silent = None


def machine(kind: type[transitions.Machine] = transitions.Machine, **options: Any) -> Any:
    given: dict[str, Any] = {
        "model": None,
        "name": "m",
        "states": list(Phase),
        "initial": Phase.A,
        "transitions": [["go", Phase.A, Phase.B]],
        "auto_transitions": False,
    }
    return kind(**given | options)


def row(**entries: object) -> list[dict[str, object]]:
    return [{"trigger": "go", "source": "A", "dest": "B"} | entries]


def extended(attribute: str, kind: type) -> type[transitions.Machine]:
    return type("Extended", (transitions.Machine,), {attribute: kind})


class OwnEvent(Event): ...


class OwnState(State): ...


class OwnTransition(Transition): ...


class OwnCondition(Condition): ...


def with_event() -> Any:
    made = machine()
    made.events["go"] = OwnEvent("go", made)
    return made


def with_row() -> Any:
    made = machine()
    made.events["go"].add_transition(OwnTransition("B", "A"))
    return made


def with_condition() -> Any:
    made = machine()
    made.events["go"].transitions["A"][0].conditions.append(OwnCondition("yes"))
    return made


REFUSED: dict[str, tuple[Any, str]] = {
    "a queue": (lambda: machine(queued=True), "queued machines share one unlocked queue"),
    "arguments": (lambda: machine(send_event=True), "send_event passes arguments to callbacks"),
    "locked": (lambda: machine(LockedMachine), "LockedMachine is an extension of Machine"),
    "nested": (
        lambda: machine(HierarchicalMachine),
        "HierarchicalMachine is an extension of Machine",
    ),
    "a subclass": (
        lambda: machine(extended("event_cls", OwnEvent)),
        "Extended is an extension of Machine",
    ),
    "an event": (with_event, "OwnEvent is an extension of Event"),
    "a state": (
        lambda: machine(states=[OwnState("A"), "B"], initial="A"),
        "OwnState is an extension of State",
    ),
    "a row": (
        with_row,
        "OwnTransition is an extension of Transition",
    ),
    "a condition": (with_condition, "OwnCondition is an extension of Condition"),
    "a source": (
        lambda: machine(transitions=row(source="NOWHERE")),
        "'NOWHERE' is no state of the machine",
    ),
    "a target": (
        lambda: machine(transitions=row(dest="NOWHERE")),
        "'NOWHERE' is no state of the machine",
    ),
    "a number for a state": (
        lambda: machine(states=[State(1)], initial=None, transitions=[["go", 1, "="]]),  # type: ignore[arg-type]
        "state 1 is neither a text nor an enum's member",
    ),
    "an event that is no name": (
        lambda: machine(transitions=row(trigger="go on")),
        "event 'go on' is no plain name",
    ),
    "an event that is a statement": (
        lambda: machine(transitions=row(trigger="go(self): pass\nimport os #")),
        "event 'go(self): pass\\nimport os #' is no plain name",
    ),
    "a keyword": (
        lambda: machine(transitions=row(trigger="class")),
        "event 'class' is no plain name",
    ),
    "an attribute that is no name": (
        lambda: machine(model_attribute="my state"),
        "attribute 'my state' is no plain name",
    ),
    "a path to a function": (
        lambda: machine(transitions=row(before="os.getcwd")),
        "callback 'os.getcwd' is no method's name",
    ),
    "a name that Python normalizes": (
        lambda: machine(transitions=row(after="ﬁnd")),
        "callback 'ﬁnd' is no method's name",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_supported_is_refused_when_sealing(what: str) -> None:
    make, fault = REFUSED[what]
    with pytest.raises(SealError) as caught:
        compile_events(make(), Model)
    assert str(caught.value) == f"m: {fault}: not supported"


@pytest.mark.parametrize("name", ["missing", "quality", "silent"])
@pytest.mark.parametrize("place", ["conditions", "unless", "prepare", "before", "after"])
def test_a_callback_that_the_model_does_not_answer_is_refused(name: str, place: str) -> None:
    with pytest.raises(SealError, match=f"m: Model has no method {name}"):
        compile_events(machine(transitions=row(**{place: name})), Model)


def test_a_state_behind_a_property_is_refused() -> None:
    with pytest.raises(SealError, match=r"m: Model\.quality is a property: not supported"):
        compile_events(machine(model_attribute="quality"), Model)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"on_exception": "yes"}, "on_exception and finalize_event swallow errors"),
        ({"finalize_event": "yes"}, "on_exception and finalize_event swallow errors"),
        ({"ignore_invalid_triggers": True}, "ignore_invalid_triggers swallows events"),
        (
            {"states": [{"name": Phase.A, "ignore_invalid_triggers": True}, Phase.B]},
            "ignore_invalid_triggers swallows events",
        ),
    ],
)
def test_a_loud_door_refuses_what_keeps_silent(options: dict[str, Any], fault: str) -> None:
    assert compile_events(machine(**options), Model)
    with pytest.raises(SealError, match=f"m: {fault}: not supported"):
        compile_events(machine(**options), Model, loud=True)


def test_names_that_the_text_cannot_write_are_given_others() -> None:
    """Two states whose names Python would normalize into one stay two."""
    states = enum.Enum("states", {"ﬁ": 1, "fi": 2, "a b": 3, "class": 4})
    names = list(states)
    made = machine(
        states=names,
        initial=names[0],
        transitions=[["go", a, b] for a, b in zip(names, [*names[1:], names[0]], strict=True)],
    )
    go, model = compile_events(made, Model)["go"], Model()
    model.state = names[0]
    seen = []
    for _ in names:
        assert go(model) is True
        seen.append(model.state)
    assert seen == [*names[1:], names[0]]


class Lazy:
    """An iterator that is no builtin's: only what it is asked for may happen."""

    def __init__(self) -> None:
        self.asked = list[str]()

    def __iter__(self) -> Lazy:
        self.asked.append("iter")
        return self

    def __next__(self) -> int:
        self.asked.append("next")
        return 1


def test_a_builtin_s_count_is_advanced_without_a_call_in_a_loud_event() -> None:
    """By exactly one for each move, as the call would. A quiet event is stock's to the letter."""
    count, other, lazy = itertools.repeat(None, 100), iter(range(100)), Lazy()
    calls = [count.__next__, other.__next__, lazy.__next__]
    assert advanced(calls[0]) is count
    assert advanced(calls[1]) is other
    assert [advanced(one) for one in (calls[2], "go", len, [1].__len__, print)] == [None] * 5
    made = machine(transitions=row(before=calls))
    for loud in (True, False):
        model = Model()
        compile_events(made, Model, loud=loud)["go"](model)
        assert model.state is Phase.B
    assert operator.length_hint(count) == 98
    assert next(other) == 2
    assert lazy.asked == ["next", "next"]
