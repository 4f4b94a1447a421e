"""The typed door over real `transitions` machines; their only importer, and the home of `Any`.

A `transitions.Machine` is built per spec by its own constructor, and stays a real one. It is then
*sealed*: from `machine.events` and `machine.states`, never from the spec a second time, one
straight-line function per event is compiled onto the model class. The stock engine stays the
reference and runs behind the same door.

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
import keyword
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, cast, get_args

import transitions
from transitions.core import Event, Transition

from statemachine.errors import GuardRefused, IllegalEvent, SealError
from statemachine.model import Arrow, MachineSpec, Model, System

Engine = Literal["sealed", "stock"]
Hook = Callable[[Model, Arrow], None]
"""Called after an object has moved, with the object and the arrow it took, on the thread that fired
the event."""

M = TypeVar("M", bound=Model)

LOG = logging.getLogger("transitions.core")
"""The library's own logger: the sealed engine says there what stock says."""


class SealedMachine(transitions.Machine):
    """A stock machine whose structure can be frozen once its events have been compiled."""

    _frozen = False

    def freeze(self) -> None:
        """Refuse every later change of structure."""
        self._frozen = True

    def add_transition(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().add_transition(*args, **options)

    def add_states(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().add_states(*args, **options)

    def remove_transition(self, *args: Any, **options: Any) -> Any:
        self._refuse_change()
        return super().remove_transition(*args, **options)

    def _refuse_change(self) -> None:
        if self._frozen:
            raise SealError(
                f"{self.name.rstrip(': ')}: the machine is sealed and cannot change any more"
            )


def build(spec: MachineSpec, states: type[enum.Enum], system: System) -> SealedMachine:
    """A `transitions` machine from a spec, by the library's own constructor."""
    guards, effects = system.vocabulary.guards, system.vocabulary.effects
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
                "before": effects[arrow.do].python if arrow.do else None,
            }
            for arrow in spec.arrows
        ],
        auto_transitions=False,
        queued=False,
    )


class Binder:
    """Turns generated classes into classes whose events move.

    One binder serves one server: it fixes the engine and the hook. `bind` makes a subclass, so that
    a sealed and a stock server, a traced and an untraced one, can live in one process.
    """

    def __init__(
        self, system: System, *, engine: Engine = "sealed", hook: Hook | None = None
    ) -> None:
        if engine not in get_args(Engine):
            raise ValueError(f"engine is {engine!r}, expected one of {', '.join(get_args(Engine))}")
        self.system = system
        self.engine = engine
        self.hook = hook

    def bind(self, model: type[M]) -> type[M]:
        """A subclass of `model` with one method per event of its machine.

        Raises SealError if the class lacks a guard or an effect that the spec names.
        """
        spec = self.system.machines[model.machine_name]
        machine = build(spec, model.State, self.system)
        arrows = {(a.source, a.event, a.target): a for a in spec.arrows}
        namespace = {"__slots__": (), "__module__": model.__module__}
        bound: Any = type(model.__name__, (model,), namespace)
        bound.__doc__ = model.__doc__
        bound.__qualname__ = model.__qualname__
        _require_words(spec, model, machine)
        if self.engine == "sealed":
            functions = compile_events(machine, bound, loud=True, hook=self.hook, arrows=arrows)
            machine.freeze()
        else:
            functions = {
                name: _stock_door(machine, event, self.hook, arrows)
                for name, event in machine.events.items()
            }
        for name, function in functions.items():
            setattr(bound, name, function)
        return cast("type[M]", bound)


def _require_words(spec: MachineSpec, model: type[Model], machine: SealedMachine) -> None:
    declared = next((c for c in model.__mro__ if "declared_by_spec" in vars(c)), Model)
    names = set(getattr(declared, "declared_by_spec", ()))
    for name in sorted(names | _callback_names(machine)):
        if not callable(getattr(model, name, None)):
            raise SealError(
                f"{spec.name}: {model.__name__} has no method {name}, which the spec names"
            )
        if getattr(model, name) is vars(declared).get(name):
            raise SealError(f"{spec.name}: {model.__name__} inherits {name} and does not answer it")


def _callback_names(machine: SealedMachine) -> set[str]:
    names: set[str] = set()
    for event in machine.events.values():
        for one in _transitions(event):
            names.update(c.func for c in one.conditions if isinstance(c.func, str))
            names.update(f for f in (*one.prepare, *one.before, *one.after) if isinstance(f, str))
    return names


def _transitions(event: Event) -> Iterable[Transition]:
    for rows in event.transitions.values():
        yield from rows


def _stock_door(
    machine: SealedMachine,
    event: Event,
    hook: Hook | None,
    arrows: dict[tuple[str, str, str], Arrow],
) -> Callable[[Any], None]:
    """The same door over the library's own `Event.trigger`."""
    name, label = event.name, machine.name.rstrip(": ")

    def door(self: Any) -> None:
        before = self.state
        try:
            moved = event.trigger(self)
        except transitions.MachineError:
            raise IllegalEvent(label, name, before.name) from None
        if not moved:
            raise GuardRefused(label, name, before.name)
        if hook is not None:
            hook(self, arrows[before.name, name, self.state.name])

    door.__name__ = door.__qualname__ = name
    return door


# --- the sealing compiler ----------------------------------------------------------------------


def compile_events(
    machine: transitions.Machine,
    model: type,
    *,
    loud: bool = False,
    hook: Callable[..., None] | None = None,
    arrows: dict[tuple[str, str, str], Arrow] | None = None,
) -> dict[str, Callable[[Any], Any]]:
    """One straight-line function per event of `machine`, for instances of `model`.

    Quiet, it does to the letter what `Event.trigger` does: results, callback order, exceptions and
    their text. Loud, it returns None and raises `IllegalEvent` or `GuardRefused` where stock raises
    `MachineError` or returns False. Raises SealError for what it does not support.
    """
    writer = _Compiler(machine, model, loud=loud, hook=hook, arrows=arrows or {})
    source = "\n\n".join(writer.function(event) for event in machine.events.values())
    code = compile(source, f"<sealed {writer.label}>", "exec")
    exec(code, writer.names)  # noqa: S102 - our own text
    functions = {}
    for name in machine.events:
        function = writer.names[f"event_{name}"]
        function.__name__ = function.__qualname__ = name
        functions[name] = function
    return functions


def _log_swallowed(name: str, error: BaseException) -> None:
    what = type(error).__name__, str(error)
    LOG.error("%sWhile executing finalize callbacks a %s occurred: %s.", name, *what)


class _Compiler:
    """Writes the functions of one machine. `names` is what their text may refer to."""

    def __init__(
        self,
        machine: transitions.Machine,
        model: type,
        *,
        loud: bool,
        hook: Callable[..., None] | None,
        arrows: dict[tuple[str, str, str], Arrow],
    ) -> None:
        if machine.has_queue:
            raise SealError(
                f"{machine.name}queued machines share one unlocked queue: not supported"
            )
        if machine.send_event:
            raise SealError(
                f"{machine.name}send_event passes arguments to callbacks: not supported"
            )
        if loud and (machine.on_exception or machine.finalize_event):
            raise SealError(
                f"{machine.name}on_exception and finalize_event swallow errors: not loud"
            )
        self.machine = machine
        self.model = model
        self.loud = loud
        self.hook = hook
        self.arrows = arrows
        self.label = machine.name.rstrip(": ")
        self.names: dict[str, Any] = {
            "MachineError": transitions.MachineError,
            "IllegalEvent": IllegalEvent,
            "GuardRefused": GuardRefused,
            "HOOK": hook,
            "MACHINE": machine,
            "LOG": LOG,
            "SWALLOWED": _log_swallowed,
        }

    def function(self, event: Event) -> str:
        """The text of one event's function."""
        machine = self.machine
        wrapped = bool(machine.on_exception or machine.finalize_event)
        lines = [f"def event_{event.name}(self):", f"    s = self.{machine.model_attribute}"]
        pad = "        " if wrapped else "    "
        if wrapped:
            # Stock looks the state up before its `try`: what is no state skips finalize_event.
            lines += ["    MACHINE.get_state(s)", "    try:"]
        for source in list(event.transitions):
            lines.append(f"{pad}if {self.is_state(source)}:")
            lines += self.branch(event, source, pad + "    ")
        lines += self.no_arrow(event, pad)
        if wrapped:
            lines += self.epilogue()
        return "\n".join(lines)

    def is_state(self, name: str) -> str:
        value = self.machine.states[name].value
        if isinstance(value, enum.Enum):
            return f"s is {self.named('S', name, value)}"
        return f"s == {value!r}"

    def state_value(self, name: str) -> str:
        value = self.machine.states[name].value
        return self.named("S", name, value) if isinstance(value, enum.Enum) else repr(value)

    def named(self, kind: str, name: str, value: object) -> str:
        key = f"{kind}_{name}" if name.isidentifier() else f"{kind}_{len(self.names)}"
        self.names[key] = value
        return key

    def branch(self, event: Event, source: str, pad: str) -> list[str]:
        """What the event does in one source state: its rows in order, the first that agrees."""
        lines = self.calls(self.machine.prepare_event, pad)
        for row in event.transitions[source]:
            lines += self.calls(row.prepare, pad)
            tests = [f"{self.call(c.func)} == {c.target}" for c in row.conditions]
            inner = pad
            if tests:
                lines.append(f"{pad}if {' and '.join(tests)}:")
                inner += "    "
            lines += self.move(event, row, inner)
            if not tests:
                return lines
        lines += self.refused(event, source, pad)
        return lines

    def move(self, event: Event, row: Transition, pad: str) -> list[str]:
        """One row taken: callbacks in stock's order, the assignment among them."""
        machine = self.machine
        lines = self.calls([*machine.before_state_change, *row.before], pad)
        if row.dest:
            target = machine.states[row.dest]
            lines += self.calls(machine.states[row.source].on_exit, pad)
            lines.append(f"{pad}self.{machine.model_attribute} = {self.state_value(row.dest)}")
            lines += self.calls(target.on_enter, pad)
            lines += self.calls(machine.on_final if target.final else [], pad)
        lines += self.calls([*row.after, *machine.after_state_change], pad)
        if self.hook is not None:
            arrow = self.arrows[row.source, event.name, row.dest or row.source]
            lines.append(f"{pad}HOOK(self, {self.named('A', arrow.id, arrow)})")
        lines.append(f"{pad}{self.moved()}")
        return lines

    def moved(self) -> str:
        if self.loud:
            return "return"
        return "return True"

    def refused(self, event: Event, source: str, pad: str) -> list[str]:
        if self.loud:
            return [f"{pad}raise GuardRefused({self.label!r}, {event.name!r}, {source!r})"]
        return [f"{pad}return False"]

    def no_arrow(self, event: Event, pad: str) -> list[str]:
        """No row leaves the present state on this event."""
        if self.loud:
            return [f"{pad}raise IllegalEvent({self.label!r}, {event.name!r}, s.name)"]
        ignoring = [
            state.name
            for state in self.machine.states.values()
            if state.name not in event.transitions and self.ignores(state.ignore_invalid_triggers)
        ]
        text = f"{self.machine.name}Can't trigger event {event.name} from state "
        return [
            f"{pad}name = MACHINE.get_state(s).name",
            f"{pad}text = {text!r} + name + '!'",
            f"{pad}if name in {ignoring!r}:",
            f"{pad}    LOG.warning(text)",
            f"{pad}    return False",
            f"{pad}raise MachineError(text)",
        ]

    def ignores(self, own: bool | None) -> bool:
        return bool(own if own is not None else self.machine.ignore_invalid_triggers)

    def epilogue(self) -> list[str]:
        machine = self.machine
        lines = []
        if machine.on_exception:
            lines.append("    except BaseException:")
            lines += self.calls(machine.on_exception, "        ")
            lines.append("        return False")
        if machine.finalize_event:
            lines += ["    finally:", "        try:"]
            lines += self.calls(machine.finalize_event, "            ")
            lines += [
                "        except BaseException as error:",
                f"            SWALLOWED({machine.name!r}, error)",
            ]
        return lines

    def calls(self, callbacks: Iterable[Any], pad: str) -> list[str]:
        return [f"{pad}{self.call(callback)}" for callback in callbacks]

    def call(self, callback: Any) -> str:
        """The text that calls one callback; stock looks the name up on the model each time."""
        if not isinstance(callback, str):
            return f"{self.named('F', '', callback)}()"
        if not callback.isidentifier() or keyword.iskeyword(callback):
            raise SealError(
                f"{self.label}: callback {callback!r} is no method's name: not supported"
            )
        if not callable(getattr(self.model, callback, None)):
            raise SealError(f"{self.label}: {self.model.__name__} has no method {callback}")
        return f"self.{callback}()"
