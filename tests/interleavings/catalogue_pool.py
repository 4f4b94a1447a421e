"""Bugs of the pool, seeded one at a time: each is a way in which such code goes wrong."""

from __future__ import annotations

from tests.interleavings.bugs import Bug
from tests.interleavings.world import Patch

POOL, WORKER = "server/net/pool.py", "server/net/worker.py"
CREW, SLEEPERS = "server/net/crew.py", "server/net/sleepers.py"

BUGS = (
    Bug(
        "wake-peeked",
        "Whether somebody sleeps is looked at before the lock is taken: a lost wake-up.",
        ("pool: 1 oj",),
        Patch(
            POOL,
            "        job.pool = self\n        with self.lock:\n",
            "        job.pool = self\n        asleep = bool(self.sleepers)\n"
            "        with self.lock:\n",
        ),
        Patch(POOL, "            if not lazily:\n", "            if asleep and not lazily:\n"),
    ),
    Bug(
        "wake-when-empty",
        "Somebody is woken only for the first of a queue: a worker that hangs strands the rest.",
        ("pool: 2z1 ohoj",),
        Patch(
            POOL,
            "            if not lazily:\n",
            "            if not lazily and len(self.queue) == 1:\n",
        ),
    ),
    Bug(
        "if-for-while",
        "Who was woken takes a job without looking whether there is one.",
        ("pool: 1 o d",),
        Patch(
            WORKER,
            "            self.wake.acquire()\n\n",
            "            self.wake.acquire()\n            with pool.lock:\n"
            "                return self._take_locked()\n\n",
        ),
    ),
    Bug(
        "double-claim",
        "A job is taken without the lock by whoever finds the queue not empty.",
        ("pool: 2 oo",),
        Patch(
            WORKER,
            "        while True:\n            with pool.lock:\n",
            "        while True:\n            if pool.queue and self.state is IDLE:\n"
            "                return self._take_locked()\n            with pool.lock:\n",
        ),
        points=True,
    ),
    Bug(
        "dropped-at-stop",
        "A drain forgets what is queued.",
        ("pool: 1 oo d",),
        Patch(
            POOL,
            "        if self.state in (PoolState.SERVING, PoolState.BROKEN):\n",
            "        if self.state in (PoolState.SERVING, PoolState.BROKEN):\n"
            "            self.queue.clear()\n",
        ),
    ),
    Bug(
        "dismissed-too-early",
        "At a drain, a worker leaves before it has looked into the queue.",
        ("pool: 1 o d",),
        Patch(
            WORKER,
            "                if pool.queue:\n                    if leads:\n",
            "                if pool.queue and pool.state is SERVING:\n"
            "                    if leads:\n",
        ),
    ),
    Bug(
        "notify-one-at-stop",
        "A drain wakes one sleeper, not all.",
        ("pool: 2z1 d",),
        Patch(
            SLEEPERS,
            "        self.clear()\n        for worker in workers:\n",
            "        for worker in [self.pop()] if self else []:\n",
        ),
    ),
    Bug(
        "drain-wakes-nobody",
        "A drain wakes no sleeper.",
        ("pool: 1 o d",),
        Patch(
            POOL,
            "        self.sleepers.wake_all(self.workers)\n        self.baton.recall_locked()\n"
            "        return self._end_if_deserted",
            "        return self._end_if_deserted",
        ),
    ),
    Bug(
        "asleep-unlocked",
        "A worker lies down when it has let go of the lock: whoever wakes it before wakes nobody.",
        ("pool: 1 oj",),
        Patch(
            WORKER,
            "                if not leads:\n                    pool.sleepers.lie_down(self)\n",
            "            if not leads:\n                pool.sleepers.lie_down(self)\n",
        ),
    ),
    Bug(
        "asleep-unseeing",
        "A worker lies down without a look into the queue.",
        ("pool: 1 oj",),
        Patch(
            WORKER,
            "                if pool.queue:\n                    if leads:\n",
            "                if pool.queue and pool.state is not SERVING:\n"
            "                    if leads:\n",
        ),
    ),
    Bug(
        "woken-twice",
        "Who is woken stays on the list of sleepers, and is woken again.",
        ("pool: 1z1 o o",),
        Patch(SLEEPERS, "self.pop().wake.release()", "self[-1].wake.release()"),
    ),
    Bug(
        "withdrawn-unlocked",
        "A job is withdrawn without the lock.",
        ("pool: 1 ow", "pool: 1 ow o"),
        Patch(
            POOL,
            "        with self.lock:\n            if job.state is not JobState.QUEUED:\n",
            "        with contextlib.nullcontext():\n"
            "            if job.state is not JobState.QUEUED:\n",
        ),
        points=True,
    ),
    Bug(
        "withdrawn-after-a-look",
        "Whether a job is queued is looked at before the lock is taken.",
        ("pool: 1 ow",),
        Patch(
            POOL,
            "        with self.lock:\n            if job.state is not JobState.QUEUED:\n"
            "                return False\n",
            "        if job.state is not JobState.QUEUED:\n            return False\n"
            "        with self.lock:\n",
        ),
    ),
    Bug(
        "withdrawn-untold",
        "Who is withdrawn with all others is not told.",
        ("pool: 1 oo W",),
        Patch(
            POOL,
            "        tell_dropped(jobs, None)\n        return len(jobs)",
            "        return len(jobs)",
        ),
    ),
    Bug(
        "queue-off-by-one",
        "The queue takes a job more than it may.",
        ("pool: 1q1 oo",),
        Patch(WORKER, "len(pool.queue) < pool.queue", "len(pool.queue) <= pool.queue"),
    ),
    Bug(
        "broken-with-jobs",
        "A pool that breaks keeps its queue.",
        ("pool: 1i1 o",),
        Patch(
            POOL,
            "        jobs = self._empty_queue_locked()\n        self.broke()",
            "        jobs: list[Job] = []\n        self.broke()",
        ),
    ),
    Bug(
        "wake-up-dies",
        "The wake-up that a dead worker was sent is handed on to nobody.",
        ("pool: 2t2 oj k",),
        Patch(
            POOL,
            "                    self.sleepers.wake()\n                    self.baton",
            "                    self.baton",
        ),
    ),
    Bug(
        "dead-among-sleepers",
        "A worker that dies asleep stays on the list, and the next wake-up is for it.",
        ("pool: 2t2 k oj",),
        Patch(
            POOL,
            "            if worker in self.sleepers:\n"
            "                self.sleepers.remove(worker)\n",
            "",
        ),
    ),
    Bug(
        "estate-told-twice",
        "The job of a dead worker is told of its end twice.",
        ("pool: 1 o k",),
        Patch(WORKER, "job, self.estate = self.estate, None", "job = self.estate"),
        Patch(
            POOL,
            "        finally:\n            # It is counted",
            "        finally:\n            worker.tell_estate(error)\n            # It is counted",
        ),
    ),
    Bug(
        "estate-untold",
        "The job of a dead worker is told nothing.",
        ("pool: 1 o k",),
        Patch(POOL, "            worker.tell_estate(error)\n", "            pass\n"),
    ),
    Bug(
        "counted-out-first",
        "A dead worker is counted out before its successor is counted in.",
        ("pool: 1 k o", "pool: 1 ok"),
        Patch(
            POOL,
            "            at_once = self.crew.may_respawn(self.sleepers.taken)\n",
            "            at_once = self.crew.may_respawn(self.sleepers.taken)\n"
            "            self.leave_locked(worker)\n",
        ),
    ),
    Bug(
        "lease-ignored",
        "A job is revoked while its worker holds its lease.",
        ("pool: 1s1 H sS",),
        Patch(
            CREW,
            "        if not job.lease.acquire(blocking=False):\n            return False\n"
            "        try:\n",
            "        job.lease.acquire(blocking=False)\n        try:\n",
        ),
    ),
    Bug(
        "settled-in-quarantine",
        "A worker that wakes in quarantine ends its job, which is not its own any more.",
        ("pool: 1s1 h sS",),
        Patch(WORKER, "            if self.state is not QUARANTINED:\n", "            if True:\n"),
    ),
    Bug(
        "one-stand-in-too-many",
        "There may be a stand-in more than the settings say.",
        ("pool: 1s0 h ss",),
        Patch(
            CREW,
            "threads < now.places + self.stand_ins_max",
            "threads <= now.places + self.stand_ins_max",
        ),
    ),
    Bug(
        "late-keeps-its-place",
        "A late worker goes on although a stand-in has its place.",
        ("pool: 1s1 hjc ss",),
        Patch(
            WORKER,
            "return self.pool.crew.standing() >= self.pool.crew.places",
            "return self.pool.crew.standing() - 1 >= self.pool.crew.places",
        ),
    ),
    Bug(
        "quarantined-not-counted",
        "Who is in quarantine does not count as a thread beyond the places.",
        ("pool: 1s1 hh ssSsss",),
        Patch(
            CREW,
            "threads = now.standing + now.late + now.quarantined",
            "threads = now.standing + now.late",
        ),
    ),
    Bug(
        "seen-once",
        "A sample takes a worker's next job for the one that it saw before.",
        ("pool: 1s1 oooh cS",),
        Patch(
            CREW,
            "            if worker.seen != worker.taken:\n",
            "            if worker.seen == 0:\n",
        ),
    ),
    Bug(
        "revoked-untold",
        "Who loses its job to the supervisor is not told.",
        ("pool: 1s1 h sS",),
        Patch(POOL, "            tell_dropped([one.job], one.error)\n", "            pass\n"),
    ),
    Bug(
        "joined-too-early",
        "A join returns while the last worker's thread still runs.",
        ("pool: 1 J",),
        Patch(POOL, "        for thread in ending:\n            thread.join()\n", ""),
    ),
    Bug(
        "settled-unlocked",
        "A worker that has run its job says so without the lock.",
        ("pool: 2 oo d", "pool: 1s1 o s"),
        Patch(
            WORKER,
            "        pool = self.pool\n        with pool.lock:\n"
            "            if self.state is not QUARANTINED:\n",
            "        import contextlib\n        pool = self.pool\n"
            "        with contextlib.nullcontext():\n"
            "            if self.state is not QUARANTINED:\n",
        ),
        points=True,
    ),
)
