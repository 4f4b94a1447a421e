"""Noting: both engines note exactly the arrows taken, each once, between its tally and its move."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from typing import Any

import pytest

from statemachine import Binder, Engine, GuardRefused, IllegalEvent, Model, TransitionError
from statemachine._generated import WorkerState
from statemachine.model import BIRTH_STEP
from statemachine.noting import ARROWS_MAX, LINKED, MARKED, NAMED, Log, Noted, numbered, rows
from tests.engine.test_door import EFFECTS, SYSTEM, at, each_engine, fake, questions, taken

SEED = 20_261_125
STEPS = 2_000
NUMBERS = numbered(SYSTEM.arrows)
IDS = list(SYSTEM.arrows)

each_form = pytest.mark.parametrize("stamped", [False, True], ids=["bare", "stamped"])


class Tape:
    """A log and what it has noted."""

    def __init__(self, *, stamped: bool = False) -> None:
        self.noted: deque[Noted] = deque()
        stamp = (threading.get_ident, lambda: 7.5) if stamped else None
        self.log = Log(self.noted.append, NUMBERS, stamp)

    def steps(self) -> list[tuple[int, str]]:
        """Which object took which arrow."""
        return [(code - code % BIRTH_STEP, IDS[code % BIRTH_STEP]) for code, *_ in rows(self.noted)]


def worker(engine: Engine, tape: Tape, state: str, **answers: object) -> Any:
    return at(Binder(SYSTEM, engine=engine, log=tape.log).bind(fake("worker")), state, **answers)


@each_engine
@each_form
@pytest.mark.parametrize("name", SYSTEM.machines)
def test_exactly_the_arrows_taken_are_noted(name: str, stamped: bool, engine: Engine) -> None:
    """Random events in random states: many illegal, many refused, and some effects raise."""
    print(f"seed {SEED}")
    chance, spec, tape = random.Random(SEED), SYSTEM.machines[name], Tape(stamped=stamped)
    bound = Binder(SYSTEM, engine=engine, log=tape.log).bind(fake(name))
    expected = []
    for _ in range(STEPS):
        state = chance.choice(list(spec.states))
        possible = [arrow.event for arrow in spec.arrows_from(state)]
        event = chance.choice([*possible, chance.choice(spec.events)])
        answers: dict[str, object] = {word: chance.random() < 0.5 for word in questions(spec)}
        arrow = taken(spec, state, event, answers)
        if arrow and arrow.do and chance.random() < 0.3:
            answers[EFFECTS[arrow.do].python] = OSError("broken")
            arrow = None
        model = at(bound, state, **answers)
        if arrow:
            expected.append((model.birth, arrow.id))
        with contextlib.suppress(TransitionError, OSError):
            getattr(model, event)()
    assert tape.steps() == expected
    assert {arrow for _, arrow in expected} == {arrow.id for arrow in spec.arrows}


@each_engine
@each_form
def test_a_note_comes_after_the_tally_and_before_the_move(stamped: bool, engine: Engine) -> None:
    seen: list[tuple[str, object]] = []
    watched: list[Any] = []
    log = Log(
        lambda _: seen.append(("noted", watched[0].state)),
        NUMBERS,
        (threading.get_ident, lambda: 0.0) if stamped else None,
    )
    binder = Binder(
        SYSTEM,
        engine=engine,
        tallies={"W4": lambda: seen.append(("counted", watched[0].state))},
        hook=lambda model, _: seen.append(("hooked", model.state)),
        log=log,
    )
    watched.append(at(binder.bind(fake("worker")), "IDLE", queue_has_job=True))
    watched[0].took_job()
    idle, busy = WorkerState.IDLE, WorkerState.BUSY
    assert seen == [("counted", idle), ("noted", idle), ("hooked", busy)]
    assert watched[0].calls[-1][0] == "take_job"


@each_engine
def test_what_is_refused_is_not_noted(engine: Engine) -> None:
    tape = Tape()
    idle = worker(engine, tape, "IDLE", queue_has_job=False)
    with pytest.raises(GuardRefused):
        idle.took_job()
    with pytest.raises(IllegalEvent):
        idle.started()
    assert tape.steps() == []


@each_engine
def test_a_stamp_says_which_thread_took_the_arrow(engine: Engine) -> None:
    tape = Tape(stamped=True)
    first = worker(engine, tape, "STARTING")
    thread = threading.Thread(target=first.started)
    thread.start()
    thread.join()
    second = worker(engine, tape, "STARTING")
    second.started()
    w1 = NUMBERS["W1"]
    assert list(tape.noted) == [
        (first.birth + w1, thread.ident, 7.5),
        (second.birth + w1, threading.get_ident(), 7.5),
    ]


def test_no_two_objects_share_a_birth() -> None:
    bound = Binder(SYSTEM).bind(fake("job"))
    births: list[int] = []

    def make() -> None:
        births.extend([bound().birth for _ in range(2_000)])  # each is gone before the next

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(births)) == 8_000
    assert all(birth % BIRTH_STEP == 0 for birth in births)


@each_form
def test_links_and_names_are_rows_of_their_own(stamped: bool) -> None:
    tape, bound = Tape(stamped=stamped), Binder(SYSTEM).bind(fake("job"))
    part, whole = bound(), bound()
    tape.log.linker()((part.birth, whole.birth))
    tape.log.name(whole, 1 << 40)
    seconds = 7.5 if stamped else 0.0
    assert rows(tape.noted) == [
        (part.birth + LINKED, whole.birth // BIRTH_STEP, seconds),
        (whole.birth + NAMED, 1 << 40, seconds),
    ]


def test_a_mark_dates_what_comes_after_it() -> None:
    noted: list[Noted] = [BIRTH_STEP + 1, 12_500 * BIRTH_STEP + MARKED, BIRTH_STEP + 2]
    assert rows(noted) == [(BIRTH_STEP + 1, 0, 0.0), (BIRTH_STEP + 2, 0, 12.5)]


def test_there_is_room_for_so_many_arrows_and_no_more() -> None:
    assert len(numbered(str(one) for one in range(ARROWS_MAX))) == ARROWS_MAX
    with pytest.raises(ValueError, match=r"^1021 arrows, expected at most 1020 to be noted$"):
        numbered(str(one) for one in range(ARROWS_MAX + 1))


@each_engine
def test_a_binder_without_a_log_asks_no_object_for_its_birth(engine: Engine) -> None:
    class Unborn(fake("worker")):  # type: ignore[misc] # a class made by a function
        __slots__ = ()

        def __init__(self) -> None:
            self.state = WorkerState.STARTING  # type: ignore[misc] # a slot of its base

    model: Model = Binder(SYSTEM, engine=engine).bind(Unborn)()
    model.started()  # type: ignore[attr-defined] # an event
    assert model.state is WorkerState.IDLE
