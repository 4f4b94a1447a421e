"""What can go wrong with a spec, and with an event."""

from __future__ import annotations

from collections.abc import Iterable


class StateMachineError(Exception):
    """The root of this package's errors."""


class SpecError(StateMachineError):
    """A spec file says something that the spec language does not allow.

    The message is one line: the file, the row or table, and what was expected.
    """

    def __init__(self, file: str, place: str, expectation: str) -> None:
        self.file = file
        self.place = place
        self.expectation = expectation
        where = f"{file}: {place}" if place else file
        super().__init__(" ".join(f"{where}: {expectation}".split()))


class SealError(StateMachineError):
    """A machine uses what the compiler does not support, or is changed after it was sealed."""


class Unbound(StateMachineError):
    """An event of a generated class that no `Binder` has bound, or a guard that has no answer."""

    def __init__(self, model: object, name: str) -> None:
        super().__init__(
            f"{type(model).__name__}.{name} is declared by the spec and has no body: "
            "bind the class, or override it"
        )


class TransitionError(StateMachineError):
    """An event was fired and the object did not move.

    The door is loud: an event moves, or raises one of these.
    """

    def __init__(self, message: str, *, machine: str, event: str, state: str) -> None:
        super().__init__(message)
        self.machine = machine
        self.event = event
        self.state = state


class IllegalEvent(TransitionError):
    """The spec has no arrow for this event in this state."""

    def __init__(self, machine: str, event: str, state: str) -> None:
        message = f"{machine}: no arrow for event {event} from state {state}"
        super().__init__(message, machine=machine, event=event, state=state)


class GuardRefused(TransitionError):
    """The spec has arrows for this event in this state, and each one's guard said no."""

    def __init__(self, machine: str, event: str, state: str) -> None:
        message = (
            f"{machine}: every arrow for event {event} from state {state} was refused by its guard"
        )
        super().__init__(message, machine=machine, event=event, state=state)


def listed(names: Iterable[str]) -> str:
    """Names in the order of the alphabet, as errors list what was expected."""
    return ", ".join(sorted(names))
