"""Pipes over one reservoir: who makes content, who sends it, and who gives up.

A scene's text is what the reservoir, a pipe's memory and a pipe's file hold, in bytes, then a
script for each pipe's writer, and after a slash how often its reader takes before it abandons:

    r100 m64 f80 oooe/9 OOf/2

| letter | act |
|---|---|
| o O | put a piece of SMALL bytes, of LARGE bytes |
| e f | end the pipe; fail it, as who takes the job from its worker does |

A reader does what `Sending.relay` does: it takes until there is nothing, and then waits to be told.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import server.net.reservoir as reservoir_module
from server.http1.messages import FileRegion
from server.net.files import SystemFiles
from server.net.pipe import Pipe
from server.net.reservoir import Reservoir
from server.simulation import CarriedLock, Carrier
from statemachine._generated import PipeState
from tests.fakes import Disk, FakeTransport
from tests.interleavings.scene import BoundOnce, Watch

SMALL, LARGE = 40, 70
TEXT = re.compile(
    r"r(?P<room>\d+) m(?P<memory>\d+) f(?P<file>\d+)(?P<pipes>( [oOef]+/\d+)+)", re.ASCII
)
BINDER = BoundOnce()


@dataclass(frozen=True, slots=True)
class Plan:
    """A scene's text, read."""

    room: int
    memory: int
    file: int
    pipes: tuple[tuple[str, int], ...]


@functools.lru_cache(maxsize=1024)
def plan_of(text: str) -> Plan:
    """Raises ValueError, in one line."""
    found = TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"a pipe's scene is rROOM mMEMORY fFILE SCRIPT/TAKES..., not {text!r}")
    pairs = (one.split("/") for one in found["pipes"].split())
    pipes = tuple((script, int(takes)) for script, takes in pairs)
    return Plan(int(found["room"]), int(found["memory"]), int(found["file"]), pipes)


class InOrder(dict[Callable[[], None], None]):
    """In place of a set of those who wait, whose order depends on where in memory they lie."""

    def add(self, one: Callable[[], None]) -> None:
        self[one] = None


reservoir_module.__dict__["set"] = InOrder


class Drawer(SystemFiles):
    """The system's files; it remembers what it gave out."""

    def __init__(self) -> None:
        self.files: list[io.RawIOBase] = []

    def temporary(self) -> io.RawIOBase:
        self.files.append(super().temporary())
        return self.files[-1]


class Line:
    """One pipe and its two ends. It is a gate, too: open when the reader has been told."""

    def __init__(self, carrier: Carrier, pipe: Pipe) -> None:
        self.carrier = carrier
        self.pipe = pipe
        self.is_open = True
        self.put = bytearray()
        self.got = bytearray()
        self.has_ended = self.was_abandoned = self.has_failed = False

    def tell(self) -> None:
        self.carrier.point()
        self.is_open = True

    def write(self, script: str) -> None:
        """The worker. As `Outlet` does, it calls the reader when all has been made."""
        try:
            for number, letter in enumerate(script):
                if letter in "oO":
                    piece = bytes([65 + number]) * (SMALL if letter == "o" else LARGE)
                    self.put += piece
                    self.pipe.put(piece, self.tell)
                elif letter == "e":
                    self.pipe.end()
                    self.has_ended = True
                    break
                else:
                    self.has_failed = True
                    self.pipe.fail()
                    break
            else:
                self.has_failed = True
                self.pipe.fail()
        except BrokenPipeError:
            pass
        self.tell()

    def read(self, takes: int) -> None:
        """The reactor."""
        while True:
            self.carrier.point(self)
            self.is_open = False
            state = self.pipe.state
            while True:
                if not takes:
                    self.was_abandoned = True
                    self.pipe.abandon()
                    return
                takes -= 1
                piece = self.pipe.take()
                if piece is None:
                    break
                self.carrier.point()
                self._send(piece)
            self.pipe.make_room()
            if state is not PipeState.OPEN:
                self.pipe.abandon()
                return

    def _send(self, piece: bytes | FileRegion) -> None:
        if isinstance(piece, bytes):
            self.got += piece
            return
        transport = FakeTransport(5, Disk())
        transport.send_file(piece.descriptor, piece.offset, piece.size)
        self.got += transport.received
        piece.close()


class PipeScene:
    """Some pipes, and the room that they share."""

    def __init__(self, carrier: Carrier, text: str) -> None:
        plan = plan_of(text)
        self.reservoir = Reservoir(carrier, memory_bytes_max=plan.room, file_bytes_max=plan.room)
        free = carrier.Lock()
        assert isinstance(free, CarriedLock)
        self.watch = Watch(carrier, free)
        BINDER.hook_now = self.watch
        self.drawer = Drawer()
        self.lines = []
        for number, (script, takes) in enumerate(plan.pipes):
            pipe = BINDER.bind(Pipe)(
                carrier,
                self.reservoir,
                memory_bytes_max=plan.memory,
                file_bytes_max=plan.file,
                files=self.drawer,
            )
            line = Line(carrier, pipe)
            self.lines.append(line)
            carrier.spawn(f"worker_{number}", functools.partial(line.write, script))
            carrier.spawn(f"reader_{number}", functools.partial(line.read, takes))

    def judge(self) -> None:
        held = self.reservoir.memory.held_bytes, self.reservoir.file.held_bytes
        assert held == (0, 0), f"bytes are held by nobody: {held}"
        left = [file for file in self.drawer.files if not file.closed]
        for file in left:
            file.close()
        assert not left, "a file of a pipe was not closed"
        for line in self.lines:
            state = line.pipe.state
            assert bytes(line.put).startswith(bytes(line.got)), (
                "bytes came out as they never went in"
            )
            if line.has_ended and not line.was_abandoned:
                assert line.got == line.put, f"{len(line.put)} bytes went in, {len(line.got)} came"
            assert state is not PipeState.OPEN, f"a pipe is {state.name} in the end"


class PipeScenes:
    """The kind."""

    kind = "pipe"
    samples = (
        "r1000 m100 f0 ooe/99",
        "r1000 m50 f100 oooOe/99",
        "r1000 m50 f0 oooe/2",
        "r60 m50 f0 ooe/99 oof/99",
        "r80 m80 f80 oOoe/99 ooO/3",
    )

    def open(self, carrier: Carrier, text: str) -> PipeScene:
        return PipeScene(carrier, text)

    def draw(self, dice: Callable[[int], int]) -> str:
        sizes = [(60, 80, 150, 1000)[dice(4)], (0, 50, 100)[dice(3)], (0, 80, 200)[dice(3)]]
        pipes = (
            "".join("ooOO"[dice(4)] for _ in range(dice(5)))
            + "eef"[dice(3)]
            + f"/{(1, 2, 3, 99, 99)[dice(5)]}"
            for _ in range(1 + dice(2))
        )
        return "r{} m{} f{} ".format(*sizes) + " ".join(pipes)


SCENE = PipeScenes()
