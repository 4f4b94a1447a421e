"""How a state of the composed model lies in bytes, and how it is read again.

One byte each: the ledger's balance, what was spent of each limit, the single objects, the queue's
places, then the objects of each many. An object is its state, its marks (a bit each) if its machine
has any, and its links. Links and the queue hold the offset at which an object begins; 0 is nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.composed import Composed
from statemachine.composition import machine_of
from statemachine.errors import SpecError

BALANCED = 100
"""The byte of a balance of 0: it may go below."""

BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class Block:
    """Where the objects of one machine lie: `offsets` of each, `size` bytes an object."""

    machine: str
    offsets: tuple[int, ...]
    size: int

    @property
    def end(self) -> int:
        """The first byte behind the block."""
        return self.offsets[-1] + self.size


class Layout:
    """The places of everything in a state of `model`. Raises SpecError for a model that is too big.

    `queue` and `queue_end` bound the queue's places: one for each object that could be in it.
    """

    def __init__(self, model: Composed) -> None:
        self.model = model
        self.spent = {name: 1 + number for number, name in enumerate(model.spent)}
        self.blocks: dict[str, Block] = {}
        offset = 1 + len(self.spent)
        for name in model.single:
            offset = self._place(name, 1, offset)
        self.queue = offset
        self.queue_end = offset + (model.many[model.queue] if model.queue else 0)
        offset = self.queue_end
        for name, count in model.many.items():
            offset = self._place(name, count, offset)
        self.length = offset
        if offset > BYTES_MAX:
            says = (
                f"make a state of {offset} bytes, expected {BYTES_MAX} at most: use fewer objects"
            )
            raise SpecError("system.toml", f"bounds {model.bounds}", says)

    def _place(self, machine: str, count: int, offset: int) -> int:
        size = 1 + bool(self.model.marks[machine]) + len(self.model.links_of(machine))
        offsets = tuple(range(offset, offset + count * size, size))
        self.blocks[machine] = Block(machine, offsets, size)
        return offset + count * size

    def state(self, machine: str, name: str) -> int:
        """The byte of a state."""
        return self.model.states[machine].index(name)

    def bit(self, machine: str, mark: str) -> int:
        """The bit of a mark."""
        return 1 << self.model.marks[machine].index(mark)

    def link(self, machine: str, name: str) -> int:
        """How far behind an object's offset its link lies."""
        names = [link.name for link in self.model.links_of(machine)]
        return 1 + bool(self.model.marks[machine]) + names.index(name)

    def initial(self) -> bytes:
        """The first state."""
        model, state = self.model, bytearray(self.length)
        state[0] = BALANCED
        for name, block in self.blocks.items():
            many = name in model.many
            for offset in block.offsets[: model.starts[name] if many else 1]:
                state[offset] = self.state(name, model.initial(name))
        return bytes(state)

    # --- reading ----------------------------------------------------------------------------

    def name(self, offset: int) -> str:
        """What an object is called: `worker1`; a single one by its machine."""
        for block in self.blocks.values():
            if offset in block.offsets:
                many = block.machine in self.model.many
                return block.machine + (f"{block.offsets.index(offset) + 1}" if many else "")
        return "nobody"

    def told(self, state: bytes) -> dict[str, str]:
        """Every object that there is, by name, and the queue: state, marks and links in words."""
        found = {}
        for block in self.blocks.values():
            for offset in block.offsets:
                if block.machine in self.model.single or state[offset]:
                    found[self.name(offset)] = " ".join(self._words(state, block.machine, offset))
        if self.model.queue:
            waiting = [self.name(x) for x in state[self.queue : self.queue_end] if x]
            found["queue"] = " ".join(waiting) or "empty"
        for name, offset in self.spent.items():
            if state[offset]:
                found[f"spent {name}"] = str(state[offset])
        return found

    def _words(self, state: bytes, machine: str, offset: int) -> Iterator[str]:
        yield self.model.states[machine][state[offset]]
        for mark in self.model.marks[machine]:
            if state[offset + 1] & self.bit(machine, mark):
                yield mark
        for link in self.model.links_of(machine):
            target = state[offset + self.link(machine, link.name)]
            if target:
                yield f"{link.name}={self.name(target)}"

    def machine_at(self, role: str) -> Block:
        """The block of a role's machine."""
        return self.blocks[machine_of(role)]
