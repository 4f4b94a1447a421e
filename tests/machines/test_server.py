"""The supervisor's ladder, up and down.

Down: whatever notes come and in whatever order, each step is the spec's, the exit status is the
final state's, and whatever must be closed is. The house is faked there, so that each note comes
when the test says. Up: real houses that cannot be built, and what they leave behind.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Config
from server.errors import ConfigError, StartError
from server.ground import Ground
from server.http1.messages import Request, Response
from server.net.baton import Baton
from server.net.listener import Listener
from server.net.pool import Census, Pool
from server.net.reactor import Reactor
from server.server import Server, sound_system
from server.supervisor import EXIT_STATUS, FINAL, House, Mailbox, Note
from statemachine import Engine
from statemachine._generated import PoolState, ServerState
from tests.witness import Witness, without

FOLDER = Path("/proc/self/fd")
SECONDS_MAX = 30.0


class FakePool:
    """A pool whose workers end in time, or not."""

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        self.calls: list[str] = []
        self.state = PoolState.SERVING

    def start(self, size: int) -> None:
        self.calls.append(f"start {size}")

    def drain(self) -> None:
        self.calls.append("drain")
        self.state = PoolState.STOPPED if self._ends else PoolState.DRAINING

    def supervise(self, now: float) -> Census:
        self.calls.append(f"supervise at {now >= 0.0}")
        return Census(
            places=1, standing=1, late=0, quarantined=0, stand_ins=0, replaced=0, at_cap=False
        )

    def join(self, timeout_seconds: float | None = None) -> bool:
        return self._ends or timeout_seconds is None


class FakeReactor:
    """A reactor that does what it is asked, one thing a turn, and nothing by itself."""

    def __init__(self) -> None:
        self.connections: dict[int, object] = {}
        self.calls: list[str] = []
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def open(self) -> None:
        self.calls.append("open")

    def poll_once(self) -> None:
        self._asked.get(timeout=SECONDS_MAX)()

    def ask(self, what: Callable[[], None]) -> None:
        self._asked.put(what)

    def wake(self) -> None:
        self._asked.put(lambda: None)

    def drain(self) -> None:
        self.calls.append("drain")

    def cut(self) -> None:
        self.calls.append(f"cut by {threading.current_thread().name}")

    def close(self) -> None:
        self.calls.append("close")


class FakeBaton:
    """A baton that is never lent."""

    def __init__(self, reactor: FakeReactor) -> None:
        self.turn = reactor.poll_once

    def drop(self) -> None:
        pass


class Ladder(Server):
    """A server whose house is faked."""

    def __init__(
        self, config: Config, *, pool_ends: bool, witness: Witness, mailbox: Mailbox
    ) -> None:
        super().__init__(config, hook=witness, ground=Ground(mailbox=lambda: mailbox))
        self.pool = FakePool(ends=pool_ends)
        self.reactor = FakeReactor()

    def _build(self) -> House:
        house = House(
            cast("Listener", None), cast("Pool", self.pool), cast("Reactor", self.reactor), None
        )
        house.baton = cast("Baton", FakeBaton(self.reactor))
        return house


def foretold(notes: list[Note], *, pool_ends: bool, lame: bool = False) -> list[str]:
    """The arrows that the spec foretells for these notes, when nobody has any patience."""
    arrows, state = ["S1"], ServerState.SERVING
    stopped = ("S3", ServerState.LAME_DUCK) if lame else ("S3 S10", ServerState.DRAINING)
    for note in notes:
        step = {
            (ServerState.SERVING, Note.STOP): stopped,
            (ServerState.LAME_DUCK, Note.STOP): ("S11", ServerState.CUTTING),
            (ServerState.LAME_DUCK, Note.REACTOR_DIED): ("S12", ServerState.CUTTING),
            (ServerState.SERVING, Note.REACTOR_DIED): ("S4", ServerState.CUTTING),
            (ServerState.DRAINING, Note.STOP): ("S6", ServerState.CUTTING),
            (ServerState.DRAINING, Note.REACTOR_DIED): ("S8", ServerState.CUTTING),
            (ServerState.DRAINING, Note.EMPTY): (
                ("S5", ServerState.STOPPED) if pool_ends else ("S7", ServerState.CUTTING)
            ),
        }.get((state, note))
        if step is not None:
            arrows += step[0].split()
            state = step[1]
    if state is ServerState.DRAINING:
        arrows.append("S7")
        state = ServerState.CUTTING
    return [*arrows, "S9"] if state is ServerState.CUTTING else arrows


def descend(
    engine: Engine,
    notes: list[Note],
    *,
    pool_ends: bool,
    lame_duck_seconds: float = 0.0,
    balanced: bool = True,
) -> Ladder:
    """Let the supervisor find these notes, and climb down."""
    system = sound_system()
    if not balanced:
        # The run that is asked for ends in what no run should.
        system = without(system, "never_unbalanced")
    witness = Witness(system)
    config = Config(
        engine=engine,
        drain_seconds_max=0.0,
        cut_seconds_max=0.0,
        lame_duck_seconds=lame_duck_seconds,
    )
    notes_left: queue.SimpleQueue[Note] = queue.SimpleQueue()
    ladder = Ladder(config, pool_ends=pool_ends, witness=witness, mailbox=notes_left)
    if not balanced:
        ladder.lifecycle.is_settled = lambda: False
    ladder.start()
    for note in notes:
        if note is Note.REACTOR_DIED:
            died = threading.Event()
            ladder.reactor.ask(lambda died=died: fail(died))  # type: ignore[misc] # a default binds it
            assert died.wait(SECONDS_MAX)
            while notes_left.qsize() < len(notes):  # it is about to write its last one
                pass
            break
        told = threading.Event()
        ladder.reactor.ask(lambda note=note: ladder._mailbox.put(note))  # type: ignore[misc] # the same
        ladder.reactor.ask(told.set)
        assert told.wait(SECONDS_MAX)
    status = ladder.run()
    house = ladder._house
    assert house is not None
    assert house.thread is not None
    house.thread.join(SECONDS_MAX)
    assert not house.thread.is_alive()
    assert status == EXIT_STATUS[ladder.lifecycle.state]
    steps = [step.arrow for step in witness.recorder.steps]
    arrows = [arrow.id for arrow in steps if arrow.machine == "server"]
    spec = foretold(notes, pool_ends=pool_ends, lame=lame_duck_seconds > 0)
    assert arrows == [one if balanced or one != "S5" else "S13" for one in spec]
    assert [arrow.id for arrow in steps if arrow.machine == "readiness"] == ["H1", "H4"]
    assert witness.faults() == []
    return ladder


def fail(died: threading.Event) -> None:
    died.set()
    raise RuntimeError("struck by lightning")


@st.composite
def histories(draw: st.DrawFn) -> list[Note]:
    notes = draw(st.lists(st.sampled_from([Note.STOP, Note.EMPTY]), max_size=4))
    return [*notes, draw(st.sampled_from([Note.STOP, Note.REACTOR_DIED]))]


@pytest.mark.parametrize("engine", ["sealed", "stock"])
@given(notes=histories(), pool_ends=st.booleans())
def test_every_way_down_is_the_specs(engine: Engine, notes: list[Note], pool_ends: bool) -> None:
    ladder = descend(engine, notes, pool_ends=pool_ends)
    calls = ladder.reactor.calls
    cuts = [call for call in calls if call.startswith("cut")]
    if ladder.lifecycle.state is ServerState.STOPPED:
        assert calls[-1] == "close"
        assert cuts == []
        return
    # Whoever is alive cuts: the reactor, or the supervisor in its place.
    died = Note.REACTOR_DIED in notes
    by_main = died and foretold(notes, pool_ends=pool_ends)[-2] in ("S4", "S8")
    if by_main:
        assert cuts == ["cut by MainThread"]
    else:
        assert len(cuts) == 1
    assert "drain" in ladder.pool.calls
    assert calls[-1] == "close"


ARROWS: dict[str, tuple[list[Note], bool]] = {
    "S1": ([Note.STOP, Note.EMPTY], True),
    "S3": ([Note.STOP, Note.EMPTY], True),
    "S4": ([Note.REACTOR_DIED], True),
    "S5": ([Note.STOP, Note.EMPTY], True),
    "S6": ([Note.STOP, Note.STOP], True),
    "S7": ([Note.STOP], True),
    "S8": ([Note.STOP, Note.REACTOR_DIED], True),
    "S9": ([Note.STOP, Note.EMPTY], False),
    "S10": ([Note.STOP, Note.EMPTY], True),
}


@pytest.mark.parametrize("engine", ["sealed", "stock"])
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.arrow(one)) for one in ARROWS]
)
def test_the_arrow_is_taken(engine: Engine, name: str) -> None:
    notes, pool_ends = ARROWS[name]
    descend(engine, notes, pool_ends=pool_ends)
    assert name in foretold(notes, pool_ends=pool_ends)


@pytest.mark.arrow("S11")
def test_a_second_signal_ends_the_lame_duck(engine: Engine) -> None:
    ladder = descend(engine, [Note.STOP, Note.STOP], pool_ends=True, lame_duck_seconds=60.0)
    assert ladder.lifecycle.state is ServerState.FORCED


@pytest.mark.arrow("S12")
def test_a_lame_duck_without_a_reactor_is_cut(engine: Engine) -> None:
    notes = [Note.STOP, Note.REACTOR_DIED]
    ladder = descend(engine, notes, pool_ends=True, lame_duck_seconds=60.0)
    assert ladder.reactor.calls[-2:] == ["cut by MainThread", "close"]


@pytest.mark.arrow("S13")
def test_a_ledger_that_does_not_balance_is_said(engine: Engine) -> None:
    ladder = descend(engine, [Note.STOP, Note.EMPTY], pool_ends=True, balanced=False)
    assert ladder.lifecycle.state is ServerState.UNBALANCED
    assert ladder.run() == 3


def test_every_arrow_is_taken() -> None:
    spec = sound_system().machines["server"]
    assert {*ARROWS, "S2", "S11", "S12", "S13"} == {one.id for one in spec.arrows}
    assert {state.name for state in FINAL} == set(spec.final)
    assert EXIT_STATUS.keys() == FINAL


def test_running_again_says_the_same() -> None:
    ladder = descend("sealed", [Note.STOP, Note.EMPTY], pool_ends=True)
    assert (ladder.run(), ladder.stop()) == (0, 0)


def test_what_has_not_been_started_cannot_run() -> None:
    one = Server(Config(port=0))
    for use in (one.run, lambda: one.address, lambda: one.url):
        with pytest.raises(StartError, match="has not been started"):
            use()


# --- up: starts that fail ---------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before, threads = descriptors(), set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(SECONDS_MAX)
        assert not thread.is_alive(), f"{thread.name} is left behind"
    assert descriptors() <= before, "descriptors are left behind"


def descriptors() -> set[str]:
    return set(os.listdir(FOLDER)) if FOLDER.is_dir() else set()


def answer(request: Request) -> Response:
    return Response(200, content=request.head.path.encode())


class Failing:
    """`threading.Thread.start`, until the system has no thread any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, threads_left: int) -> None:
        self._start = threading.Thread.start
        self._left = threads_left
        failing = self

        def start(thread: threading.Thread) -> None:
            failing.start(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    def start(self, thread: threading.Thread) -> None:
        if not self._left:
            raise RuntimeError("can't start new thread")
        self._left -= 1
        self._start(thread)


@pytest.mark.arrow("S2")
@pytest.mark.parametrize("threads_left", [0, 1, 2, 3])
def test_a_start_without_threads(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads_left: int
) -> None:
    """Three workers, and then the reactor."""
    witness = Witness(sound_system())
    config = Config(port=0, threads=3, engine=engine, access_log=str(tmp_path / "access.log"))
    one = Server(config, answer, hook=witness)
    Failing(monkeypatch, threads_left=threads_left)
    with pytest.raises(StartError, match="cannot start a thread: can't start new thread"):
        one.start()
    monkeypatch.undo()
    assert one.lifecycle.state is ServerState.FAILED
    taken = witness.recorder.coverage()
    assert (taken["S2"], taken["L2"], taken["P4"]) == (1, 1, 1)


@pytest.mark.arrow("S2")
def test_a_start_without_a_port(engine: Engine, tmp_path: Path) -> None:
    with Server(Config(port=0, engine=engine), answer) as first:
        port = first.address[1]
        log = str(tmp_path / "access.log")
        second = Server(Config(port=port, engine=engine, access_log=log), answer)
        with pytest.raises(StartError, match=f"port {port}: Address already in use"):
            second.start()
        assert second.lifecycle.state is ServerState.FAILED


@pytest.mark.arrow("S2")
def test_a_start_without_a_root(engine: Engine, tmp_path: Path) -> None:
    one = Server(Config(port=0, engine=engine, root=tmp_path / "nowhere"))
    with pytest.raises((StartError, ConfigError)):
        one.start()
    assert one.lifecycle.state is ServerState.FAILED


@pytest.mark.arrow("S2")
def test_a_start_without_a_selector(engine: Engine, tmp_path: Path) -> None:
    def fail() -> NoReturn:
        raise OSError(24, "Too many open files")

    config = Config(port=0, engine=engine, access_log=str(tmp_path / "access.log"))
    one = Server(config, answer, ground=Ground(poller=fail))
    with pytest.raises(StartError, match="Too many open files"):
        one.start()
    assert one.lifecycle.state is ServerState.FAILED


def test_a_server_can_be_asked_to_stop_more_often_than_it_can(engine: Engine) -> None:
    with Server(Config(port=0, engine=engine, threads=1), answer) as one:
        one.request_stop()
        assert one.run() == 0
        assert one.stop() == 0
    assert one.lifecycle.state is ServerState.STOPPED
