"""The pool alone: workers, and tasks that offer jobs, withdraw them, stop, supervise and kill.

A scene's text is the number of workers, with options, then a script for each task:

    2q1 oj orj d

Options: `q1` a queue for one job, `s1` one stand-in (and somebody supervises to the end), `t3`
three threads can be had, `i2` the second initializer raises, `z1` the workers sleep when it begins.
A script is letters, each one act:

| letter | act |
|---|---|
| o r h H | offer a job that returns, raises, takes HANG_SECONDS, or so with its lease lent |
| l R | offer a job lazily; rouse, as long as the pool is strained |
| w W | withdraw its own last job; withdraw all |
| j | rouse, if it has offered lazily, and wait until its own jobs have ended |
| d J | drain; drain and join |
| x | let go, as a finalizer does |
| c s S | supervise: at once, after late_seconds_max, after job_seconds_max |
| k | kill a worker, wherever it is, but not under the pool's lock |
| p | one point |

When all have played, somebody supervises if that is done at all, drains and joins; unless one of
them drains, and nobody supervises.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import server.net.pool as pool_module
from server.net.pool import Job, Pool
from server.net.sleepers import ROUSE_SECONDS
from server.net.worker import FREE
from server.simulation import CarriedLock, Carrier, Task
from statemachine import Arrow, Model
from statemachine._generated import JobState, PoolState
from tests.interleavings.scene import BoundOnce, Torn, Watch

LATE_SECONDS, JOB_SECONDS, HANG_SECONDS = 2.0, 30.0, 100.0
WATCH_SECONDS = 0.25
STRAINED_MAX = 3
"""How often in a row time may pass while jobs are queued and workers sleep: whoever offers lazily
has to rouse within that.
"""

# Tuples: to find who is in them takes no hash.
RAN = (JobState.RETURNED, JobState.RAISED, JobState.ABANDONED, JobState.REVOKED)
ENDED = (*RAN, JobState.REFUSED, JobState.WITHDRAWN)
DROPPED = (JobState.WITHDRAWN, JobState.ABANDONED, JobState.REVOKED)

TEXT = re.compile(
    r"(?P<workers>[1-9])(?P<options>([qstiz]\d+)*)(?P<scripts>( [orhHlRwWjdJxcsSkp]+)*)"
)
ACTING = "ojorhHlRwWdJxkp"
SUPERVISING = "cscSsS"
BINDER = BoundOnce()


@dataclass(frozen=True, slots=True)
class Plan:
    """A scene's text, read."""

    workers: int
    options: dict[str, int]
    scripts: tuple[str, ...]
    letters: frozenset[str]

    @property
    def is_supervised(self) -> bool:
        return "s" in self.options

    def has(self, letters: str) -> bool:
        return not self.letters.isdisjoint(letters)


@functools.lru_cache(maxsize=1024)
def plan_of(text: str) -> Plan:
    """Raises ValueError, in one line."""
    found = TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"a pool's scene is WORKERS[q1][s1][t3][i2][z1] SCRIPT..., not {text!r}")
    options = {letter: int(n) for letter, n in re.findall(r"([qstiz])(\d+)", found["options"])}
    scripts = found["scripts"].split()
    plan = Plan(int(found["workers"]), options, tuple(scripts), frozenset("".join(scripts)))
    if plan.has("csS") and not plan.is_supervised:
        raise ValueError(f"who supervises needs the option s0 or more: {text!r}")
    return plan


class Noted(Job):
    """A job that counts what happens to it."""

    __slots__ = (
        "began_at", "drops", "ended_at", "is_inside", "kind", "lease", "offered", "overlapped",
        "runs", "stage", "trespassed",
    )  # fmt: skip

    def __init__(self, stage: Carrier, kind: str) -> None:
        super().__init__()
        self.stage = stage
        self.kind = kind
        self.runs = 0
        self.is_inside = self.overlapped = self.trespassed = False
        self.began_at = self.ended_at = 0.0
        self.offered: bool | None = None
        self.drops: list[BaseException | None] = []
        self.lease = FREE
        if kind == "H":
            # Held before there is a worker, as an Exchange's is.
            self.lease = stage.Lock()
            self.lease.acquire()

    @property
    def is_open(self) -> bool:
        """The gate of whoever waits for its end."""
        return self.state in ENDED

    def run(self) -> None:
        self.runs += 1
        self.overlapped |= self.is_inside
        self.is_inside = True
        self.stage.point()
        self.trespassed = self.kind == "H" and self.state is not JobState.RUNNING
        if self.kind == "r":
            self.is_inside = False
            raise ValueError("as jobs do")
        if self.kind == "H":
            self.lease.release()
        if self.kind in "hH":
            self.stage.sleep(HANG_SECONDS)
        if self.kind == "H":
            self.lease.acquire()
        self.is_inside = False

    def dropped(self, error: BaseException | None) -> None:
        self.drops.append(error)
        self.ended_at = self.stage.now


class AllEnded:
    """The gate of who waits for all of these tasks."""

    def __init__(self, tasks: list[Task]) -> None:
        self._tasks = tasks

    @property
    def is_open(self) -> bool:
        return all(task.is_open for task in self._tasks)


class PoolScene:
    """One pool, and the tasks around it."""

    def __init__(self, carrier: Carrier, text: str) -> None:
        self.carrier = carrier
        self.plan = plan = plan_of(text)
        self.jobs: list[Noted] = []
        self._strained = 0
        self._begun = 0
        self._supervising = carrier.Lock()
        self._struck: set[str] = set()
        self._noted = BINDER.bind(Noted)
        self.pool = pool = BINDER.bind(Pool)(
            BINDER,
            queue_jobs_max=plan.options.get("q", float("inf")),
            initializer=self._initialize if "i" in plan.options else None,
            facade=carrier,
            stand_ins_max=plan.options.get("s", 0),
            late_seconds_max=LATE_SECONDS if plan.is_supervised else float("inf"),
            job_seconds_max=JOB_SECONDS if plan.is_supervised else 0,
        )
        assert isinstance(pool.lock, CarriedLock)
        # A worker that is torn out in the middle of a joint step leaves half of it behind, until it
        # is buried.
        self.watch = Watch(carrier, pool.lock, watched=not plan.has("k"))
        BINDER.hook_now = self._note if plan.is_supervised else self.watch
        carrier.idle = self._check_sleepers
        pool_module.__dict__["_thread"] = self
        carrier.threads_left = plan.options.get("t", 1_000_000)
        self._start()
        if "z" in plan.options:
            carrier.settle()
        carrier.threads_left += 100
        self._actors = [
            carrier.spawn(f"actor_{number}", functools.partial(self._act, script))
            for number, script in enumerate(plan.scripts)
        ]
        if plan.is_supervised or not plan.has("d"):
            # It has no turn before, so that it makes for no schedules of its own.
            carrier.spawn("end", self._end).gate = AllEnded(self._actors)
        carrier.threads_left -= 100 - len(plan.scripts) - 1

    def _start(self) -> None:
        try:
            self.pool.start(self.plan.workers)
        except RuntimeError:
            assert "t" in self.plan.options

    def start_new_thread(self, target: Callable[[], object], _: tuple[()]) -> None:
        """In place of `_thread`'s: see `Pool.let_go`."""
        self.carrier.spawn("letting go", target)

    def _note(self, model: Model, arrow: Arrow) -> None:
        if arrow.event == "taken" and isinstance(model, Noted):
            model.began_at = self.carrier.now
        self.watch(model, arrow)

    def _initialize(self) -> None:
        self.carrier.point()
        self._begun += 1
        if self._begun == self.plan.options["i"]:
            raise ValueError("as initializers do")

    # --- the tasks --------------------------------------------------------------------------

    def _act(self, script: str) -> None:
        mine: list[Noted] = []
        for letter in script:
            if letter in "orhHl":
                mine.append(self._offer(letter))
            elif letter == "w":
                if mine:
                    self.pool.withdraw(mine[-1])
            elif letter == "j":
                if any(job.kind == "l" for job in mine):
                    self.rouse()
                for job in mine:
                    self.carrier.point(job)
            else:
                ACTS[letter](self)

    def _offer(self, letter: str) -> Noted:
        job = self._noted(self.carrier, letter)
        self.jobs.append(job)
        job.offered = self.pool.offer(job, lazily=letter == "l")
        # Each bound holds at any moment, so that it need not be looked at under the lock.
        assert len(self.pool.queue) <= self.pool.queue_jobs_max, "more is queued than may be"
        return job

    def rouse(self) -> None:
        while self.pool.strained:
            self.pool.rouse(self.carrier.now, idle=True)
            self.carrier.sleep(ROUSE_SECONDS)

    def supervise(self, after: float) -> None:
        with self._supervising:  # by one at a time
            self.carrier.advance(after)
            census = self.pool.supervise(self.carrier.now)
        assert census.stand_ins <= self.plan.options["s"], f"too many stand in: {census}"
        assert census.standing <= census.places, f"more stand than there are places: {census}"

    def stop(self) -> None:
        self.pool.drain()
        self.pool.join()
        stuck = {worker.name for worker in self.pool.crew.quarantined}
        workers = [one for one in self.carrier.tasks if one.name.startswith("worker")]
        left = [one.name for one in workers if not one.has_ended and one.name not in stuck]
        assert not left, f"the pool was joined, and threads of it run: {left}"

    def kill(self) -> None:
        assert isinstance(self.pool.lock, CarriedLock)
        self.carrier.point(self.pool.lock)
        # One that has begun: nobody would ever hear of a thread that dies before its first line.
        begun = {one.name for one in self.pool.workers if one.ident is not None}
        for task in self.carrier.tasks:
            if task.name in begun - self._struck and not task.has_ended:
                self._struck.add(task.name)
                task.strike(Torn())
                return

    def _end(self) -> None:
        self.carrier.threads_left = 1_000_000
        if self.plan.has("l"):
            self.rouse()
        self.pool.drain()
        if self.plan.is_supervised:
            for _ in range(4 * (len(self.jobs) + 3)):
                if self.pool.state is PoolState.STOPPED:
                    break
                self.supervise(0.0)
                self.carrier.sleep(JOB_SECONDS)
        self.pool.join()

    # --- the judge --------------------------------------------------------------------------

    def _check_sleepers(self) -> None:
        """Nobody can go on: is a job queued while a worker sleeps that could take it?"""
        pool = self.pool
        self._strained = self._strained + 1 if pool.queue and pool.sleepers else 0
        if self._strained > (STRAINED_MAX if self.plan.has("lR") else 0):
            self.watch.break_off("a job is queued while a worker sleeps, and nobody wakes it")

    def judge(self) -> None:
        pool = self.pool
        fault = self.watch.fault()
        assert fault is None, fault
        assert pool.state is PoolState.STOPPED, f"the pool is {pool.state.name}"
        assert not pool.workers, f"workers are left: {pool.workers}"
        assert not pool.crew.quarantined, "somebody is left in quarantine"
        assert not pool.queue, "jobs are left in the queue"
        census = pool.crew.census()
        assert census.stand_ins == 0, f"stand-ins are left: {census}"
        if not self.plan.has("k") and "t" not in self.plan.options:
            for _, arrow in self.watch.steps:
                assert arrow.event != "died", f"a worker died that nobody killed: {arrow}"
        for job in self.jobs:
            audit(job, kills=self.plan.has("k"))


ACTS: dict[str, Callable[[PoolScene], object]] = {
    "R": PoolScene.rouse,
    "W": lambda scene: scene.pool.withdraw_all(),
    "d": lambda scene: scene.pool.drain(),
    "J": lambda scene: scene.stop(),
    "x": lambda scene: scene.pool.let_go(),
    "c": lambda scene: scene.supervise(0.0),
    "s": lambda scene: scene.supervise(LATE_SECONDS),
    "S": lambda scene: scene.supervise(JOB_SECONDS),
    "k": PoolScene.kill,
    "p": lambda scene: scene.carrier.point(),
}


def audit(job: Noted, *, kills: bool) -> None:
    """The job ran once, or was dropped by name, or was refused; and was told which."""
    state = job.state
    assert state in ENDED, f"a job was lost in {state.name}"
    assert job.offered is (state is not JobState.REFUSED), (
        f"{state.name}, and offered: {job.offered}"
    )
    expected = 1 if state in RAN else 0
    # A worker that is torn out between the step and the call has begun a job and not run it.
    assert job.runs == expected or (kills and job.runs == 0), f"{state.name}, ran {job.runs} times"
    assert not job.overlapped, "a job ran twice at once"
    drops = 1 if state in DROPPED else 0
    assert len(job.drops) == drops, f"{state.name}, and it was told {len(job.drops)} times"
    if state is JobState.REVOKED:
        assert isinstance(job.drops[0], TimeoutError)
        seconds = job.ended_at - job.began_at
        assert seconds >= JOB_SECONDS, f"a job was revoked when it had run for {seconds:g} seconds"
    assert not job.trespassed, "a job was revoked while its lease was held"


class PoolScenes:
    """The kind."""

    kind = "pool"
    samples = (
        "1 oj",
        "2 oj oj d",
        "2 oo d",
        "1 ojo w",
        "2 hoj oj",
        "2 oow oj W d",
        "1 rj oj",
        "2q1 oo oo d",
        "2 ll R d",
    )

    def open(self, carrier: Carrier, text: str) -> PoolScene:
        return PoolScene(carrier, text)

    def draw(self, dice: Callable[[int], int]) -> str:
        options = "".join(one for one in ("q1", "i1", "t2", "s1", "z1") if dice(6) == 1)
        options = options.replace("s1", f"s{dice(3)}")
        letters = ACTING + (SUPERVISING if "s" in options else "")
        scripts = [
            "".join(letters[dice(len(letters))] for _ in range(1 + dice(4)))
            for _ in range(1 + dice(3))
        ]
        return " ".join([f"{1 + dice(3)}{options}", *scripts])


SCENE = PoolScenes()
LOG = logging.getLogger("interlock")
