"""The spec as an oracle: it follows one object of one machine and says where that must be."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

import pytest
from hypothesis.stateful import precondition

from statemachine import Arrow, Binder, Engine, IllegalEvent, Model, System, load_system

Rule = Callable[..., None]
M = TypeVar("M", bound=Model)


def within(*states: str) -> Callable[[Rule], Rule]:
    """A rule for some states only, for a history whose `oracle` is an Oracle."""
    return precondition(lambda history: history.oracle.state in states)


@lru_cache
def the_system() -> System:
    return load_system()


class Oracle:
    """Walks a machine's table beside the real object.

    It hears the arrows of the objects whose classes `bind` made, as long as no later oracle of the
    same machine listens. A test says what happened with `expect`; `check` holds the object to it.
    """

    _listening: dict[str, Oracle] = {}  # noqa: RUF012 - shared: binding is slow
    _bound: dict[tuple[type[Model], Engine], type[Model]] = {}  # noqa: RUF012 - the same

    def __init__(self, machine: str, engine: Engine) -> None:
        self.spec = the_system().machines[machine]
        self.state = self.spec.initial
        self.taken: list[str] = []
        self._engine = engine
        self._expected: list[str] = []
        self._listening[machine] = self

    def bind(self, model: type[M]) -> type[M]:
        """The class on this oracle's engine."""
        key = (model, self._engine)
        if key not in self._bound:
            binder = Binder(the_system(), engine=self._engine, hook=Oracle._hear)
            self._bound[key] = binder.bind(model)
        # A compiled class has no bound one, but a maker (`statemachine.ahead`).
        return cast("type[M]", self._bound[key])

    @staticmethod
    def _hear(_: Model, arrow: Arrow) -> None:
        listener = Oracle._listening.get(arrow.machine)
        if listener is not None:
            listener.taken.append(arrow.id)

    def expect(self, event: str, *, guard: bool = True) -> None:
        """The event happened now. `guard` is what the guard of its arrows answers, if any."""
        arrows = self.spec.arrows_from(self.state, event)
        fits = [a for a in arrows if (a.when is None or guard) and (a.unless is None or not guard)]
        assert len(fits) == 1, f"{self.state} on {event}: {len(fits)} arrows"
        self._expected.append(fits[0].id)
        self.state = fits[0].target

    def check(self, model: Model) -> None:
        """The object took the arrows that were expected, and every other event is refused."""
        assert self.taken == self._expected
        assert model.state.name == self.state
        known = {arrow.event for arrow in self.spec.arrows_from(self.state)}
        for event in set(self.spec.events) - known:
            with pytest.raises(IllegalEvent):
                getattr(model, event)()
        assert model.state.name == self.state
