"""The sealing compiler's text: one straight-line function per event.

What a machine does comes in as a `Plan` of plain values, which `machine` reads from the library's
own objects; this file knows nothing of the library. What it writes looks like this, guard and
effect included:

    def event_took_job(self):
        s = self.state
        if s is S_IDLE:
            if self.queue_has_job() == True:
                self.take_job()
                self.state = S_BUSY
                return
            raise GuardRefused('worker', 'took_job', 'IDLE')
        return OTHERWISE(self)

A test is written `f() == True`, not `f()`: stock lets a guard pass when its answer equals True. In
loud events, methods of a few plain lines are there in place of their calls (`inlining`), and a
count is advanced by `for _ in COUNT: break`.
"""

from __future__ import annotations

import enum
import keyword
import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MethodWrapperType

from statemachine.errors import GuardRefused, SealError
from statemachine.inlining import Inlined, inlined
from statemachine.model import Arrow
from statemachine.noting import Log

Callback = str | Callable[..., object]
"""A method of the model, by name, or anything else that is called without arguments."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an event's table, its callbacks flattened in the order in which stock calls them.

    `target` is None for an internal row, which assigns no state. `leaving` comes before the
    assignment, `arriving` after it. A test passes when the answer equals its second value.
    """

    prepare: tuple[Callback, ...]
    tests: tuple[tuple[Callback, bool], ...]
    leaving: tuple[Callback, ...]
    target: str | None
    arriving: tuple[Callback, ...]
    arrow: Arrow | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one event does in each state that has rows for it.

    `values` are the states as the model's `attribute` holds them. `otherwise` is called with the
    model where no row leaves its state; `swallowed` with an error that `finalize` raised. `hook` is
    called after a move, with the model and the row's arrow; in `log` the arrow is noted before it.
    A loud event raises GuardRefused where a quiet one returns False.
    """

    machine: str
    event: str
    attribute: str
    values: Mapping[str, str | enum.Enum]
    prepare: tuple[Callback, ...]
    rows: Mapping[str, tuple[Row, ...]]
    on_exception: tuple[Callback, ...]
    finalize: tuple[Callback, ...]
    otherwise: Callable[..., object]
    swallowed: Callable[[BaseException], None]
    loud: bool
    hook: Callable[..., None] | None
    log: Log | None = None


Known = dict[str, Inlined | None]
"""What is inlined of a model's methods, by their names."""


def compiled(plan: Plan, model: type, known: Known) -> Callable[..., object]:
    """The event as a function of one instance of `model`. `known` is for all events of it: a guard
    may stand in several.

    Raises SealError for a name that cannot be written down, or that the model does not answer to.
    """
    writer = Writer(plan, model, known)
    text = writer.function()
    file = f"<sealed {'traced ' if plan.hook else ''}{plan.machine}.{plan.event}>"
    exec(compile(text, file, "exec"), writer.names)  # noqa: S102 - our own text, its names checked
    if plan.loud:
        # A traceback through a guard or an effect shows these lines, as it would a file's.
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    function: Callable[..., object] = writer.names[f"event_{plan.event}"]  # type: ignore[assignment]
    function.__name__ = function.__qualname__ = plan.event
    return function


def plain_name(name: str) -> bool:
    """Whether `name` means the same written in a program as it does to `getattr`.

    Python normalizes identifiers that are not ASCII, `getattr` does not.
    """
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def advanced(callback: Callback) -> Iterator[object] | None:
    """The builtin's iterator whose `__next__` the callback is. To advance it without a call, as a
    loop does, takes half the time: a call of such a method makes a tuple of its arguments first.
    """
    if not isinstance(callback, MethodWrapperType) or callback.__name__ != "__next__":
        return None
    found = callback.__self__
    return found if isinstance(found, Iterator) and iter(found) is found else None


class Writer:
    """Writes one function. `names` is what its text may refer to."""

    def __init__(self, plan: Plan, model: type, known: Known) -> None:
        for what, name in (("event", plan.event), ("attribute", plan.attribute)):
            if not plain_name(name):
                raise SealError(f"{plan.machine}: {what} {name!r} is no plain name: not supported")
        self.plan = plan
        self.model = model
        self.known = known
        self.names: dict[str, object] = {
            "GuardRefused": GuardRefused,
            "HOOK": plan.hook,
            "OTHERWISE": plan.otherwise,
            "SWALLOWED": plan.swallowed,
            **(plan.log.names() if plan.log else {}),
        }

    def function(self) -> str:
        plan = self.plan
        lines = [f"def event_{plan.event}(self):", f"    s = self.{plan.attribute}"]
        for source, rows in plan.rows.items():
            lines.append(f"    if {self.holds(source)}:")
            lines += self.guarded(self.branch(source, rows))
        return "\n".join([*lines, "    return OTHERWISE(self)"])

    def holds(self, state: str) -> str:
        value = self.plan.values[state]
        if isinstance(value, enum.Enum):
            return f"s is {self.named('S', state, value)}"
        # An enum's member may equal a text and mean another state: stock goes by its name.
        return f"s.__class__ is str and s == {value!r}"

    def branch(self, source: str, rows: Iterable[Row]) -> list[str]:
        """What the event does in one state: its rows in order, the first that agrees."""
        lines = self.calls(self.plan.prepare)
        for row in rows:
            lines += self.calls(row.prepare)
            taken = self.move(row)
            if not row.tests:
                return lines + taken
            before, first = self.test(*row.tests[0])
            tests = [first, *(f"{self.call(guard)} == {answer}" for guard, answer in row.tests[1:])]
            lines += [*before, f"if {' and '.join(tests)}:", *_indented(taken)]
        if self.plan.loud:
            told = self.plan.machine, self.plan.event, source
            return [*lines, f"raise GuardRefused{told!r}"]
        return [*lines, "return False"]

    def move(self, row: Row) -> list[str]:
        lines = self.calls(row.leaving)
        if self.plan.log is not None and row.arrow is not None:
            lines.append(self.plan.log.text(row.arrow.id))
        if row.target is not None:
            value = self.plan.values[row.target]
            written = self.named("S", row.target, value) if isinstance(value, enum.Enum) else None
            lines.append(f"self.{self.plan.attribute} = {written or repr(value)}")
        lines += self.calls(row.arriving)
        if self.plan.hook is not None and row.arrow is not None:
            lines.append(f"HOOK(self, {self.named('A', row.arrow.id, row.arrow)})")
        return [*lines, "return" if self.plan.loud else "return True"]

    def guarded(self, lines: list[str]) -> list[str]:
        """The branch between the callbacks that stock puts around the whole event."""
        plan = self.plan
        if not plan.on_exception and not plan.finalize:
            return _indented(lines, 2)
        text = ["try:", *_indented(lines)]
        if plan.on_exception:
            text.append("except BaseException:")
            text += _indented([*self.calls(plan.on_exception), "return False"])
        if plan.finalize:
            text += ["finally:", "    try:", *_indented(self.calls(plan.finalize), 2)]
            text += ["    except BaseException as error:", "        SWALLOWED(error)"]
        return _indented(text, 2)

    def test(self, guard: Callback, answer: bool) -> tuple[list[str], str]:
        """The lines before the first test of a row, and the test."""
        call, plain = self.call(guard), self.inlined(guard)
        if plain is None:
            return [], f"{call} == {answer}"
        if plain.is_boolean:
            return [*plain.lines], f"({plain.value})" if answer else f"not ({plain.value})"
        return [*plain.lines], f"({plain.value}) == {answer}"

    def calls(self, callbacks: Iterable[Callback]) -> list[str]:
        lines = []
        for callback in callbacks:
            if self.plan.loud and (steps := advanced(callback)) is not None:
                lines.append(f"for _ in {self.named('F', '', steps)}: break")
                continue
            call, plain = self.call(callback), self.inlined(callback)
            lines += [call] if plain is None else [*plain.lines, plain.value]
        return [line for line in lines if line != "None"]

    def inlined(self, callback: Callback) -> Inlined | None:
        """The callback's own lines, where they can be here in its place."""
        if not self.plan.loud or not isinstance(callback, str):
            return None
        if callback not in self.known:
            self.known[callback] = inlined(getattr(self.model, callback))
        found = self.known[callback]
        if found is not None:
            self.names.update(found.names)
        return found

    def call(self, callback: Callback) -> str:
        """The text that calls one callback; stock looks the name up on the model each time."""
        if not isinstance(callback, str):
            return f"{self.named('F', '', callback)}()"
        label = self.plan.machine
        if not plain_name(callback):
            raise SealError(f"{label}: callback {callback!r} is no method's name: not supported")
        if not callable(getattr(self.model, callback, None)):
            raise SealError(f"{label}: {self.model.__name__} has no method {callback}")
        return f"self.{callback}()"

    def named(self, kind: str, name: str, value: object = None) -> str:
        """A name of the text's own for a value; made up where the value has no plain name."""
        key = f"{kind}_{name}" if plain_name(name) else f"{kind}_{len(self.names)}"
        if value is not None:
            self.names[key] = value
        return key


def _indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]
