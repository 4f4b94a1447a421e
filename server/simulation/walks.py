"""How threads take turns in a simulated life: four walks, each repeated exactly from its seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.simulation.carrier import Chooser
from server.simulation.primitives import Task

STICKY: Final = {"sticky": 0.8, "stickier": 0.96}
"""How likely whoever has the turn keeps it, in the walks of these names."""

ENDLESS: Final = 2.0
"""What no number is, so that their iterator has no end."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How a carrier is to choose: its arguments `choose` and `stays`."""

    choose: Chooser
    stays: Callable[[], bool] | None = None


def walk_of(name: str, seed: int) -> Walk:
    """`random`: whoever can go on, with equal chances. `sticky` and `stickier`: rather the one that
    has the turn. `turns`: the next in a row.
    """
    if name == "turns":
        return Walk(_take_turns)
    # Not the plan's own numbers: a part of it that is left out must not change the walk's dice.
    number = random.Random(seed ^ 0x5EED).random  # noqa: S311 - it is to be repeated

    def at_random(runnable: list[Task], _: Task | None) -> Task:
        return runnable[int(number() * len(runnable))]

    if name == "random":
        return Walk(at_random)
    # Whether the next number is less, without a step of the interpreter: it is asked at each point.
    stays = map(STICKY[name].__gt__, iter(number, ENDLESS)).__next__
    return Walk(at_random, stays)


def _take_turns(runnable: list[Task], current: Task | None) -> Task:
    after = -1 if current is None else current.number
    return next((one for one in runnable if one.number > after), runnable[0])
