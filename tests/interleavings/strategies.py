"""Strategies: which task goes on, wherever two or more can.

A schedule is the list of what was chosen at each such place, as an index into its options: the task
that has just run comes first, if it can go on, then the others in the order in which they began. So
a zero is never a preemption, and a schedule that is all zeros lets each task run until it waits.
What is beyond the end of a schedule is zeros, too.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from server.simulation import Carrier, Task

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PART = re.compile(r"\((\d+)\)|([0-9a-z])")

Choices = Sequence[int]


def text_of(choices: Choices) -> str:
    """A schedule as text: a digit a choice, `(12)` for twelve zeros in a row, `-` for none."""
    parts = []
    for digit, run in itertools.groupby(choices):
        count = len(list(run))
        parts.append(f"({count})" if digit == 0 and count > 3 else DIGITS[digit] * count)
    while parts and set(parts[-1]) <= set("0") | set("()123456789") and parts[-1][0] in "(0":
        parts.pop()
    return "".join(parts) or "-"


def choices_of(text: str) -> list[int]:
    """The schedule that `text_of` wrote. Raises ValueError, in one line, for what it did not."""
    if text == "-":
        return []
    choices: list[int] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise ValueError(f"a schedule has digits, letters and (COUNT), not {text[at:]!r}")
        zeros, digit = part.groups()
        choices += [0] * int(zeros) if zeros else [DIGITS.index(digit)]
        at = part.end()
    return choices


def options(runnable: list[Task], current: Task | None) -> list[Task]:
    """The same tasks, with the one that has just run in front."""
    if current is not None and runnable[0] is not current and current in runnable:
        runnable.remove(current)
        runnable.insert(0, current)
    return runnable


class Strategy:
    """One run's choices. `taken` is its schedule so far."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def __call__(self, runnable: list[Task], current: Task | None) -> Task:
        open_to = options(runnable, current)
        index = self.pick(open_to, open_to[0] is current)
        self.taken.append(index)
        return open_to[index]

    def pick(self, open_to: list[Task], can_go_on: bool) -> int:
        """The index of who goes on. `can_go_on`: index 0 is the task that has just run."""
        raise AssertionError("a strategy picks")

    def carrier(self, at_release: bool) -> Carrier:
        """Who runs it. `at_release`: to release a lock is a point, too."""
        return Carrier(self, points_at_release=at_release)

    @property
    def text(self) -> str:
        return text_of(self.taken)


class Replay(Strategy):
    """A schedule, again. A choice that there is no more is the last that there is."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self._choices = choices

    def pick(self, open_to: list[Task], can_go_on: bool) -> int:
        number = len(self.taken)
        if number >= len(self._choices):
            return 0
        return min(self._choices[number], len(open_to) - 1)


class RandomWalk(Strategy):
    """Everybody is as likely; `stay` is how likely it is besides that nobody is preempted."""

    def __init__(self, seed: int, *, stay: float = 0.0) -> None:
        super().__init__()
        self._random = random.Random(seed).random
        self._stay = stay

    def __call__(self, runnable: list[Task], current: Task | None) -> Task:
        # Written out: this is what takes the time of many a run.
        if runnable[0] is not current and current in runnable:
            runnable.remove(current)
            runnable.insert(0, current)
        if self._stay and runnable[0] is current and self._random() < self._stay:
            index = 0
        else:
            index = int(self._random() * len(runnable))
        self.taken.append(index)
        return runnable[index]

    def pick(self, open_to: list[Task], can_go_on: bool) -> int:
        if self._stay and can_go_on and self._random() < self._stay:
            return 0
        return int(self._random() * len(open_to))


class Priorities(Strategy):
    """PCT (Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS 2010).

    Each task has a random priority, and the highest that can go on does. At `depth` - 1 random
    places, of the first `length`, whoever is highest falls below all others. A bug that needs
    `depth` orderings is found with a probability of at least 1 / (tasks x length^(depth - 1)).
    """

    def __init__(self, seed: int, *, depth: int, length: int) -> None:
        super().__init__()
        dice = random.Random(seed)
        self._random = dice.random
        self._priorities: dict[int, float] = {}
        self._changes = {dice.randrange(max(length, 1)) for _ in range(depth - 1)}
        self._lowest = 0.0

    def pick(self, open_to: list[Task], can_go_on: bool) -> int:
        priorities = self._priorities
        for task in open_to:
            if task.number not in priorities:
                priorities[task.number] = 1 + self._random()
        best = max(open_to, key=lambda task: priorities[task.number])
        if len(self.taken) in self._changes:
            self._lowest -= 1
            priorities[best.number] = self._lowest
            best = max(open_to, key=lambda task: priorities[task.number])
        return open_to.index(best)


class Exhaustive:
    """Every schedule with at most so many preemptions, one after the other (CHESS: Musuvathi and
    others, OSDI 2008).

    Iterating gives a strategy for each run; the run must be over before the next one is asked for.
    The runs are those of a search in depth: each goes as the one before until it comes to the last
    place where there is something left to try, and looks at nothing on the way.
    """

    def __init__(self, preemptions: int) -> None:
        self.preemptions = preemptions
        self.forks: list[_Fork] = []
        self.is_exhausted = False

    def __iter__(self) -> Iterator[Branch]:
        route, preemptions = Route(), self.preemptions
        while not self.is_exhausted:
            branch = self.branch(route, preemptions)
            yield branch
            if self.forks:
                fork = self.forks[-1]
                route = [*branch.trail[: fork.step], fork.others.pop()]
                preemptions = fork.preemptions
                if not fork.others:
                    self.forks.pop()
            else:
                self.is_exhausted = True

    def branch(self, route: Route, preemptions: int) -> Branch:
        """The strategy of the run that begins with this route, after which so many are left."""
        return Branch(self, route, preemptions)


Route = list[int]
"""The numbers of the tasks that go on at the first points of a run."""


@dataclass(slots=True)
class _Fork:
    """A place of the present run: who else could go on there, the next one last, and how many
    preemptions are left for whoever does.
    """

    step: int
    others: list[int]
    preemptions: int


class Branch(Strategy):
    """The next schedule of an exhaustive exploration: a route, and then whoever has the turn keeps
    it. What could be done instead is noted in `whole`. It has a `trail`, and nothing in `taken`:
    `retold` is the same schedule with its choices.
    """

    def __init__(self, whole: Exhaustive, route: Route, preemptions: int) -> None:
        super().__init__()
        self._whole = whole
        self._route = route
        self._carrier: Carrier | None = None
        self.left = preemptions

    def carrier(self, at_release: bool) -> Carrier:
        carrier = super().carrier(at_release)
        self.follow(carrier, None if self.left else _always)
        return carrier

    def follow(self, carrier: Carrier, stays: Callable[[], bool] | None) -> None:
        """Begin as the route says. `stays` is the carrier's: who must keep the turn, if it can."""
        self._carrier = carrier
        carrier.follow(self._route)
        carrier.stays = stays

    @property
    def trail(self) -> Route:
        """The numbers of those that went on, at every point of the run."""
        assert self._carrier is not None
        return self._carrier.trail or []

    def __call__(self, runnable: list[Task], current: Task | None) -> Task:
        open_to = options(runnable, current)
        chosen, can_go_on = open_to[0], open_to[0] is current
        others = [one.number for one in open_to[:0:-1]]
        assert self._carrier is not None
        fork = _Fork(self._carrier.steps - 1, others, self.left - can_go_on)
        self._whole.forks.append(fork)
        return chosen

    def retold(self) -> Strategy:
        """The same schedule once more, as a list of choices."""
        return _Retold(self.trail)


def _always() -> bool:
    """The one that has the turn has to keep it, while it can."""
    return True


class _Retold(Strategy):
    """A run by its trail."""

    def __init__(self, trail: Route) -> None:
        super().__init__()
        self._trail = trail

    def carrier(self, at_release: bool) -> Carrier:
        self._carrier = super().carrier(at_release)
        return self._carrier

    def pick(self, open_to: list[Task], can_go_on: bool) -> int:
        step = self._carrier.steps - 1
        numbers = [one.number for one in open_to]
        return numbers.index(self._trail[step]) if step < len(self._trail) else 0
