"""Runs of a scene, one schedule each; and what is left of a failing one when it has been shrunk."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.simulation import Alarm, CarrierError
from tests.interleavings.causes import Seen
from tests.interleavings.scene import Scene, SceneType
from tests.interleavings.strategies import Branch, Choices, Replay, Strategy, text_of

SHRINK_RUNS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule of a scene after which something did not hold."""

    kind: str
    text: str
    choices: tuple[int, ...]
    says: str

    @property
    def play(self) -> str:
        """What `python -m tests.interleavings replay` takes."""
        return f"{self.kind}: {self.text} @ {text_of(self.choices)}"

    @property
    def headline(self) -> str:
        """What did not hold, in a line."""
        return self.says.splitlines()[0]


def perform(
    scenes: SceneType,
    text: str,
    strategy: Strategy,
    *,
    at_release: bool = True,
    seen: Callable[[Scene], None] | None = None,
) -> Failure | None:
    """One run. `seen` is told of the scene when it is set.

    Raises ValueError for a text that is none.
    """
    with strategy.carrier(at_release) as carrier:
        try:
            scene = scenes.open(carrier, text)
            if seen is not None:
                seen(scene)
            carrier.run()
            scene.judge()
        except Seen:
            return None
        except (AssertionError, CarrierError) as error:
            if isinstance(strategy, Branch):
                return perform(scenes, text, strategy.retold(), at_release=at_release, seen=seen)
            cause = "" if error.__cause__ is None else f" from {error.__cause__!r}"
            says = f"{type(error).__name__}: {error}{cause}"
            return Failure(scenes.kind, text, tuple(strategy.taken), says)
    return None


@contextmanager
def quietly() -> Iterator[None]:
    """While it is open: a loop without a point is ended, and nothing is logged."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    # What is there already need not be looked through again and again.
    gc.freeze()
    try:
        with Alarm():
            yield
    finally:
        gc.unfreeze()
        logging.disable(before)


def shrink(scenes: SceneType, failure: Failure, *, at_release: bool = True) -> Failure:
    """A schedule of the same scene that fails too, with as few and as early choices as it takes."""
    best, runs = failure, 0

    def fails(choices: Choices) -> bool:
        nonlocal best, runs
        runs += 1
        if runs > SHRINK_RUNS_MAX:
            return False
        again = perform(scenes, failure.text, Replay(choices), at_release=at_release)
        if again is None:
            return False
        kept = list(again.choices)
        while kept and kept[-1] == 0:
            kept.pop()
        best = Failure(again.kind, again.text, tuple(kept), again.says)
        return True

    fails(best.choices)
    smaller = True
    while smaller and runs <= SHRINK_RUNS_MAX:
        smaller = any(fails(choices) for choices in _smaller(best.choices))
    return best


def _smaller(choices: tuple[int, ...]) -> Iterator[list[int]]:
    """Schedules that are simpler than this one: the boldest first."""
    size = len(choices)
    step = size // 2
    while step:
        for begin in range(0, size, step):
            if any(choices[begin : begin + step]):
                yield [*choices[:begin], *[0] * min(step, size - begin), *choices[begin + step :]]
        step //= 2
    for step in (8, 4, 2, 1):
        for begin in range(size - step + 1):
            yield [*choices[:begin], *choices[begin + step :]]
    for number, one in enumerate(choices):
        if one > 1:
            yield [*choices[:number], 1, *choices[number + 1 :]]
