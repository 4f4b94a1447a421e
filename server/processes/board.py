"""The counts of a child's ledger in memory that its parent sees too, whatever becomes of the child.

Each term has a row of cells. Whoever takes an arrow of the term draws the next number, and writes
it to the cell that is the number's own, modulo the row's length. The highest number in a row is how
often the term was counted. Two threads never write the same cell at once, so that a slow one cannot
undo what a quick one has written; and a cell is eight bytes in one piece, which the processor
stores as one.

What a process that was killed had counted is there to the last arrow: those that were under way in
other threads count for the highest. The first bytes say which terms there are, in order, so that
parent and child may be of different versions.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Final

from statemachine import LedgerSpec

HEAD_BYTES: Final = 1024
CELLS: Final = 256
"""A row's: more than threads that could be between drawing a number and writing it down."""

CELL: Final = struct.Struct("Q")
"""Eight bytes, as this machine has them."""
ACCEPTED: Final = "accepted"
TERMS_MAX: Final = 16
SIZE: Final = HEAD_BYTES + TERMS_MAX * CELLS * CELL.size


class Board:
    """One child's counts, in a file that has no name. `descriptor` is the file's.

    Threads: a child's may all count; the parent's one reads.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)

    @classmethod
    def made(cls) -> Board:
        """A board on which nothing is counted yet. Raises OSError."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("interlock-board")
        else:
            with tempfile.TemporaryFile(buffering=0) as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, SIZE)
        return cls(descriptor)

    def tallies(self, spec: LedgerSpec) -> dict[str, Callable[[], object]]:
        """By arrow of the ledger, what counts it here. Once a board, in the child."""
        terms = {ACCEPTED: spec.accepted, **spec.settled}
        head = json.dumps(list(terms)).encode("ascii")
        self._memory[: len(head)] = head
        cells = memoryview(self._memory)[HEAD_BYTES:].cast("Q")
        return {
            arrow: tally
            for row, arrows in enumerate(terms.values())
            for tally in [_tally(cells[row * CELLS : (row + 1) * CELLS])]
            for arrow in arrows
        }

    def counts(self) -> Mapping[str, int]:
        """How often each term was counted so far; none before the child has begun to count."""
        head = bytes(self._memory[:HEAD_BYTES]).rstrip(b"\0")
        terms = json.loads(head) if head else []
        return {term: self._count(row) for row, term in enumerate(terms)}

    def close(self) -> None:
        """Give the file and the memory back: the parent's part, when the child is gone."""
        self._memory.close()
        os.close(self.descriptor)

    def _count(self, row: int) -> int:
        start = HEAD_BYTES + row * CELLS * CELL.size
        data = self._memory[start : start + CELLS * CELL.size]
        return max(int(number) for (number,) in CELL.iter_unpack(data))


def _tally(cells: memoryview[int]) -> Callable[[], object]:
    draw = itertools.count(1).__next__

    def tally() -> None:
        number = draw()
        cells[number % CELLS] = number

    return tally
