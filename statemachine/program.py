"""The composed model as functions: generated, compiled, and ready to be called.

`Program` holds what an exploration calls for each state. Its text is in `text`, to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from statemachine.compiling import INDENT, Nest, Words, apply, bind, roles_of
from statemachine.composed import Composed, Move, always_of
from statemachine.composition import Can, Condition, Is, machine_of
from statemachine.layout import Block, Layout
from statemachine.model import Equal, Given, NeverTogether, OneOwner, Place
from statemachine.naming import Names

Successors = Callable[[bytes], tuple[list[tuple[int, bytearray]], bool, dict[int, int]]]
"""From a state: each move that can be taken, by number and key, with the state after it; whether
one of them is fair; and who can move each object that properties want to have one owner: a bit for
each party. Raises ValueError where more is pushed into the queue than there are objects."""


class Program:
    """The functions of one model.

    `successors` is described at its type. `forget` clears, in place, what is as good as absent;
    `canonical` does that and then renames objects of one machine in place, so that states which
    differ in names alone become one. `broken` says which of `always` a state breaks, or -1. `rests`
    says whether it is well that nobody can move. `follows` has a byte for each move in some `then`,
    set when it was taken.

    A key is the move's number, and for `keyed` programs the offsets of the roles that it binds.
    """

    def __init__(self, model: Composed, *, keyed: bool = False) -> None:
        self.model = model
        self.layout = Layout(model)
        self.words = Words(model, self.layout)
        self.always = [
            one for one in always_of(model) if isinstance(one, Equal | NeverTogether | Given)
        ]
        self.owned = [one for one in model.properties if isinstance(one, OneOwner)]
        self.parties = list(dict.fromkeys(move.owner for move in model.moves if move.owner))
        self.then = list(dict.fromkeys(one for move in model.moves for one in move.then))
        self.follows = bytearray(len(self.then) + 1)
        self._keyed = keyed
        self.text = "\n".join(
            [
                *self._successors(),
                *Names(model, self.layout).text(),
                *self._broken(),
                *self._rests(),
                *(line for step in sorted(self._asked()) for line in self._can(step)),
            ]
        )
        names: dict[str, object] = {"follows": self.follows}
        # Built above from a spec that the loader has held to its form; no text of it is a value.
        exec(compile(self.text, "<composed model>", "exec"), names)  # noqa: S102 - our own text
        self.successors = cast("Successors", names["successors"])
        self.forget = cast("Callable[[bytearray], None]", names["forget"])
        self.canonical = cast("Callable[[bytearray], bytes]", names["canonical"])
        self.broken = cast("Callable[[bytes], int]", names["broken"])
        self.rests = cast("Callable[[bytes], bool]", names["rests"])

    # --- moves ------------------------------------------------------------------------------

    def _successors(self) -> Iterator[str]:
        nest = Nest(0)
        nest.open("def successors(s):")
        nest.put("out, fair, owners = [], False, {}")
        numbered = list(enumerate(self.model.moves))
        for number, move in numbered:
            if not move.roles:
                self._move(nest, number, move, ())
        for machine, block in self.layout.blocks.items():
            mine = [(n, m) for n, m in numbered if m.roles and machine_of(m.roles[0]) == machine]
            if mine:
                self._moves_of(nest, block, mine)
        nest.put("return out, fair, owners")
        yield from nest.lines

    def _moves_of(self, nest: Nest, block: Block, moves: list[tuple[int, Move]]) -> None:
        """The moves whose first role is of one machine, sorted by that object's state."""
        level = nest.level
        nest.put("twin = b''")
        nest.open(f"for b_{block.machine} in {block.offsets}:")
        if (
            not self._keyed
            and len(block.offsets) > 1
            and not Names(self.model, self.layout).users(block.machine)
        ):
            # Nobody tells twins apart, and in a canonical state they lie side by side.
            at, size = f"b_{block.machine}", block.size
            nest.open(f"if s[{at}:{at} + {size}] == twin:")
            nest.put("continue")
            nest.level -= 1
            nest.put(f"twin = s[{at}:{at} + {size}]")
        nest.put(f"x = s[b_{block.machine}]")
        inner, word = nest.level, "if"
        for number, name in enumerate(self.model.states[block.machine]):
            mine = [(n, m) for n, m in moves if number and _allows(m, m.roles[0], name)]
            if mine:
                nest.level = inner
                nest.open(f"{word} x == {number}:")
                word = "elif"
                for key, move in mine:
                    if move.roles[0] != block.machine:
                        nest.put(f"b_{move.roles[0]} = b_{block.machine}")
                    self._move(nest, key, move, (move.roles[0],))
        nest.level = level

    def _move(self, nest: Nest, number: int, move: Move, bound: tuple[str, ...]) -> None:
        level = nest.level
        first = bound[0] if bound else ""
        when = [one for one in move.when if not _is_state_of(one, first)]
        if move.costs:
            spent, most = self.layout.spent[move.costs], self.model.limits[move.costs]
            nest.open(f"if s[{spent}] < {most}:")
        bind(self.words, nest, move.roles, when, bound)
        inner = nest.level
        apply(self.words, nest, move)
        for follow in move.then:
            self._follow(nest, follow)
        nest.put(f"out.append(({self._key(number, move)}, t))")
        if move.fair:
            nest.put("fair = True")
        nest.level = inner
        self._own(nest, move)
        nest.level = level

    def _follow(self, nest: Nest, follow: Move) -> None:
        nest.open(f"if {self.words.all_of(follow.when, 't')}:")
        nest.put(f"follows[{self.then.index(follow)}] = 1")
        for one in follow.do:
            nest.put(*self.words.effect(one))
        nest.level -= 1

    def _key(self, number: int, move: Move) -> str:
        """The move's number; keyed, with its objects: one integer for each way to take it."""
        if not self._keyed:
            return str(number)
        parts = [f"(({self.words.variable(r)}) << {8 * n + 16})" for n, r in enumerate(move.roles)]
        return " | ".join([str(number), *parts])

    def _own(self, nest: Nest, move: Move) -> None:
        """Note who could move an object that is to have one owner."""
        if move.owner is None:
            return
        own = move.owner
        party = self.words.variable(own) if own in self.model.many else str(self.parties.index(own))
        for one in self.owned:
            for role in sorted(move.touches):
                if machine_of(role) == one.machine and role not in move.makes:
                    at = self.words.variable(role)
                    nest.put(f"owners[{at}] = owners.get({at}, 0) | 1 << ({party})")

    # --- what must hold ---------------------------------------------------------------------

    def _broken(self) -> Iterator[str]:
        nest = Nest(0)
        nest.open("def broken(s):")
        for number, one in enumerate(self.always):
            level = nest.level
            if isinstance(one, Given):
                self._given(nest, one, number)
                continue
            if isinstance(one, Equal):
                nest.open(f"if {self._number(one.left)} != {self._number(one.right)}:")
            else:
                together = " and ".join(f"({self._number([x])}) > 0" for x in one.places)
                nest.open(f"if {together}:")
            nest.put(f"return {number}")
            nest.level = level
        nest.put("return -1")
        yield from nest.lines

    def _given(self, nest: Nest, one: Given, number: int) -> None:
        """What must hold is asked one by one: each with the roles that it takes, and no more."""
        level = nest.level
        given = {role for c in one.given for role in roles_of(self.model, c)}
        together = [c for c in one.hold if roles_of(self.model, c) <= given]
        alone = [c for c in one.hold if c not in together]
        for hold in [together, *([c] for c in alone)]:
            if hold:
                roles = given | {role for c in hold for role in roles_of(self.model, c)}
                bind(self.words, nest, self._ordered(roles), one.given, ())
                nest.open(f"if not ({self.words.all_of(hold, 's')}):")
                nest.put(f"return {number}")
                nest.level = level

    def _ordered(self, roles: Iterable[str]) -> list[str]:
        order = list(self.model.many)
        return sorted(roles, key=lambda role: (order.index(machine_of(role)), role))

    def _number(self, places: Iterable[Place]) -> str:
        terms = [
            f"(s[{at}] == {self.layout.state(place.machine, place.state)})"
            for place in places
            for at in self.layout.blocks[place.machine].offsets
        ]
        return " + ".join(terms)

    def _rests(self) -> Iterator[str]:
        yield "def rests(s):"
        ways = [f"({self.words.all_of(when, 's')})" for when in self.model.rest.values()]
        yield f"{INDENT}return {' or '.join(ways) or 'False'}"

    def _asked(self) -> set[str]:
        """The steps of which some property asks whether they can be taken."""
        return {
            c.step
            for one in self.always
            if isinstance(one, Given)
            for c in (*one.given, *one.hold)
            if isinstance(c, Can)
        }

    def _can(self, step: str) -> Iterator[str]:
        nest = Nest(0)
        nest.open(f"def can_{step}(s):")
        for move in self.model.moves:
            if move.step.id == step:
                level = nest.level
                bind(self.words, nest, move.roles, move.when, ())
                nest.put("return True")
                nest.level = level
        nest.put("return False")
        yield from nest.lines


def _is_state_of(one: Condition, role: str) -> bool:
    """Whether it says nothing but which states the role is in: the sorting has asked that."""
    states = isinstance(one, Is) and all(fact.is_state for fact in one.facts)
    return states and isinstance(one, Is) and one.facts[0].role == role


def _allows(move: Move, role: str, state: str) -> bool:
    """Whether the role may be in the state, by the conditions that speak of states alone."""
    return all(
        any(fact.name == state for fact in one.facts) != one.negated
        for one in move.when
        if isinstance(one, Is) and _is_state_of(one, role)
    )
