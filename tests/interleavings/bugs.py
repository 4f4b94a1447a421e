"""Seeded bugs, and the hunt for them.

A bug is a change to the real code, as a text and what replaces it: where the text is not found any
more the bug fails loudly. It names the scenes in which it can be seen; which schedule shows it is
for the scheduler to find.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.interleavings.performing import Failure, perform, shrink
from tests.interleavings.strategies import Priorities, RandomWalk, Strategy
from tests.interleavings.world import WITH_POINTS, Patch, load

RUNS_MAX = 20_000
PCT_DEPTH, PCT_LENGTH = 3, 60


@dataclass(frozen=True, slots=True)
class Find:
    """A bug that was found: by which run, after how many seconds, and what is left of it."""

    failure: Failure
    runs: int
    seconds: float


class Bug:
    """One way in which the code could be wrong.

    `points`: it is seen between statements only, or between those of these modules.
    """

    def __init__(
        self,
        name: str,
        says: str,
        scenes: tuple[str, ...],
        *patches: Patch,
        points: bool | tuple[str, ...] = False,
    ) -> None:
        self.name = name
        self.says = says
        self.scenes = scenes
        self.patches = patches
        self.with_points = points if isinstance(points, tuple) else WITH_POINTS if points else ()

    def hunt(self, seed: int, *, runs_max: int = RUNS_MAX) -> Find | None:
        """Look for it, in its scenes in turn. None: not found in so many runs.

        Raises StalePatch.
        """
        begun = time.perf_counter()
        (kind,) = {scene.split(":")[0] for scene in self.scenes}
        world = load(kind, patches=self.patches, with_points=self.with_points)
        texts = itertools.cycle(scene.split(": ", 1)[1] for scene in self.scenes)
        for number, strategy in enumerate(itertools.islice(strategies(seed), runs_max), 1):
            failure = perform(world, next(texts), strategy)
            if failure is not None:
                seconds = time.perf_counter() - begun
                return Find(shrink(world, failure), number, seconds)
        return None


def strategies(seed: int) -> Iterator[Strategy]:
    """Walks of three tempers, and priorities, in turn."""
    for number in itertools.count(seed * 1_000_000):
        yield RandomWalk(number)
        yield RandomWalk(number, stay=0.5)
        yield RandomWalk(number, stay=0.9)
        yield Priorities(number, depth=PCT_DEPTH, length=PCT_LENGTH)
