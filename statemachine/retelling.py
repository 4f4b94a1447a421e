"""What happened around one row of a trace, in words and as a sequence diagram.

A replay keeps no history, so that it is quick: this reads the trace a second time, up to that row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from statemachine.ground import Ground
from statemachine.mermaid import label
from statemachine.model import BIRTH_STEP
from statemachine.noting import LINKED, LOST, NAMED, Row
from statemachine.tracefile import Trace


@dataclass(frozen=True, slots=True)
class Moment:
    """One arrow that was taken: in which row, by which object, on which thread, when."""

    row: int
    birth: int
    arrow: int
    thread: int
    seconds: float


class Story:
    """The last arrows of a trace up to a row, and what is known of each object by then.

    `until` is the last row that is read, None for all of them; `steps` how many arrows are kept.
    Raises TraceError as the trace does.
    """

    def __init__(self, ground: Ground, trace: Trace, *, steps: int, until: int | None) -> None:
        self.ground = ground
        self.threads: Mapping[int, str] = trace.threads
        self.steps: deque[Moment] = deque(maxlen=steps)
        self._last: dict[int, Moment] = {}
        self._numbers: dict[int, int] = {}
        self._wholes: dict[int, int] = {}
        for row, one in _rows(trace):
            if until is not None and row > until:
                break
            self._hear(row, one)

    def _hear(self, row: int, one: Row) -> None:
        code, extra, seconds = one
        number = code % BIRTH_STEP
        birth = code - number
        if number == LINKED:
            self._wholes[birth] = extra * BIRTH_STEP
        elif number == NAMED:
            self._numbers[birth] = extra
        elif number < len(self.ground.arrows):
            moment = Moment(row, birth, number, extra, seconds)
            self.steps.append(moment)
            self._last[birth] = moment
        elif number == LOST:
            self._last.clear()

    # --- in words ---------------------------------------------------------------------------

    def name(self, birth: int) -> str:
        """`connection#57`, and where known `(12 in the logs)` or `(of connection#40)`."""
        last = self._last.get(birth)
        machine = self.ground.arrows[last.arrow].machine if last else "an object"
        text = f"{machine}#{birth // BIRTH_STEP}"
        if birth in self._numbers:
            text += f" ({self._numbers[birth]} in the logs)"
        whole = self._wholes.get(birth)
        if whole is not None and whole in self._last:
            text += f" of {self.name(whole)}"
        return text

    def line(self, step: Moment) -> str:
        """One arrow as a line."""
        arrow = self.ground.arrows[step.arrow]
        thread = self.threads.get(step.thread, str(step.thread)) if step.thread else "-"
        move = f"{arrow.source} --{arrow.event}--> {arrow.target}"
        return (
            f"{step.row:>9} {step.seconds:>14.6f} s  {thread:<12} {arrow.id:<4} "
            f"{self.name(step.birth)}: {move}"
        )

    def concerned(self, birth: int) -> list[int]:
        """The object, what it belongs to, what belongs to that, and what moved on its thread."""
        whole = self._wholes.get(birth, birth)
        family = {one for one, other in self._wholes.items() if other == whole} | {whole}
        near = [step.birth for step in self.steps]
        threads = {step.thread for step in self.steps if step.birth == birth and step.thread}
        beside = {step.birth for step in self.steps if step.thread in threads}
        found = [birth, *reversed([one for one in near if one in family | beside])]
        return list(dict.fromkeys(found))

    def where(self, birth: int) -> str:
        """Where an object is, and since when."""
        last = self._last.get(birth)
        if last is None:
            return f"an object#{birth // BIRTH_STEP}: it had not moved"
        arrow = self.ground.arrows[last.arrow]
        return f"{self.name(birth)}: in {arrow.target} since row {last.row}, by {arrow.id}"

    # --- as a diagram -----------------------------------------------------------------------

    def diagram(self) -> str:
        """The last arrows as a Mermaid sequence diagram: who took them, and where they led."""
        births = list(dict.fromkeys(step.birth for step in self.steps))
        threads = list(dict.fromkeys(step.thread for step in self.steps if step.thread))
        named = [(f"actor t{one}", self.threads.get(one, str(one))) for one in threads]
        named += [(f"participant o{one // BIRTH_STEP}", self.name(one)) for one in births]
        lines = ["sequenceDiagram", *(f"    {one} as {label(name)}" for one, name in named)]
        for step in self.steps:
            arrow, here = self.ground.arrows[step.arrow], f"o{step.birth // BIRTH_STEP}"
            sender = f"t{step.thread}" if step.thread else here
            text = label(f"{arrow.id} {arrow.event} → {arrow.target}")
            lines.append(f"    {sender}->>{here}: {text}")
        return "\n".join(lines)


def _rows(trace: Trace) -> Iterator[tuple[int, Row]]:
    for first, rows in trace.blocks:
        yield from enumerate(rows, first)
