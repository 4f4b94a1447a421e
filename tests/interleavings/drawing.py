"""A schedule drawn: who had which turn, and what moved in it.

Text has a column for each task and a row for each turn, in which stands the line that the task went
on at. Mermaid has the same as a sequence diagram, in which a turn is a note over its task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.simulation import Task
from statemachine import Arrow, Model
from tests.interleavings.performing import Failure, perform
from tests.interleavings.scene import Scene, SceneType
from tests.interleavings.strategies import Choices, Replay

COLUMN = 34
OURS = ("points.py", "drawing.py", "scene.py")
"""Files whose frames are the watchers', not the code's."""


@dataclass
class Turn:
    """What one task did until the next was chosen. `lines` are where its points were."""

    task: str
    lines: list[str] = field(default_factory=list)
    arrows: list[str] = field(default_factory=list)


class Drawing:
    """The turns of one run."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._names: dict[int, str] = {}
        self._steps: Sequence[tuple[Model, Arrow]] = ()
        self._drawn = 0

    def follow(self, steps: Sequence[tuple[Model, Arrow]]) -> None:
        """From here on, draw these arrows when they have been taken."""
        self._steps = steps

    def turn(self, task: Task) -> None:
        """A task is about to go on."""
        self.catch_up()
        if not self.turns or self.turns[-1].task != task.name:
            self.turns.append(Turn(task.name))
        stack = [one for one in task.stack() if Path(one.filename).name not in OURS]
        if stack:
            self.turns[-1].lines.append(f"{Path(stack[-1].filename).stem}:{stack[-1].lineno}")

    def catch_up(self) -> None:
        """Put the arrows that have been taken since into the turn in which they were."""
        for model, arrow in self._steps[self._drawn :]:
            if self.turns:
                self.turns[-1].arrows.append(f"{self._name(model)} {arrow.id} {arrow.target}")
        self._drawn = len(self._steps)

    def _name(self, model: Model) -> str:
        own = getattr(model, "name", None)
        kind = model.machine_name
        number = sum(one.startswith(f"{kind}#") for one in self._names.values())
        return self._names.setdefault(
            id(model), own if isinstance(own, str) else f"{kind}#{number}"
        )

    def text(self) -> str:
        """Columns, for a terminal."""
        tasks = list(dict.fromkeys(turn.task for turn in self.turns))
        rows = ["".join(name.ljust(COLUMN) for name in tasks).rstrip()]
        for turn in self.turns:
            indent = " " * (COLUMN * tasks.index(turn.task))
            rows += [indent + line for line in _folded(turn.lines)]
            rows += [f"{indent}  * {arrow}" for arrow in turn.arrows]
        return "\n".join(rows)

    def mermaid(self) -> str:
        """A sequence diagram, for a page."""
        tasks = list(dict.fromkeys(turn.task for turn in self.turns))
        rows = ["sequenceDiagram", *(f"    participant {name}" for name in tasks)]
        for before, turn in zip([None, *self.turns], self.turns, strict=False):
            if before is not None:
                rows.append(f"    {before.task}-->>{turn.task}: goes on")
            said = "<br/>".join([*_folded(turn.lines), *turn.arrows])
            rows.append(f"    Note over {turn.task}: {said or 'begins'}")
        return "\n".join(rows)


def _folded(lines: Sequence[str]) -> list[str]:
    """The places where a turn began and ended; what lay between follows from them."""
    return list(lines) if len(lines) <= 2 else [lines[0], "...", lines[-1]]


def draw(
    scenes: SceneType, text: str, choices: Choices, *, at_release: bool = True
) -> tuple[Drawing, Failure | None]:
    """Run a schedule once more, and draw it."""
    drawing = Drawing()

    def seen(scene: Scene) -> None:
        drawing.follow(scene.watch.steps)
        scene.watch.tell(drawing.turn)

    failure = perform(scenes, text, Replay(choices), at_release=at_release, seen=seen)
    drawing.catch_up()
    return drawing, failure
