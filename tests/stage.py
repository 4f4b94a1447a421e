"""Real threads in lockstep: at most one runs, and only while the test says so.

What makes thread interleavings a test's own choice: each thread is an actor, which stops at every
`pause` and goes on when it is told to `step`. The code under test runs as it is; its locks and
threads come from here by way of the facade that `server.net.threads` names.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from server.net.threads import Thread

SECONDS_MAX = 30.0
"""No step of a test computes as long as this; an actor that does is stuck."""


class Stuck(AssertionError):
    """Somebody waits for what only somebody else can do, and nobody else may run."""


class ActorDied(AssertionError):
    """An actor's play has ended with an error."""


class CurtainFalls(BaseException):
    """The test has ended: the actor leaves wherever it is."""


def always() -> bool:
    return True


class Actor(threading.Thread):
    """One thread of the code under test. `may_go` says whether what it waits for has come."""

    def __init__(self, name: str, play: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._play = play
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self.may_go: Callable[[], bool] = always
        self.falling = False
        self.struck: BaseException | None = None
        self._stroke: BaseException | None = None
        self.ended = False
        self.error: BaseException | None = None

    def run(self) -> None:
        self._go.acquire()
        try:
            self._play()
        except CurtainFalls:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the next `step`
            self.error = error
        self.ended = True
        self._paused.release()

    def pause(self, may_go: Callable[[], bool]) -> None:
        """On the actor's own thread: wait for the next step."""
        if self.falling:
            raise CurtainFalls
        self.may_go = may_go
        self._paused.release()
        self._go.acquire()
        if self.falling:
            raise CurtainFalls
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            raise stroke

    def strike(self, error: BaseException) -> None:
        """On the test's thread: let its next step begin with an error, torn out where it is."""
        self.struck = self._stroke = error
        self.may_go = always

    def step(self) -> None:
        """On the test's thread: let it run to its next pause, or to its end."""
        self._go.release()
        if not self._paused.acquire(timeout=SECONDS_MAX):
            raise Stuck(f"{self.name} does not come to a pause")
        if self.error is not None and not self.falling:
            raise ActorDied(self.name) from self.error


class Stage:
    """All actors of one test, and the facade that gives the code under test its threads."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.threads_left = 1_000_000
        self._fallen = False

    # --- the facade of server.net.threads ---------------------------------------------------

    def Lock(self) -> StageLock:
        return StageLock(self)

    def Thread(self, *, target: Callable[[], object], name: str, daemon: bool) -> Thread:
        return StageThread(self, Actor(name, target))

    def get_ident(self) -> int:
        return threading.get_ident()

    # --- for actors -------------------------------------------------------------------------

    def pause(self, may_go: Callable[[], bool] = always) -> None:
        """Stop here until the test goes on with this thread, which it does once `may_go` holds."""
        thread = threading.current_thread()
        if isinstance(thread, Actor):
            thread.pause(may_go)
        elif not may_go():
            raise Stuck("the test itself waits for an actor")

    # --- for the test -----------------------------------------------------------------------

    def spawn(self, actor: Actor) -> Actor:
        if not self.threads_left:
            raise RuntimeError("can't start new thread")
        self.threads_left -= 1
        if not self._fallen:
            self.actors.append(actor)
            actor.start()
        return actor

    def runnable(self) -> list[Actor]:
        """Who could go on now."""
        return [one for one in self.actors if not one.ended and one.may_go()]

    def settle(self, rng: random.Random | None = None, *, steps_max: int = 20_000) -> None:
        """Let everybody run, in turns or as `rng` says, until all wait for the test."""
        for turn in range(steps_max):
            runnable = self.runnable()
            if not runnable:
                return
            index = rng.randrange(len(runnable)) if rng else turn % len(runnable)
            runnable[index].step()
        raise Stuck(f"still running after {steps_max} steps: {[a.name for a in self.runnable()]}")

    def fall(self) -> None:
        """End every actor, wherever it is."""
        self._fallen = True
        for actor in self.actors:
            actor.falling = True
        for actor in self.actors:
            if not actor.ended:
                actor.step()
            actor.join(SECONDS_MAX)
            assert not actor.is_alive(), f"{actor.name} does not leave the stage"


class StageLock:
    """`threading.Lock`, whose waiting is a pause."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._held and (not blocking or timeout >= 0):
            return False
        if self._held:
            self._stage.pause(lambda: not self._held)
        self._held = True
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
        if isinstance(threading.current_thread(), Actor):
            self._stage.pause()


class StageThread:
    """`threading.Thread`, as the facade gives it."""

    def __init__(self, stage: Stage, actor: Actor) -> None:
        self._stage = stage
        self._actor = actor

    def start(self) -> None:
        self._stage.spawn(self._actor)

    def join(self, timeout: float | None = None) -> None:
        self._stage.pause(lambda: self._actor.ended)

    def is_alive(self) -> bool:
        return not self._actor.ended
