"""Greenlets that carry one task after the other.

A greenlet comes with a stack, and goes with it: to make one costs 14 microseconds here, and to
switch to one half of one (greenlet 3.5, Python 3.11). A task is often shorter than that, so that
those whose task has ended are kept for the next.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, Protocol, cast

from server.simulation.failures import CarrierError

IDLE_MAX = 1000
"""Greenlets that are kept at most."""


class Greenlet(Protocol):
    """What is needed of `greenlet.greenlet`, which has no types of its own."""

    gr_frame: FrameType | None

    def switch(self) -> object: ...


class _Greenlets(Protocol):
    """What is needed of the module."""

    def greenlet(self, run: Callable[[], object]) -> Greenlet: ...
    def getcurrent(self) -> Greenlet: ...


@functools.cache
def greenlets() -> _Greenlets:
    """The module `greenlet`. Raises CarrierError if it is not there."""
    try:
        return cast("_Greenlets", importlib.import_module("greenlet"))
    except ImportError:
        advice = "greenlet is not installed, which carries the threads of a simulation"
        raise CarrierError(f"{advice}: pip install 'interlock[simulate]'") from None


Errand = Callable[[], Greenlet]
"""The whole of a task. It returns where to go when it has ended."""


class Bearer:
    """One greenlet. `errand` is what it will carry when it is switched to."""

    __slots__ = ("errand", "greenlet")

    def __init__(self) -> None:
        self.errand: Errand | None = None
        self.greenlet = greenlets().greenlet(self._carry)

    def _carry(self) -> None:
        while True:
            errand, self.errand = self.errand, None
            assert errand is not None
            home = errand()
            del errand  # it holds on to its carrier, and this frame may wait for long
            if len(_IDLE.bearers) < IDLE_MAX:
                _IDLE.bearers.append(self)
            home.switch()


class _Idle(threading.local):
    """A greenlet stays with its thread."""

    def __init__(self) -> None:
        self.bearers: list[Bearer] = []


_IDLE: Final = _Idle()


def bear(errand: Errand) -> Greenlet:
    """A greenlet that will carry the errand when it is switched to."""
    bearer = _IDLE.bearers.pop() if _IDLE.bearers else Bearer()
    bearer.errand = errand
    return bearer.greenlet
