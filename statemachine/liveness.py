"""What comes in the end: `leads_to`, by the cycles of the composed model.

Names are kept here, for fairness speaks of objects: a move that awaits nobody is taken in the end
by each object that can take it from some moment on (weak fairness). So the graph has every state
with its names, and an edge for each way to take each move.

A property fails if an object has come to where it leads from, and can then go round for ever
without coming to where it leads to, in a way that is fair: each fair step that could be taken all
the way round is taken on it, whichever of its arrows, and each `persistent` one that could be taken
somewhere on it. A state in which only outsiders could move goes round by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from statemachine.composed import Composed, Move
from statemachine.composition import Goto, machine_of
from statemachine.explore import Fault
from statemachine.model import LeadsTo
from statemachine.program import Program
from statemachine.promela import on_the_way

MOVE = 0xFFFF
"""The part of a key that is the move's number; the objects that it binds are above it."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Every state, by its number, and what leads from it: `edges[n]` are (key, state) pairs."""

    states: list[bytes]
    edges: list[list[tuple[int, int]]]
    parents: list[tuple[int, int]]


class Liveness:
    """Judges the `leads_to` of one model. Raises ValueError as `Program.successors` does.

    Without `persistence` a step that is persistent is fair like any other, and no more.
    """

    def __init__(self, model: Composed, *, persistence: bool = True) -> None:
        self.model = model
        self.program = Program(model, keyed=True)
        steps = list(dict.fromkeys(move.step.id for move in model.moves))
        self._step = [steps.index(move.step.id) for move in model.moves]
        self._fair = [move.fair for move in model.moves]
        self._persistent = {
            self._step[n]
            for n, move in enumerate(model.moves)
            if move.step.persistent and persistence
        }
        self.graph = self._explore()

    def fault(self) -> Fault | None:
        """The first property that fails, with a run that shows it."""
        faults = (self._fault_of(one, x) for one in self.properties for x in self._sources(one))
        return next((fault for fault in faults if fault is not None), None)

    def fails(self, one: LeadsTo) -> bool:
        """Whether the property fails, of whichever object."""
        return any(self._fault_of(one, at) is not None for at in self._sources(one))

    @property
    def properties(self) -> list[LeadsTo]:
        """Those that are judged."""
        return [one for one in self.model.properties if isinstance(one, LeadsTo)]

    def _sources(self, one: LeadsTo) -> tuple[int, ...]:
        return self.program.layout.blocks[one.source.machine].offsets

    def _explore(self) -> Graph:
        program = self.program
        first = bytearray(program.layout.initial())
        program.forget(first)
        states, found = [bytes(first)], {bytes(first): 0}
        graph = Graph(states, [], [(-1, -1)])
        for number, state in enumerate(states):  # which grows meanwhile
            out, _, _ = program.successors(state)
            edges = []
            for key, after in out:
                program.forget(after)
                reached = bytes(after)
                target = found.setdefault(reached, len(states))
                if target == len(states):
                    states.append(reached)
                    graph.parents.append((number, key))
                edges.append((key, target))
            graph.edges.append(edges)
        return graph

    # --- one property, one object -----------------------------------------------------------

    def _fault_of(self, one: LeadsTo, at: int) -> Fault | None:
        pending = self._pending(one, at)
        layout = self.program.layout
        source = layout.state(one.source.machine, one.source.state)
        starts = [n for n, s in enumerate(self.graph.states) if s[at] == source and n in pending]
        reached = self._closure(starts, pending)
        lost = self._lost(one, at, reached)
        if lost is not None:
            return lost
        for part in self._components(reached):
            fair = self._fair_part(part)
            if fair:
                return self._loop(one, at, fair)
        return None

    def _pending(self, one: LeadsTo, at: int) -> set[int]:
        """States in which the object may still be on its way, and nothing that counts is there."""
        layout, model = self.program.layout, self.model
        machine = one.source.machine
        waiting = {layout.state(machine, name) for name in on_the_way(self.model, one)}
        elsewhere = [
            (offset, layout.state(place.machine, place.state))
            for place in one.targets
            if place.machine != machine and place.machine in model.single
            for offset in layout.blocks[place.machine].offsets
        ]
        return {
            number
            for number, state in enumerate(self.graph.states)
            if state[at] in waiting and not any(state[x] == goal for x, goal in elsewhere)
        }

    def _closure(self, starts: Iterable[int], within: AbstractSet[int]) -> set[int]:
        reached, left = set(starts), list(starts)
        while left:
            for _, target in self.graph.edges[left.pop()]:
                if target in within and target not in reached:
                    reached.add(target)
                    left.append(target)
        return reached

    def _lost(self, one: LeadsTo, at: int, reached: AbstractSet[int]) -> Fault | None:
        """The object has ended, in a state to which it was not to come."""
        machine = self.model.system.machines[one.source.machine]
        wrong = set(on_the_way(self.model, one)) & set(machine.final)
        if not wrong:
            return None
        for number in sorted(reached):
            for key, target in self.graph.edges[number]:
                if self._moves_to(key, at, machine.name, wrong):
                    states, moves = self._way(number)
                    state = self.graph.states[target]
                    return Fault(one, one.english, (*states, state), (*moves, key & MOVE))
        return None

    def _moves_to(self, key: int, at: int, machine: str, wrong: AbstractSet[str]) -> bool:
        """Whether the move takes this very object to one of these states."""
        move = self.model.moves[key & MOVE]
        return any(
            isinstance(effect, Goto)
            and effect.state in wrong
            and machine_of(effect.role) == machine
            and self._bound(move, key, effect.role) == at
            for effect in move.do
        )

    def _bound(self, move: Move, key: int, role: str) -> int:
        if role not in move.roles:
            return self.program.layout.machine_at(role).offsets[0]
        return key >> (16 + 8 * move.roles.index(role)) & 0xFF

    # --- cycles -----------------------------------------------------------------------------

    def _components(self, nodes: AbstractSet[int]) -> Iterator[list[int]]:
        """The strongly connected parts (Tarjan's algorithm, without recursion)."""
        edges = self.graph.edges
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        for root in sorted(nodes):
            if root in index:
                continue
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
            work = [(root, iter(edges[root]))]
            while work:
                node, left = work[-1]
                for _, target in left:
                    if target not in nodes:
                        continue
                    if target not in index:
                        index[target] = low[target] = len(index)
                        stack.append(target)
                        on_stack.add(target)
                        work.append((target, iter(edges[target])))
                        break
                    if target in on_stack:
                        low[node] = min(low[node], index[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        part = stack[stack.index(node) :]
                        del stack[stack.index(node) :]
                        on_stack.difference_update(part)
                        yield part

    def _way_of(self, key: int) -> int:
        """The step and its objects: what fairness speaks of."""
        return (key & ~MOVE) | self._step[key & MOVE]

    def _enabled(self, number: int) -> set[int]:
        """The fair ways to move from a state."""
        fair, edges = self._fair, self.graph.edges[number]
        return {self._way_of(key) for key, _ in edges if fair[key & MOVE]}

    def _fair_part(self, part: list[int]) -> list[int]:
        """What of a part a fair run may stay in for ever; nothing, if there is no such run."""
        always = self._enabled(part[0])
        for number in part[1:]:
            if not always:
                break
            always &= self._enabled(number)
        inside = set(part)
        edges = self.graph.edges
        taken = {self._way_of(key) for n in part for key, target in edges[n] if target in inside}
        if always - taken:
            return []
        shunned = {
            n for n in part if any(w & MOVE in self._persistent for w in self._enabled(n) - taken)
        }
        if not shunned:
            return part
        # Whoever stays must stay out of where a persistent step could be taken.
        smaller = (self._fair_part(one) for one in self._components(inside - shunned))
        return next((one for one in smaller if one), [])

    def _loop(self, one: LeadsTo, at: int, part: list[int]) -> Fault:
        """A run into the part, and once round, past a reason to let each fair move be."""
        states, moves = self._way(part[0])
        inside, here = set(part), part[0]
        loop: list[tuple[int, int]] = []
        seen = [here]
        while True:
            starved = self._starved(seen, {self._way_of(key) for key, _ in loop})
            if not starved:
                break
            leg = self._leg(here, inside, starved=next(iter(starved)))
            loop += leg
            seen += [target for _, target in leg]
            here = seen[-1]
        if here != part[0]:
            loop += self._leg(here, inside, goal=part[0])
        name = self.program.layout.name(at)
        return Fault(
            one,
            f"{one.english} Here {name} never comes from {one.source} to where it leads.",
            (*states, *(self.graph.states[n] for _, n in loop)),
            (*moves, *(key & MOVE for key, _ in loop)),
            loop=len(states) - 1,
        )

    def _starved(self, seen: list[int], taken: set[int]) -> set[int]:
        """Steps that a run round these states would have to take, and does not."""
        enabled = [self._enabled(number) for number in seen]
        again = {way for one in enabled for way in one if way & MOVE in self._persistent}
        return (set.intersection(*enabled) | again) - taken

    def _leg(
        self, start: int, inside: AbstractSet[int], *, starved: int = -1, goal: int = -1
    ) -> list[tuple[int, int]]:
        """A shortest way within: to `goal`, or to where `starved` is taken, or cannot be."""
        came: dict[int, tuple[int, int]] = {start: (-1, -1)}
        left = [start]
        for node in left:  # which grows meanwhile
            for key, target in self.graph.edges[node]:
                if target not in inside:
                    continue
                done = target == goal or self._way_of(key) == starved
                if starved >= 0 and starved & MOVE not in self._persistent:
                    done = done or starved not in self._enabled(target)
                if done:
                    return [*self._back(came, node), (key, target)]
                if target not in came:
                    came[target] = (node, key)
                    left.append(target)
        raise AssertionError("a strongly connected part leads everywhere in it")

    @staticmethod
    def _back(came: dict[int, tuple[int, int]], node: int) -> list[tuple[int, int]]:
        leg = []
        while came[node][0] >= 0:
            before, key = came[node]
            leg.append((key, node))
            node = before
        return leg[::-1]

    def _way(self, number: int) -> tuple[list[bytes], list[int]]:
        states, moves = [self.graph.states[number]], list[int]()
        while number:
            number, key = self.graph.parents[number]
            moves.append(key & MOVE)
            states.append(self.graph.states[number])
        return states[::-1], moves[::-1]
