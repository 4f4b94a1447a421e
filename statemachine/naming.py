"""Which states are one: those that differ in what is gone, or in nothing but names.

Text for `statemachine.program`: `forget` clears, in place, objects that are as good as absent;
`canonical` then puts the objects of each machine in an order that depends on what they are, and
not on what they are called. Any order would be right; a better one makes fewer states.
"""

from __future__ import annotations

from collections.abc import Iterator

from statemachine.compiling import Nest
from statemachine.composed import Composed
from statemachine.layout import Block, Layout


class Names:
    """Writes the two functions for one model."""

    def __init__(self, model: Composed, layout: Layout) -> None:
        self._model = model
        self._layout = layout

    def text(self) -> Iterator[str]:
        """The lines of both."""
        yield from self._forget()
        yield from self._canonical()

    def _sources_first(self) -> list[str]:
        """The many, those first to which no link leads from later ones."""
        left, order = list(self._model.many), list[str]()
        while left:
            links = [link for link in self._model.links if link.machine in left]
            led_to = {link.target for link in links if link.target != link.machine}
            order += [x for x in left if x not in led_to] or left
            left = [x for x in left if x not in order]
        return order

    def _forget(self) -> Iterator[str]:
        nest = Nest(0)
        nest.open("def forget(t):")
        for condition, places in self.forgotten():
            nest.open(f"if {condition}:")
            nest.put(*(f"t[{place}] = 0" for place in places))
            nest.level -= 1
        nest.put("return")
        yield from nest.lines

    def forgotten(self) -> Iterator[tuple[str, range]]:
        """For each object, whether it is as good as absent in `t`, and its bytes. In order: those
        first to which no link leads from later ones.
        """
        for machine in self._sources_first():
            block, model = self._layout.blocks[machine], self._model
            final = sorted(self._layout.state(machine, name) for name in model.final(machine))
            stays = sum(self._layout.bit(machine, mark) for mark in model.stays[machine])
            last = len(model.states[machine]) - 1
            is_tail = final == list(range(last - len(final) + 1, last + 1))
            used = self.users(machine)
            for at in block.offsets:
                over = f"t[{at}] >= {final[0]}" if is_tail else f"t[{at}] in {(*final, 255)}"
                held = f" and t[{at + 1}] & {stays} == 0" if stays else ""
                free = "".join(f" and t[{place}] != {at}" for place in used)
                yield f"{over}{held}{free}", range(at, at + block.size)

    def users(self, machine: str) -> list[int]:
        """Where in a state something may lead to an object of the machine."""
        return [place for place, _ in self._places(machine)]

    def _canonical(self) -> Iterator[str]:
        nest = Nest(0)
        nest.open("def canonical(t):")
        nest.put("forget(t)")
        for machine in reversed(self._sources_first()):
            block = self._layout.blocks[machine]
            if len(block.offsets) == 1:
                continue
            if self.users(machine):
                self._rename(nest, machine, block)
            else:
                start, end, size = block.offsets[0], block.end, block.size
                parts = ", ".join(f"t[{at}:{at + size}]" for at in block.offsets)
                nest.put(f"t[{start}:{end}] = b''.join(sorted(({parts})))")
        nest.put("return bytes(t)")
        yield from nest.lines

    def _rename(self, nest: Nest, machine: str, block: Block) -> None:
        """Order objects to which others lead by what they are, and by who leads to them."""
        own = " + ".join(f"(t[x + {n}] << {8 * n})" for n in range(block.size))
        level = nest.level
        nest.open(f"if {' or '.join(f't[{at}]' for at in block.offsets)}:")
        nest.put(f"key = {{x: {own} for x in {block.offsets}}}; key[0] = 0")
        places = list(self._places(machine))
        for number, (place, holder) in enumerate(places):
            marks = f" + (t[{holder + 1}] << 5)" if holder and self._has_marks(holder) else ""
            what = f"(t[{holder}] + 1{marks})" if holder else str(number + 1)
            nest.put(f"key[t[{place}]] += {what} << {self._shift(block, machine, place)}")
        nest.put(f"order = sorted({block.offsets}, key=key.__getitem__)")
        nest.open(f"if order != {list(block.offsets)}:")
        nest.put(f"new = dict(zip(order, {block.offsets})); new[0] = 0")
        size, start = block.size, block.offsets[0]
        nest.put(f"t[{start}:{block.end}] = b''.join([t[x:x + {size}] for x in order])")
        nest.put(*(f"t[{place}] = new[t[{place}]]" for place, _ in places))
        nest.level = level

    def _places(self, machine: str) -> Iterator[tuple[int, int]]:
        """Where something leads to the machine's objects, with the offset of what; 0: the queue."""
        for link in self._model.links:
            if link.target == machine:
                behind = self._layout.link(link.machine, link.name)
                for at in self._layout.blocks[link.machine].offsets:
                    yield at + behind, at
        if self._model.queue == machine:
            for place in range(self._layout.queue, self._layout.queue_end):
                yield place, 0

    def _has_marks(self, offset: int) -> bool:
        blocks = self._layout.blocks.values()
        machine = next(block.machine for block in blocks if offset in block.offsets)
        return bool(self._model.marks[machine])

    def _shift(self, block: Block, machine: str, place: int) -> int:
        """Where in a key it counts who leads here: each link has bits of its own."""
        links = [link for link in self._model.links if link.target == machine]
        for number, link in enumerate(links):
            behind = self._layout.link(link.machine, link.name)
            if place - behind in self._layout.blocks[link.machine].offsets:
                return 8 * block.size + 16 * number
        return 8 * block.size + 16 * len(links)
