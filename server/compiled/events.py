"""The sealed events ahead of time: the sealing compiler's text, as methods of the classes.

At a start the Binder makes a subclass of each model, whose events hold what one server counts,
notes and hooks. A compiled class has no such subclass. So here an event asks its object for these,
in `bound`, an object of one server's (`statemachine.ahead`):

    def taken(self) -> None:
        s = self.state
        if s is ConnectionState_QUEUED:
            b = self.bound
            count = b.c8
            if count is not None:
                count.step()
            ring = b.ring
            if ring is not None:
                ring.append(self.birth + 79)
            elif b.note is not None:
                b.note(self.birth + 79)
            self.state = ConnectionState_EXCHANGING
            if b.hook is not None:
                b.hook(self, b.arrows['C8'])
            return  # it has moved
        raise IllegalEvent('connection', 'taken', self.state.name)

Guards and effects are called: a call costs nothing where the C compiler sees both ends of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from statemachine import ahead, machine, sealing
from statemachine.model import Arrow, MachineSpec, Model, System
from statemachine.noting import numbered

INDENT: Final = "    "


class _Writer(sealing.Writer):
    """Writes one event as a method. `states` are those that it names."""

    def __init__(
        self, plan: sealing.Plan, model: type[Model], numbers: dict[str, int], states: set[str]
    ) -> None:
        super().__init__(plan, model, {})
        self._enum = model.State.__name__
        self._numbers = numbers
        self._states = states

    def function(self) -> str:
        told = f"{self.plan.machine!r}, {self.plan.event!r}, self.state.name"
        lines = super().function().split("\n")
        lines[0] = f"def {self.plan.event}(self) -> None:"
        lines[-1] = f"{INDENT}raise IllegalEvent({told})"
        return "\n".join(lines)

    def named(self, kind: str, name: str, value: object = None) -> str:
        if kind != "S":
            return super().named(kind, name, value)
        self._states.add(name)
        return f"{self._enum}_{name}"

    def inlined(self, callback: sealing.Callback) -> None:  # noqa: ARG002 - nothing is
        return None

    def move(self, row: sealing.Row) -> list[str]:
        assert row.arrow is not None
        assert row.target is not None
        name = row.arrow.id
        return [
            *self.calls(row.leaving),
            "b = self.bound",
            f"count = b.{name.lower()}",
            "if count is not None:",
            f"{INDENT}count.step()",
            "ring = b.ring",
            "if ring is not None:",
            f"{INDENT}ring.append(self.birth + {self._numbers[name]})",
            "elif b.note is not None:",
            f"{INDENT}b.note(self.birth + {self._numbers[name]})",
            f"self.{self.plan.attribute} = {self.named('S', row.target)}",
            "if b.hook is not None:",
            f"{INDENT}b.hook(self, b.arrows[{name!r}])",
            "return",
        ]


def events_of(model: type[Model], spec: MachineSpec, system: System) -> tuple[str, set[str]]:
    """The methods, not indented, and the names of the states in them."""
    numbers = numbered(system.arrows)
    built = machine.build(spec, model.State, system)
    arrows = {(one.source, one.event, one.target): one for one in spec.arrows}
    states: set[str] = set()
    texts = []
    for event in built.events.values():
        plan = machine.plan_of(built, event, loud=True, hook=None, log=None, arrows=arrows)
        texts.append(_Writer(plan, model, numbers, states).function())
    return "\n\n".join(texts), states


def bound_of(name: str, spec: MachineSpec, system: System) -> str:
    """The class of what the events of a model are bound by."""
    return "\n".join([
        f"class {name}(Bound):",
        f"    rows: ClassVar[str] = {ahead.rows_of(spec, system)!r}",
        "",
        "    def __init__(self, tallies: Tallies, note: Note, hook: Hook, arrows: Arrows) -> None:",
        "        super().__init__(tallies, note, hook, arrows)",
        *_tallies(spec.arrows),
    ])  # fmt: skip


def _tallies(arrows: Iterable[Arrow]) -> list[str]:
    return [f"        self.{one.id.lower()} = count_of(tallies, {one.id!r})" for one in arrows]


BOUND_HEAD: Final = '''\
"""Written by `python -m server compile`; do not edit."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from statemachine import _generated as generated
from statemachine.ahead import Bound, count_of
from statemachine.model import Arrow, Model

Tallies = Mapping[str, Callable[[], object]]
Note = Callable[[int], object] | None
Hook = Callable[[Model, Arrow], None] | None
Arrows = Mapping[str, Arrow]
'''
