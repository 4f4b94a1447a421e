"""Tallies: both engines count exactly the arrows taken, each once, before the object has moved."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from statemachine import Arrow, Binder, Engine, GuardRefused, IllegalEvent, Model, TransitionError
from statemachine._generated import WorkerState
from tests.engine.test_door import EFFECTS, SYSTEM, at, each_engine, fake, questions, taken

SEED = 20_261_124
STEPS = 2_000


class Counts:
    """What a server counts with: an `itertools.count` an arrow."""

    def __init__(self, *arrows: str) -> None:
        self._counts = {arrow: itertools.count() for arrow in arrows}

    @property
    def tallies(self) -> dict[str, Callable[[], object]]:
        return {arrow: count.__next__ for arrow, count in self._counts.items()}

    def shown(self) -> dict[str, int]:
        """How far each has come, without advancing it."""
        return {arrow: int(repr(one)[len("count(") : -1]) for arrow, one in self._counts.items()}


def worker(engine: Engine, counts: Counts, state: str, **answers: object) -> Any:
    binder = Binder(SYSTEM, engine=engine, tallies=counts.tallies)
    return at(binder.bind(fake("worker")), state, **answers)


@each_engine
@pytest.mark.parametrize("hook", [None, lambda _, __: None], ids=["unhooked", "hooked"])
@pytest.mark.parametrize("name", SYSTEM.machines)
def test_exactly_the_arrows_taken_are_counted(name: str, hook: Any, engine: Engine) -> None:
    """Random events in random states: many illegal, many refused, and some effects raise."""
    print(f"seed {SEED}")
    chance, spec = random.Random(SEED), SYSTEM.machines[name]
    counts = Counts(*(arrow.id for arrow in spec.arrows))
    bound = Binder(SYSTEM, engine=engine, hook=hook, tallies=counts.tallies).bind(fake(name))
    expected = counts.shown()
    raised = 0
    for _ in range(STEPS):
        state = chance.choice(list(spec.states))
        possible = [arrow.event for arrow in spec.arrows_from(state)]
        event = chance.choice([*possible, chance.choice(spec.events)])
        answers: dict[str, object] = {word: chance.random() < 0.5 for word in questions(spec)}
        arrow = taken(spec, state, event, answers)
        if arrow and arrow.do and chance.random() < 0.3:
            answers[EFFECTS[arrow.do].python] = OSError("broken")
            arrow, raised = None, raised + 1
        elif arrow:
            expected[arrow.id] += 1
        model = at(bound, state, **answers)
        with contextlib.suppress(TransitionError, OSError):
            getattr(model, event)()
        assert model.state.name == (arrow.target if arrow else state)
    assert counts.shown() == expected
    assert all(expected.values())
    assert raised or not any(arrow.do for arrow in spec.arrows)


@each_engine
def test_what_is_refused_is_not_counted(engine: Engine) -> None:
    counts = Counts("W1", "W4")
    idle = worker(engine, counts, "IDLE", queue_has_job=False)
    with pytest.raises(GuardRefused):
        idle.took_job()
    with pytest.raises(IllegalEvent):
        idle.started()
    assert counts.shown() == {"W1": 0, "W4": 0}


@each_engine
@pytest.mark.parametrize("word", ["queue_has_job", "take_job"])
@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(2)])
def test_a_guard_or_effect_that_raises_counts_nothing(
    error: BaseException, word: str, engine: Engine
) -> None:
    counts = Counts("W4")
    idle = worker(engine, counts, "IDLE", **{"queue_has_job": True, word: error})
    with pytest.raises(type(error)):
        idle.took_job()
    assert counts.shown() == {"W4": 0}
    idle.answers[word] = True
    idle.took_job()
    assert counts.shown() == {"W4": 1}


@each_engine
def test_a_tally_comes_after_the_effect_and_before_the_move(engine: Engine) -> None:
    seen: list[tuple[list[object], object]] = []
    watched: list[Any] = []

    def tally() -> None:
        (model,) = watched
        seen.append(([word for word, _ in model.calls], model.state))

    bound = Binder(SYSTEM, engine=engine, tallies={"W4": tally}).bind(fake("worker"))
    watched.append(at(bound, "IDLE", queue_has_job=True))
    watched[0].took_job()
    assert seen == [(["queue_has_job", "take_job"], WorkerState.IDLE)]


@each_engine
def test_a_hook_finds_its_arrow_counted_and_cannot_take_that_back(engine: Engine) -> None:
    counts = Counts("W1")

    def hook(model: Model, arrow: Arrow) -> None:
        raise RuntimeError(arrow.id, counts.shown())

    binder = Binder(SYSTEM, engine=engine, hook=hook, tallies=counts.tallies)
    model = at(binder.bind(fake("worker")), "STARTING")
    with pytest.raises(RuntimeError) as caught:
        model.started()
    assert caught.value.args == ("W1", {"W1": 1})
    assert (model.state, counts.shown()) == (WorkerState.IDLE, {"W1": 1})


@each_engine
def test_rows_of_one_event_are_counted_apart(engine: Engine) -> None:
    counts = Counts("W10", "W11", "W12")
    for taken_place in (True, False, True):
        late = worker(engine, counts, "LATE", place_is_taken=taken_place)
        late.finished()
    worker(engine, counts, "BUSY").finished()  # W7, which nobody counts
    assert counts.shown() == {"W10": 1, "W11": 2, "W12": 0}


@each_engine
def test_binders_count_apart_and_classes_of_one_together(engine: Engine) -> None:
    first, second = Counts("W1"), Counts("W1")
    worker(engine, first, "STARTING").started()
    worker(engine, second, "STARTING").started()
    binder = Binder(SYSTEM, engine=engine, tallies=first.tallies)
    for _ in range(2):
        at(binder.bind(fake("worker")), "STARTING").started()
    assert (first.shown(), second.shown()) == ({"W1": 3}, {"W1": 1})


@each_engine
def test_a_tally_of_an_arrow_that_is_none_is_refused(engine: Engine) -> None:
    counts = Counts("Z9", "W1", "C0")
    with pytest.raises(ValueError, match=r"^no arrow has the id C0, Z9, which a tally names$"):
        Binder(SYSTEM, engine=engine, tallies=counts.tallies)
