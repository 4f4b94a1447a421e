"""The loud door, on both engines: every state, event and guard's answer of every spec.

The oracle is the spec's own table; beside it, the two engines are held against each other.
"""

from __future__ import annotations

import inspect
import itertools
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import pytest

from statemachine import (
    Arrow,
    Binder,
    Engine,
    GuardRefused,
    IllegalEvent,
    MachineSpec,
    Model,
    SealError,
    SpecError,
    TransitionError,
    Unbound,
    load_system,
)
from statemachine import _generated as generated
from statemachine._generated import JobMachine, JobState, WorkerMachine, WorkerState
from statemachine.generate import class_name
from statemachine.machine import SealedMachine, build
from statemachine.model import State

SYSTEM = load_system()
ENGINES: tuple[Engine, ...] = get_args(Engine)
GUARDS, EFFECTS = SYSTEM.vocabulary.guards, SYSTEM.vocabulary.effects
CONDITIONS = SYSTEM.vocabulary.conditions
ANSWERS: tuple[object, ...] = (True, False, 2, None)
"""A guard passes when its answer equals True; `unless`, when it equals False."""
TALLIED = frozenset([*list(SYSTEM.arrows)[::2], "W4"])

each_engine = pytest.mark.parametrize("engine", ENGINES)
each_machine = pytest.mark.parametrize("name", list(SYSTEM.machines))


def fake(name: str) -> type[Any]:
    """A class for machine `name` whose words answer from `answers` and write down their calls."""

    def asked(word: str) -> Any:
        def method(self: Any) -> object:
            self.calls.append((word, self.state))
            answer = self.answers.get(word)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return method

    words = (*GUARDS.values(), *EFFECTS.values(), *CONDITIONS.values())
    body: dict[str, object] = {w.python: asked(w.python) for w in words if w.machine == name}
    body |= {"__slots__": ("answers", "calls")}
    return type("Fake", (getattr(generated, class_name(name) + "Machine"),), body)


def at(bound: type[Any], state: str, **answers: object) -> Any:
    model = bound()
    model.state, model.answers, model.calls = bound.State[state], answers, []
    return model


def questions(spec: MachineSpec) -> list[str]:
    """The Python names of the guards that the machine's rows ask."""
    words = {word for arrow in spec.arrows for word in (arrow.when, arrow.unless) if word}
    return sorted(GUARDS[word].python for word in words)


def situations(spec: MachineSpec) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every state with every event and every answer of every guard."""
    asked = questions(spec)
    for state, event in itertools.product(spec.states, spec.events):
        for answers in itertools.product(ANSWERS, repeat=len(asked)):
            yield state, event, dict(zip(asked, answers, strict=True))


def taken(spec: MachineSpec, state: str, event: str, answers: dict[str, object]) -> Arrow | None:
    """The row that the spec's table takes."""
    for arrow in spec.arrows_from(state, event):
        when = answers[GUARDS[arrow.when].python] if arrow.when else True
        unless = answers[GUARDS[arrow.unless].python] if arrow.unless else False
        if when == True and unless == False:  # noqa: E712 - the rule of the door
            return arrow
    return None


def outcome(model: Any, event: str, hooked: list[Any], counted: list[str]) -> tuple[object, ...]:
    """All that can be seen of one event from outside."""
    hooked.clear()
    counted.clear()
    told: tuple[object, ...]
    try:
        told = ("returned", getattr(model, event)())
    except TransitionError as error:
        told = (type(error), str(error), error.machine, error.event, error.state)
    seen_by_hook = [(who is model, state, arrow.id) for who, state, arrow in hooked]
    return told, model.state, tuple(model.calls), tuple(seen_by_hook), tuple(counted)


def bound_with_hook(name: str, engine: Engine) -> tuple[type[Any], list[Any], list[str]]:
    """The machine's class, what its hook will have seen, and which arrows will have been counted.

    Every second arrow has a tally, so that no event's rows are all alike.
    """
    hooked, counted = list[Any](), list[str]()

    def hook(model: Model, arrow: Arrow) -> None:
        hooked.append((model, model.state, arrow))

    tallies = {one: partial(counted.append, one) for one in TALLIED}
    binder = Binder(SYSTEM, engine=engine, hook=hook, tallies=tallies)
    return binder.bind(fake(name)), hooked, counted


@each_machine
@each_engine
def test_the_door_does_what_the_table_says(name: str, engine: Engine) -> None:
    spec = SYSTEM.machines[name]
    bound, hooked, counted = bound_with_hook(name, engine)
    arrows: set[str] = set()
    for state, event, answers in situations(spec):
        model = at(bound, state, **answers)
        told, after, calls, seen_by_hook, tallied = outcome(model, event, hooked, counted)
        arrow = taken(spec, state, event, answers)
        if arrow is None:
            kind = GuardRefused if spec.arrows_from(state, event) else IllegalEvent
            assert isinstance(told, tuple)
            assert (told[0], *told[2:]) == (kind, name, event, state)
            assert (after, seen_by_hook, tallied) == (bound.State[state], (), ())
            continue
        arrows.add(arrow.id)
        target = bound.State[arrow.target]
        assert (told, after) == (("returned", None), target)
        assert seen_by_hook == ((True, target, arrow.id),)
        assert tallied == ((arrow.id,) if arrow.id in TALLIED else ())
        if arrow.do:
            assert isinstance(calls, tuple)
            assert calls[-1] == (EFFECTS[arrow.do].python, bound.State[state])
    assert arrows == {arrow.id for arrow in spec.arrows}


@each_machine
def test_both_engines_look_the_same_from_outside(name: str) -> None:
    (sealed, *by_sealed), (stock, *by_stock) = (bound_with_hook(name, one) for one in ENGINES)
    for state, event, answers in situations(SYSTEM.machines[name]):
        assert outcome(at(sealed, state, **answers), event, *by_sealed) == outcome(
            at(stock, state, **answers), event, *by_stock
        ), (state, event, answers)


RAISED = (ValueError("broken"), KeyboardInterrupt(), SystemExit(2), MemoryError("none left"))


@each_engine
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("word", ["queue_has_job", "take_job"])
def test_a_guard_or_effect_that_raises_moves_nothing(
    word: str, error: BaseException, engine: Engine
) -> None:
    bound, hooked, counted = bound_with_hook("worker", engine)
    model = at(bound, "IDLE", **{"queue_has_job": True, word: error})
    with pytest.raises(type(error)) as caught:
        model.took_job()
    assert caught.value is error
    assert model.state is WorkerState.IDLE
    assert (hooked, counted) == ([], [])


@each_engine
def test_a_hook_that_raises_has_seen_the_move(engine: Engine) -> None:
    def hook(model: Model, arrow: Arrow) -> None:
        raise RuntimeError(arrow.id)

    model = at(Binder(SYSTEM, engine=engine, hook=hook).bind(fake("worker")), "STARTING")
    with pytest.raises(RuntimeError, match="W1"):
        model.started()
    assert model.state is WorkerState.IDLE


@each_engine
def test_an_effect_may_fire_another_event(engine: Engine) -> None:
    """Nested, the inner event runs to its end first; the outer one then assigns its own target."""

    class Nested(WorkerMachine):
        __slots__ = ("inside",)

        def queue_has_job(self) -> bool:
            return True

        def is_surplus(self) -> bool:
            return False

        def no_job_will_come(self) -> bool:
            return True

        def place_is_taken(self) -> bool:
            return False

        def owns_job(self) -> bool:
            return False

        def drop_job(self) -> None:
            self.inside = self.state

        def take_job(self) -> None:
            self.dismissed()
            self.inside = self.state

    worker = Binder(SYSTEM, engine=engine).bind(Nested)()
    worker.started()
    worker.took_job()
    assert worker.inside is WorkerState.STOPPED
    assert worker.state is WorkerState.BUSY


@each_engine
@pytest.mark.parametrize("strange", [JobState.NEW, "IDLE", None, 7])
def test_a_state_of_another_machine_is_refused(strange: object, engine: Engine) -> None:
    model = at(Binder(SYSTEM, engine=engine).bind(fake("worker")), "IDLE", queue_has_job=True)
    model.state = strange
    with pytest.raises(ValueError, match=r"is not a registered state\.$") as caught:
        model.took_job()
    assert str(caught.value) in (
        f"State '{strange}' is not a registered state.",
        f"State '{getattr(strange, 'name', strange)}' is not a registered state.",
    )
    assert model.state is strange


def test_an_unbound_class_says_so() -> None:
    with pytest.raises(Unbound, match=r"WorkerMachine\.started .* bind the class, or override it"):
        WorkerMachine().started()
    with pytest.raises(Unbound, match=r"WorkerMachine\.owns_job"):
        WorkerMachine().owns_job()


@each_engine
class TestWhatBindRefuses:
    @pytest.mark.parametrize(
        ("without", "more", "says"),
        [
            (
                (),
                ("ASLEEP",),
                r"^worker\.toml: state ASLEEP: is one that the code lacks, expected ",
            ),
            (("LATE",), (), r"^worker\.toml: table states: lacks LATE, expected as the code has"),
        ],
    )
    def test_a_class_of_another_spec(
        self, without: tuple[str, ...], more: tuple[str, ...], says: str, engine: Engine
    ) -> None:
        worker = SYSTEM.machines["worker"]
        states = {name: one for name, one in worker.states.items() if name not in without}
        states |= {name: State(name=name, means="None.") for name in more}
        other = worker._replace(states=states)
        system = replace(SYSTEM, machines={**SYSTEM.machines, "worker": other})
        with pytest.raises(SpecError, match=says):
            Binder(system, engine=engine).bind(fake("worker"))

    def test_a_machine_that_the_system_does_not_have(self, engine: Engine) -> None:
        stranger = type("Stranger", (fake("worker"),), {"__slots__": (), "machine_name": "x"})
        with pytest.raises(SpecError, match=r"^system\.toml: machines: lacks 'x', expected as"):
            Binder(SYSTEM, engine=engine).bind(stranger)

    def test_a_class_that_inherits_a_guard(self, engine: Engine) -> None:
        class Deaf(JobMachine):
            __slots__ = ()

        with pytest.raises(SealError, match=r"^job: Deaf inherits pool_accepts and does not"):
            Binder(SYSTEM, engine=engine).bind(Deaf)

    @pytest.mark.parametrize("word", ["take_job", "drop_job", "owns_job", "no_job_will_come"])
    def test_a_class_whose_word_is_no_method(self, word: str, engine: Engine) -> None:
        broken = type("Broken", (fake("worker"),), {"__slots__": (), word: None})
        with pytest.raises(SealError, match=f"^worker: Broken has no method {word}, which the"):
            Binder(SYSTEM, engine=engine).bind(broken)

    def test_a_class_with_a_method_in_an_event_s_place(self, engine: Engine) -> None:
        def started(self: object) -> None: ...

        broken = type("Own", (fake("worker"),), {"__slots__": (), "started": started})
        with pytest.raises(SealError, match=r"^worker: Own has a method started of its own"):
            Binder(SYSTEM, engine=engine).bind(broken)

    def test_a_class_that_is_bound_already(self, engine: Engine) -> None:
        binder = Binder(SYSTEM, engine=engine)
        with pytest.raises(SealError, match=r"^worker: Fake has a method started of its own"):
            binder.bind(binder.bind(fake("worker")))


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"engine is 'fast', expected one of sealed, stock"):
        Binder(SYSTEM, engine="fast")  # type: ignore[arg-type]


@each_machine
@each_engine
def test_bound_classes_stay_slotted(name: str, engine: Engine) -> None:
    plain = fake(name)
    bound = Binder(SYSTEM, engine=engine).bind(plain)
    model = at(bound, SYSTEM.machines[name].initial)
    assert not hasattr(model, "__dict__")
    with pytest.raises(AttributeError):
        model.is_idle = True
    assert issubclass(bound, plain)
    assert (bound.__name__, bound.__qualname__) == (plain.__name__, plain.__qualname__)


def test_one_class_may_be_bound_to_both_engines_and_several_hooks_at_once() -> None:
    plain, traces = fake("worker"), dict[str, list[str]]()
    workers = {}
    for engine in ENGINES:
        for traced in (False, True):
            trace = traces.setdefault(f"{engine} {traced}", [])
            hook = (lambda _, arrow, trace=trace: trace.append(arrow.id)) if traced else None
            bound = Binder(SYSTEM, engine=engine, hook=hook).bind(plain)
            workers[f"{engine} {traced}"] = at(bound, "STARTING", queue_has_job=True)
    for event in ("started", "took_job", "finished", "died"):
        for worker in workers.values():
            getattr(worker, event)()
    assert {worker.state for worker in workers.values()} == {WorkerState.DEAD}
    whole = ["W1", "W4", "W7", "W6"]
    assert traces == {
        "sealed False": [],
        "sealed True": whole,
        "stock False": [],
        "stock True": whole,
    }
    with pytest.raises(Unbound):
        plain().started()


class TestFrozen:
    @pytest.fixture
    def machine(self) -> SealedMachine:
        machine = build(SYSTEM.machines["worker"], WorkerState, SYSTEM)
        machine.freeze()
        return machine

    def test_rows_and_states_cannot_be_added_or_taken_away(self, machine: SealedMachine) -> None:
        told = "worker: the machine is sealed and cannot change any more"
        for change in (
            lambda: machine.add_transition("flee", "*", WorkerState.DEAD),
            lambda: machine.add_transitions([["flee", "IDLE", "DEAD"]]),
            machine.add_ordered_transitions,
            lambda: machine.add_state("LIMBO"),
            lambda: machine.add_states(["LIMBO"]),
            lambda: machine.remove_transition("started"),
            lambda: machine.add_model(object()),
            lambda: setattr(machine, "before_state_change", "x"),
            lambda: setattr(machine, "send_event", True),
            lambda: setattr(machine, "initial", "IDLE"),
        ):
            with pytest.raises(SealError, match=told):
                change()

    def test_tables_and_callbacks_cannot_be_changed(self, machine: SealedMachine) -> None:
        started, idle = machine.events["started"], machine.states["IDLE"]
        for change in (
            lambda: machine.events.pop("started"),
            lambda: machine.states.pop("IDLE"),
            lambda: started.transitions["STARTING"].pop(0),
            lambda: started.transitions.pop("STARTING"),
            lambda: started.add_callback("after", "x"),
            lambda: idle.add_callback("enter", "x"),
            lambda: machine.on_enter_IDLE("x"),
            lambda: machine.before_started("x"),
        ):
            with pytest.raises(AttributeError):
                change()

    def test_it_still_answers_as_a_stock_machine_does(self, machine: SealedMachine) -> None:
        assert machine.get_triggers(WorkerState.IDLE) == [
            "died",
            "took_job",
            "dismissed",
            "retired",
        ]
        assert len(machine.get_transitions("died")) == 5
        model = at(fake("worker"), "IDLE", queue_has_job=True)
        assert machine.events["took_job"].trigger(model) is True
        assert model.state is WorkerState.BUSY

    @each_engine
    def test_what_bind_makes_is_frozen(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frozen: list[str] = []
        monkeypatch.setattr(SealedMachine, "freeze", lambda machine: frozen.append(machine.name))
        Binder(SYSTEM, engine=engine).bind(fake("worker"))
        assert frozen == ["worker: "]


def test_the_sealed_text_is_the_one_that_its_module_shows() -> None:
    from statemachine import sealing

    bound = Binder(SYSTEM).bind(fake("worker"))
    shown = [line[4:] for line in (sealing.__doc__ or "").splitlines() if line.startswith("    ")]
    assert inspect.getsource(bound.took_job).splitlines() == shown


def test_a_traceback_through_an_effect_shows_the_sealed_line() -> None:
    model = at(
        Binder(SYSTEM).bind(fake("worker")), "IDLE", queue_has_job=True, take_job=ValueError("no")
    )
    with pytest.raises(ValueError, match="no") as caught:
        model.took_job()
    assert "self.take_job()" in "".join(traceback.format_exception(caught.value))


ROUNDS = 300


def _both_at_once(*work: Any) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@each_engine
class TestThreads:
    """What the door promises to threads, and what it does not."""

    def test_objects_share_nothing(self, engine: Engine) -> None:
        """Each thread with objects of its own needs no lock: no event sees another's."""
        bound = Binder(SYSTEM, engine=engine).bind(fake("worker"))
        states: list[list[Any]] = [[], []]

        def live(states: list[Any]) -> None:
            worker = at(bound, "STARTING", queue_has_job=True, no_job_will_come=True)
            worker.started()
            for _ in range(ROUNDS):
                worker.took_job()
                worker.finished()
            worker.dismissed()
            states += [worker.state, len(worker.calls)]

        _both_at_once(*(lambda mine=mine: live(mine) for mine in states))
        assert states == [[WorkerState.STOPPED, 3 * ROUNDS + 1]] * 2

    def test_one_object_needs_a_lock_for_its_guard_is_check_then_act(self, engine: Engine) -> None:
        """Both threads pass the guard, both move: why an event has one owner, or a lock."""
        both_asked = threading.Barrier(2)
        won: list[str] = []

        class Contended(fake("worker")):  # type: ignore[misc]
            __slots__ = ()

            def queue_has_job(self) -> bool:
                both_asked.wait(timeout=30)
                return True

        worker = at(Binder(SYSTEM, engine=engine).bind(Contended), "IDLE")

        def claim() -> None:
            worker.took_job()
            won.append("won")

        _both_at_once(claim, claim)
        assert won == ["won", "won"]

    def test_under_a_lock_one_wins_and_the_other_is_told(self, engine: Engine) -> None:
        worker = at(Binder(SYSTEM, engine=engine).bind(fake("worker")), "IDLE", queue_has_job=True)
        lock, told = threading.Lock(), list[str]()

        def claim() -> None:
            try:
                with lock:
                    worker.took_job()
                told.append("won")
            except IllegalEvent as error:
                told.append(str(error))

        _both_at_once(claim, claim)
        assert sorted(told) == ["won", "worker: no arrow for event took_job from state BUSY"]
