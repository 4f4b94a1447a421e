"""Noting: how an arrow is written down on the thread that takes it, in one step of the interpreter.

What is noted is one number, the object's birth with the arrow's number added to it; a log with a
stamp notes it with the thread and the time. The sealed engine compiles that into its events, as

    LOG(self.birth + 17)

just before the assignment that changes the object's state; the stock engine does the same in the
last of its `before` callbacks. So the order of what is noted is certain where it matters: whoever
moves an object next has found it in its new state, and comes after in the log. Of two objects that
nobody moves together, either order is true.

What is relied on: `deque.append` is one step. Under the interpreter's lock a call of a builtin is;
on a build without that lock, a deque has a lock of its own. An exception that is thrown into a
thread from outside may come between the note and the move: then the log has an arrow too many, and
a replay says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from statemachine.model import BIRTH_STEP, Model

LOST: Final = BIRTH_STEP - 1
"""In place of an arrow's number: what was noted here is lost. The row's thread is how many there
were, or 0 if that is not known."""

LINKED: Final = BIRTH_STEP - 2
"""The object is part of another, whose number is in place of the thread: a connection's job."""

NAMED: Final = BIRTH_STEP - 3
"""The object has a number of its own in the logs, in place of the thread: a connection's serial."""

MARKED: Final = BIRTH_STEP - 4
"""In a log without stamps: the time, in milliseconds, in place of a birth's number."""

ARROWS_MAX: Final = MARKED
"""How many arrows a system may have, for all to have numbers."""

EXTRA_BITS: Final = 64
"""In a log without stamps, what a NAMED says of the object is this much further left."""

Row = tuple[int, int, float]
"""A birth with a number added to it, the thread's ident or 0, and seconds of a clock, or 0."""


Pair = tuple[int, int]
"""In a log without stamps, a link: the births of the part and of the whole."""


Noted = int | Row | Pair


class Log(NamedTuple):
    """Where arrows are noted. `numbers` gives each its number, `append` may not raise.

    With a stamp, rows are noted: the two callables tell the thread's ident, and the seconds of a
    clock that does not go back. Without, plain numbers are, and pairs. Threads: any.
    """

    append: Callable[[Noted], object]
    numbers: Mapping[str, int]
    stamp: tuple[Callable[[], int], Callable[[], float]] | None = None

    def text(self, arrow: str) -> str:
        """The line that notes an arrow of `self`, for a compiled event."""
        code = f"self.birth + {self.numbers[arrow]}"
        return f"LOG(({code}, THREAD(), SECONDS()))" if self.stamp else f"LOG({code})"

    def names(self) -> dict[str, object]:
        """What that line may refer to."""
        thread, seconds = self.stamp or (None, None)
        return {"LOG": self.append, "THREAD": thread, "SECONDS": seconds}

    def noter(self, arrow: str) -> Callable[[Model], None]:
        """The same as a function, for the stock engine."""
        number, append, stamp = self.numbers[arrow], self.append, self.stamp

        def note(self: Model) -> None:
            append(self.birth + number)

        def note_stamped(self: Model) -> None:
            assert stamp is not None
            append((self.birth + number, stamp[0](), stamp[1]()))

        return note_stamped if stamp else note

    def linker(self) -> Callable[[Pair], object]:
        """What notes that one object belongs to another, by the births of the two: for each
        request. Without a stamp it is `append` itself.
        """
        append, stamp = self.append, self.stamp
        if stamp is None:
            return append

        def link(births: Pair) -> None:
            part, whole = births
            append((part + LINKED, whole // BIRTH_STEP, stamp[1]()))

        return link

    def name(self, model: Model, number: int) -> None:
        """Note by which number the logs know an object."""
        self._note(model.birth + NAMED, number)

    def _note(self, code: int, extra: int) -> None:
        if self.stamp is None:
            self.append(code | extra << EXTRA_BITS)
        else:
            self.append((code, extra, self.stamp[1]()))


def numbered(arrows: Iterable[str]) -> dict[str, int]:
    """The number of each arrow. Raises ValueError where there are more than have room."""
    numbers = {arrow: number for number, arrow in enumerate(arrows)}
    if len(numbers) > ARROWS_MAX:
        raise ValueError(f"{len(numbers)} arrows, expected at most {ARROWS_MAX} to be noted")
    return numbers


def rows(noted: Iterable[Noted]) -> list[Row]:
    """What a log has noted, as rows. The time of a number or a pair is that of the last mark."""
    found: list[Row] = []
    seconds = 0.0
    for one in noted:
        match one:
            case (part, whole):
                found.append((part + LINKED, whole // BIRTH_STEP, seconds))
            case (_, _, _):
                found.append(one)
            case _:
                code, extra = one & (1 << EXTRA_BITS) - 1, one >> EXTRA_BITS
                if code % BIRTH_STEP == MARKED:
                    seconds = code // BIRTH_STEP / 1000
                else:
                    found.append((code, extra, seconds))
    return found
