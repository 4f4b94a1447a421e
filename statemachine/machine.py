"""The typed door over real `transitions` machines; their only importer, and the home of `Any`.

A `transitions.Machine` is built per spec by its own constructor, and stays a real one. It is then
*sealed*: from `machine.events` and `machine.states`, never from the spec a second time, one
straight-line function per event is compiled onto the model class (`sealing` writes its text). The
stock engine stays the reference and runs behind the same door.

What the door promises, on both engines: an event moves the object, or raises `IllegalEvent` or
`GuardRefused`.

Traps of transitions 0.9.3 that end here:

- stock `Machine` is check-then-act, so two threads can both win one arrow: an event is fired by the
  owner, or under the pool's lock, never by two at once;
- a refused guard returns False without a word: the door raises;
- `queued=True` shares one unlocked queue among all models: refused;
- `add_model` binds closures to each instance and scans a list: never called, models carry nothing
  but their state;
- a condition passes when its answer *equals* True, so that a guard which answers 2 refuses: the
  same here.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, TypeVar, cast, get_args

import transitions
from transitions.core import Condition, Event, Transition
from transitions.core import State as StockState

from statemachine.ahead import maker_of
from statemachine.errors import GuardRefused, IllegalEvent, SealError
from statemachine.model import Arrow, MachineSpec, Model, System
from statemachine.noting import Log
from statemachine.sealing import Known, Plan, Row, compiled
from statemachine.words import fitting, require_words

Engine = Literal["sealed", "stock"]
Hook = Callable[[Model, Arrow], None]
"""Called after an object has moved, with the object and the arrow it took, on the thread that fired
the event."""

Tallies = Mapping[str, Callable[[], object]]
"""What is called when an arrow is taken, by the arrow's id: the `__next__` of a count. It may not
raise."""

Arrows = Mapping[tuple[str, str, str], Arrow]
"""The spec's rows by source, event and target."""

NOTER: Final = "_note_"
"""With an arrow's id, the method that notes it where the engine is stock."""

M = TypeVar("M", bound=Model)

LOG = logging.getLogger("transitions.core")
"""The library's own logger: the sealed engine says there what stock says, from WARNING on."""


class SealedMachine(transitions.Machine):
    """A stock machine whose structure can be frozen once its events have been compiled."""

    _frozen = False

    def freeze(self) -> None:
        """Refuse every later change: of rows, states, callbacks, options, and models."""
        for state in self.states.values():
            _fix(state, "on_enter", "on_exit")
        for event in self.events.values():
            for row in _rows(event):
                _fix(row, "prepare", "conditions", "before", "after")
            fixed = {source: tuple(rows) for source, rows in event.transitions.items()}
            vars(event)["transitions"] = MappingProxyType(fixed)
        vars(self).update(
            states=MappingProxyType(self.states), events=MappingProxyType(self.events), _frozen=True
        )

    def __setattr__(self, name: str, value: Any) -> None:
        self._refuse_change()
        super().__setattr__(name, value)

    def add_transition(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().add_transition(*args, **options)

    def add_states(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().add_states(*args, **options)

    def remove_transition(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().remove_transition(*args, **options)

    def add_model(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().add_model(*args, **options)

    def _refuse_change(self) -> None:
        if self._frozen:
            raise SealError(f"{_label(self)}: the machine is sealed and cannot change any more")


def _fix(holder: object, *names: str) -> None:
    for name in names:
        setattr(holder, name, tuple(getattr(holder, name)))


def _label(machine: transitions.Machine) -> str:
    return machine.name.removesuffix(": ")


def _rows(event: Event) -> Iterator[Transition]:
    for rows in event.transitions.values():
        yield from rows


def build(
    spec: MachineSpec,
    states: type[enum.Enum],
    system: System,
    tallies: Tallies | None = None,
    *,
    noted: bool = False,
) -> SealedMachine:
    """A `transitions` machine from a spec, by the library's own constructor.

    An arrow's tally is the last of its row's `before` callbacks. So both engines call it, and at
    the same moment: the guard has said yes and the effect has not raised. `noted`, a method of the
    model comes after it, which notes the arrow; sealed events need none.
    """
    guards, effects = system.vocabulary.guards, system.vocabulary.effects
    counted = tallies or {}
    return SealedMachine(
        model=None,
        name=spec.name,
        states=[{"name": states[name], "final": name in spec.final} for name in spec.states],
        initial=states[spec.initial],
        transitions=[
            {
                "trigger": arrow.event,
                "source": states[arrow.source],
                "dest": states[arrow.target],
                "conditions": guards[arrow.when].python if arrow.when else None,
                "unless": guards[arrow.unless].python if arrow.unless else None,
                "before": [
                    *([effects[arrow.do].python] if arrow.do else []),
                    *([counted[arrow.id]] if arrow.id in counted else []),
                    *([NOTER + arrow.id] if noted else []),
                ],
            }
            for arrow in spec.arrows
        ],
        auto_transitions=False,
        queued=False,
    )


class Binder:
    """Turns generated classes into classes whose events move.

    One binder serves one server: it fixes the engine, the hook, and what is called when one of the
    arrows in `tallies` is taken, just before the object's state changes. In `log` every arrow is
    noted at that moment. `bind` makes a subclass, so that a sealed and a stock server, a traced and
    an untraced one, can live in one process.

    Raises ValueError for an engine that is none, or a tally of an arrow that the system lacks.
    """

    def __init__(
        self,
        system: System,
        *,
        engine: Engine = "sealed",
        hook: Hook | None = None,
        tallies: Tallies | None = None,
        log: Log | None = None,
    ) -> None:
        if engine not in get_args(Engine):
            raise ValueError(f"engine is {engine!r}, expected one of {', '.join(get_args(Engine))}")
        if unknown := sorted((tallies or {}).keys() - system.arrows.keys()):
            raise ValueError(f"no arrow has the id {', '.join(unknown)}, which a tally names")
        self.system = system
        self.engine = engine
        self.hook = hook
        self.tallies: Tallies = tallies or {}
        self.log = log

    def bind(self, model: type[M]) -> type[M]:
        """A subclass of `model` with one method per event of its machine.

        Raises SealError if the class lacks a guard or an effect that the spec names, has a method
        of its own where the spec has an event, or is bound already; SpecError if the spec has not
        the machine, or other states than the class.
        """
        spec = fitting(self.system, model)
        if (maker := maker_of(self, model, spec)) is not None:
            return cast("type[M]", maker)
        log, sealed = self.log, self.engine == "sealed"
        noters = {NOTER + a.id: log.noter(a.id) for a in spec.arrows} if log and not sealed else {}
        machine = build(spec, model.State, self.system, self.tallies, noted=bool(noters))
        arrows = {(a.source, a.event, a.target): a for a in spec.arrows}
        namespace = {"__slots__": (), "__module__": model.__module__, **noters}
        bound: Any = type(model.__name__, (model,), namespace)
        bound.__doc__ = model.__doc__
        bound.__qualname__ = model.__qualname__
        require_words(spec, bound, _callback_names(machine))
        if sealed:
            functions = compile_events(
                machine, bound, loud=True, hook=self.hook, log=log, arrows=arrows
            )
        else:
            functions = {
                name: _stock_door(machine, event, self.hook, arrows)
                for name, event in machine.events.items()
            }
        machine.freeze()
        for name, function in functions.items():
            setattr(bound, name, function)
        return cast("type[M]", bound)


def _callback_names(machine: SealedMachine) -> set[str]:
    names: set[str] = set()
    for event in machine.events.values():
        for row in _rows(event):
            callbacks = (*row.prepare, *row.before, *row.after, *(c.func for c in row.conditions))
            names.update(one for one in callbacks if isinstance(one, str))
    return names


def _own_state(machine: transitions.Machine, model: Any) -> StockState:
    """The state of `model`, which must hold one of the machine's own values.

    Raises ValueError, in stock's words. Stock itself goes by the name, and would take another
    enum's member for its own.
    """
    value = getattr(model, machine.model_attribute)
    state = machine.get_state(value)
    if state.value is not value:
        raise ValueError(f"State '{value}' is not a registered state.")
    return state


def _stock_door(
    machine: SealedMachine, event: Event, hook: Hook | None, arrows: Arrows
) -> Callable[[Any], None]:
    """The same door over the library's own `Event.trigger`."""
    name, label = event.name, _label(machine)

    def door(self: Any) -> None:
        before = _own_state(machine, self).name
        try:
            moved = event.trigger(self)
        except transitions.MachineError:
            raise IllegalEvent(label, name, before) from None
        if not moved:
            raise GuardRefused(label, name, before)
        if hook is not None:
            hook(self, arrows[before, name, self.state.name])

    door.__name__ = door.__qualname__ = name
    return door


# --- the sealing compiler ----------------------------------------------------------------------


def compile_events(
    machine: transitions.Machine,
    model: type,
    *,
    loud: bool = False,
    hook: Callable[..., None] | None = None,
    log: Log | None = None,
    arrows: Arrows | None = None,
) -> dict[str, Callable[[Any], Any]]:
    """One straight-line function per event of `machine`, for instances of `model`.

    Quiet, it does to the letter what `Event.trigger` does: results, callback order, exceptions and
    their text. Loud, it returns None and raises `IllegalEvent` or `GuardRefused` where stock raises
    `MachineError` or returns False. Raises SealError for what it does not support.
    """
    for fault in _unsupported(machine, model, loud=loud):
        raise SealError(f"{_label(machine)}: {fault}: not supported")
    rows, known = arrows or {}, Known()
    return {
        name: compiled(
            plan_of(machine, event, loud=loud, hook=hook, log=log, arrows=rows), model, known
        )
        for name, event in machine.events.items()
    }


def _unsupported(machine: transitions.Machine, model: type, *, loud: bool) -> Iterator[str]:
    """What the compiler cannot do to the letter; it refuses rather than guess."""
    rows = [row for event in machine.events.values() for row in _rows(event)]
    states = machine.states
    yield from _extensions(machine, rows)
    if machine.has_queue:
        yield "queued machines share one unlocked queue"
    if machine.send_event:
        yield "send_event passes arguments to callbacks"
    if loud:
        yield from _silences(machine)
    for name in (name for row in rows for name in (row.source, row.dest)):
        if name and name not in states:
            yield f"{name!r} is no state of the machine"
    for state in states.values():
        if not isinstance(state.value, str | enum.Enum):
            yield f"state {state.value!r} is neither a text nor an enum's member"
    if isinstance(getattr(model, machine.model_attribute, None), property):
        yield f"{model.__name__}.{machine.model_attribute} is a property"


def _extensions(machine: transitions.Machine, rows: list[Transition]) -> Iterator[str]:
    if type(machine) not in (transitions.Machine, SealedMachine):
        yield f"{type(machine).__name__} is an extension of Machine"
    parts: list[tuple[object, type]] = [
        *((event, Event) for event in machine.events.values()),
        *((state, StockState) for state in machine.states.values()),
        *((row, Transition) for row in rows),
        *((condition, Condition) for row in rows for condition in row.conditions),
    ]
    for part, kind in parts:
        if type(part) is not kind:
            yield f"{type(part).__name__} is an extension of {kind.__name__}"


def _silences(machine: transitions.Machine) -> Iterator[str]:
    """Ways to lose an event without a word. The door is loud."""
    if machine.on_exception or machine.finalize_event:
        yield "on_exception and finalize_event swallow errors"
    shrugs = (state.ignore_invalid_triggers for state in machine.states.values())
    if machine.ignore_invalid_triggers or any(shrugs):
        yield "ignore_invalid_triggers swallows events"


def plan_of(
    machine: transitions.Machine,
    event: Event,
    *,
    loud: bool,
    hook: Callable[..., None] | None,
    log: Log | None,
    arrows: Arrows,
) -> Plan:
    """Reads one event from the library's own objects."""

    def illegal(self: Any) -> NoReturn:
        raise IllegalEvent(_label(machine), event.name, _own_state(machine, self).name)

    def swallowed(error: BaseException) -> None:
        told = machine.name, type(error).__name__, str(error)
        LOG.error("%sWhile executing finalize callbacks a %s occurred: %s.", *told)

    return Plan(
        machine=_label(machine),
        event=event.name,
        attribute=machine.model_attribute,
        values={name: state.value for name, state in machine.states.items()},
        prepare=tuple(machine.prepare_event),
        rows={
            source: tuple(
                _row(machine, row, arrows.get((source, event.name, row.dest or source)))
                for row in rows
            )
            for source, rows in event.transitions.items()
        },
        on_exception=tuple(machine.on_exception),
        finalize=tuple(machine.finalize_event),
        # Where no row leaves the state, and for a value that only resembles a state, a quiet event
        # is the library's own: whatever it says there, it says itself.
        otherwise=cast("Callable[..., object]", illegal if loud else event.trigger),
        swallowed=swallowed,
        loud=loud,
        hook=hook,
        log=log,
    )


def _row(machine: transitions.Machine, row: Transition, arrow: Arrow | None) -> Row:
    target = machine.states[row.dest] if row.dest else None
    exits = machine.states[row.source].on_exit if target else ()
    enters = (*target.on_enter, *(machine.on_final if target.final else ())) if target else ()
    return Row(
        prepare=tuple(row.prepare),
        tests=tuple((condition.func, condition.target) for condition in row.conditions),
        leaving=(*machine.before_state_change, *row.before, *exits),
        target=row.dest or None,
        arriving=(*enters, *row.after, *machine.after_state_change),
        arrow=arrow,
    )
