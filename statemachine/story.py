"""A counterexample, told: who took which step, with what arrows, and what became of whom.

States of an exploration have no names: `told` walks the way once more and lets every object keep
its own, so that `worker2` is the same one from the first line to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from statemachine.composed import Move
from statemachine.explore import Fault, arrows_of
from statemachine.program import Program


@dataclass(frozen=True, slots=True)
class Line:
    """One step. `who` acts: a room, or an object that acts for itself. `changes` are the objects
    that are different now, by name, in words; "gone" is what was forgotten.
    """

    number: int
    who: str
    step: str
    arrows: tuple[str, ...]
    changes: dict[str, str]
    why: str


@dataclass(frozen=True, slots=True)
class Story:
    """The steps of a fault from the first state. `loop` is the number of the step from which they
    go round for ever; None where they end.
    """

    title: str
    says: str
    lines: tuple[Line, ...]
    end: dict[str, str]
    loop: int | None

    def __str__(self) -> str:
        return "\n".join(self._text())

    def _text(self) -> Iterator[str]:
        yield f"{self.title}: {self.says}"
        wide = max((len(f"{x.who} {x.step}") for x in self.lines), default=0)
        arrows = max((len(" ".join(x.arrows)) for x in self.lines), default=0)
        for line in self.lines:
            if line.number == self.loop:
                yield "      from here on, round and round:"
            what = f"{line.who} {line.step}"
            changes = "; ".join(f"{name} {words}" for name, words in line.changes.items())
            named = " ".join(line.arrows)
            yield f"{line.number:4}  {what:{wide}}  {named:{arrows}}  {changes}".rstrip()
        if self.loop is not None and self.loop > len(self.lines):
            yield "      and nothing has to happen any more"
        yield "      then: " + "; ".join(f"{name} {words}" for name, words in self.end.items())


def told(fault: Fault, program: Program) -> Story:
    """The story of a fault. `program` is that of its model, keyed or not."""
    states = _with_names(fault, program) if fault.loop is None else list(fault.states)
    layout = program.layout
    lines = []
    for number, move_number in enumerate(fault.moves, 1):
        move = program.model.moves[move_number]
        before, after = layout.told(states[number - 1]), layout.told(states[number])
        names = dict.fromkeys([*after, *before])
        changes = {x: after.get(x, "gone") for x in names if after.get(x) != before.get(x)}
        lines.append(
            Line(
                number=number,
                who=_who(program, states[number - 1], states[number], move),
                step=move.step.id,
                arrows=arrows_of(move),
                changes={name: words for name, words in changes.items() if "spent" not in name},
                why=move.step.why,
            )
        )
    return Story(
        title=fault.property.id if fault.property else "a fault of the spec",
        says=fault.says,
        lines=tuple(lines),
        end=layout.told(states[-1]),
        loop=None if fault.loop is None else fault.loop + 1,
    )


def _with_names(fault: Fault, program: Program) -> list[bytes]:
    """The same states, in which objects keep the names that they begin with."""
    states = [program.layout.initial()]
    for move, goal in zip(fault.moves, fault.states[1:], strict=True):
        for number, after in _successors(program, states[-1]):
            if number == move and program.canonical(bytearray(after)) == goal:
                states.append(after)
                break
        else:
            # The last state of what never came is not canonical: it is told as it is.
            states.append(goal)
    return states


def _successors(program: Program, state: bytes) -> Iterator[tuple[int, bytes]]:
    """Each move from a state, with the state after it, in which what is gone is forgotten."""
    for key, after in program.successors(state)[0]:
        program.forget(after)
        yield key & 0xFFFF, bytes(after)


def _who(program: Program, before: bytes, after: bytes, move: Move) -> str:
    """The actor; of an object that acts for itself, which: the one that the step has changed."""
    if move.owner is None or move.owner not in program.model.many:
        return str(move.by)
    block = program.layout.blocks[move.owner]
    changed = [x for x in block.offsets if before[x : x + block.size] != after[x : x + block.size]]
    acting = [x for x in changed if before[x]]
    if not acting:
        acting = _holders(program, before, after, block.offsets)
    return program.layout.name(acting[0]) if acting else move.owner


def _holders(program: Program, before: bytes, after: bytes, offsets: Sequence[int]) -> list[int]:
    """Objects that lead to one that has changed, or to one that something changed leads to."""
    layout, found = program.layout, list[int]()
    for at in offsets:
        for link in program.model.links_of(_machine(program, at)):
            target = before[at + layout.link(link.machine, link.name)]
            if target and _near(program, before, after, target):
                found.append(at)
    return found


def _near(program: Program, before: bytes, after: bytes, target: int) -> bool:
    layout = program.layout
    block = layout.blocks[_machine(program, target)]
    if before[target : target + block.size] != after[target : target + block.size]:
        return True
    for link in program.model.links:
        place = layout.link(link.machine, link.name)
        other = layout.blocks[link.machine]
        for at in other.offsets:
            changed = before[at : at + other.size] != after[at : at + other.size]
            if changed and before[at + place] == target:
                return True
    return False


def _machine(program: Program, offset: int) -> str:
    return next(b.machine for b in program.layout.blocks.values() if offset in b.offsets)
