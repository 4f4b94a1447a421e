"""Bugs of the hand-over between reactor and workers, and of the drain, seeded one at a time."""

from __future__ import annotations

from tests.interleavings.bugs import Bug
from tests.interleavings.world import Patch

EXCHANGE, DESK = "server/net/exchange.py", "server/net/desk.py"
REACTOR, WORKER = "server/net/reactor.py", "server/net/worker.py"
BATON, POOL = "server/net/baton.py", "server/net/pool.py"
READING, SENDING = "server/net/reading.py", "server/net/sending.py"

BUGS = (
    Bug(
        "armed-before-hand-over",
        "A worker arms the descriptor before the state gives the connection back.",
        ("reactor: 1 gwgw",),
        Patch(
            DESK,
            "        connection.response_sent()\n        if pipelined:\n",
            "        self._poller.attend(descriptor)\n        connection.response_sent()\n"
            "        if pipelined:\n",
        ),
        Patch(
            DESK,
            "        else:\n            self._poller.attend(descriptor)\n",
            "",
        ),
    ),
    Bug(
        "deadline-after-the-arrow",
        "A worker writes the next deadline when the connection is the reactor's already.",
        ("reactor: 1 hw / ht",),
        Patch(
            DESK,
            "        connection.deadline = now + self._idle_seconds\n",
            "",
        ),
        Patch(
            DESK,
            "        connection.response_sent()\n        if pipelined:\n",
            "        connection.response_sent()\n"
            "        connection.deadline = now + self._idle_seconds\n        if pipelined:\n",
        ),
    ),
    Bug(
        "told-before-the-arrow",
        "A worker calls the reactor first, and then moves the connection.",
        ("reactor: 1 cw",),
        Patch(
            DESK,
            "        event()\n        self._returns.hand_back(connection)\n",
            "        self._returns.hand_back(connection)\n        event()\n",
        ),
        Patch(
            DESK,
            "            connection.response_sent()\n"
            "            self._returns.hand_back(connection)\n",
            "            self._returns.hand_back(connection)\n"
            "            connection.response_sent()\n",
        ),
    ),
    Bug(
        "blocked-and-untold",
        "A worker whose peer reads slowly calls the reactor before it lets go of the connection.",
        ("reactor: 1 bmw",),
        Patch(
            DESK,
            "        event()\n        self._returns.hand_back(connection)\n",
            "        self._returns.hand_back(connection)\n        event()\n",
        ),
    ),
    Bug(
        "no-sweep",
        "A connection that is parked while the drain begins is not swept.",
        ("reactor: 1 gw / d",),
        Patch(
            DESK,
            "            self._returns.sweep()\n",
            "            pass\n",
        ),
    ),
    Bug(
        "woken-before-queued",
        "The selector is woken before there is something to find.",
        ("reactor: 1 pw",),
        Patch(
            REACTOR,
            "        self._returned.append(connection)\n        self._poller.wake()\n",
            "        self._poller.wake()\n        self._returned.append(connection)\n",
        ),
    ),
    Bug(
        "emptied-all-at-once",
        "The list of those who were handed back is read, and then cleared.",
        ("reactor: 2 pw pw", "reactor: 2 pw cwe"),
        Patch(
            REACTOR,
            "        for _ in range(len(self._returned)):\n"
            "            self._take(self._steps.on_return, self._returned.popleft())\n",
            "        for one in list(self._returned):\n"
            "            self._take(self._steps.on_return, one)\n"
            "        self._returned.clear()\n",
        ),
    ),
    Bug(
        "closed-twice",
        "A connection that is closed is buried by whoever comes by.",
        ("reactor: 1 gx / k", "reactor: 1 gwx / dk", "reactor: 2 g gx / dk"),
        Patch(
            REACTOR,
            "        if self.connections.get(descriptor) is not connection:\n            return\n",
            "",
        ),
        Patch(
            REACTOR,
            "        del self.connections[descriptor]\n",
            "        self.connections.pop(descriptor, None)\n",
        ),
    ),
    Bug(
        "cut-from-under-a-worker",
        "A forced stop closes connections that workers have.",
        ("reactor: 1 g / dk",),
        Patch(
            REACTOR,
            "            return connection.job.state not in (JobState.QUEUED, JobState.RUNNING)\n",
            "            return True\n",
        ),
    ),
    Bug(
        "shed-without-a-look",
        "A request that waited too long is shed although a worker was faster.",
        ("reactor: 1 g / T",),
        Patch(
            READING,
            "        if not self._pool.withdraw(connection.job):\n"
            "            self.shed_withdrawn(connection)\n",
            "        self._pool.withdraw(connection.job)\n        self._shed(connection)\n",
        ),
    ),
    Bug(
        "revoked-and-unaware",
        "A worker that wakes does not look whether its job is still its own.",
        ("reactor: 1 h / sS", "reactor: 1 h / ssS"),
        Patch(
            EXCHANGE,
            "            if self.state is REVOKED:\n                self._discard",
            "            if False:\n                self._discard",
        ),
    ),
    Bug(
        "anothers-exchange",
        "A job that gives up does not look whether the connection has gone on with another.",
        ("reactor: 1 h / ssS", "reactor: 1 hwgw / ssS"),
        Patch(
            EXCHANGE,
            "        if exchanging and self.state is not REVOKED:\n",
            "        if exchanging:\n",
        ),
    ),
    Bug(
        "submitted-after-the-offer",
        "The connection comes to QUEUED when the pool has its job already.",
        ("reactor: 1 gw",),
        Patch(
            READING,
            "        connection.request_received()\n        # From here",
            "        # From here",
        ),
        Patch(
            READING,
            "            self._pool.offer(job, lazily=True)\n",
            "            self._pool.offer(job)\n            connection.request_received()\n",
        ),
    ),
    Bug(
        "leftover-forgotten",
        "A request that came with the last one waits for more bytes.",
        ("reactor: 1 pw",),
        Patch(
            DESK,
            "        pipelined = connection.reader.renew()\n",
            "        pipelined = connection.reader.renew() and False\n",
        ),
    ),
    Bug(
        "muted-without-a-second-look",
        "Who is told of a connection that a worker holds mutes it, and does not look again.",
        ("reactor: 1 gwggw",),
        Patch(
            REACTOR,
            "        self._poller.mute(connection.transport.descriptor)\n"
            "        self._take(self._steps.on_ready, connection)\n",
            "        self._poller.mute(connection.transport.descriptor)\n",
        ),
    ),
    Bug(
        "looked-at-and-then-muted",
        "The state is looked at before its descriptor is muted, and not afterwards.",
        ("reactor: 1 gwggw",),
        Patch(
            REACTOR,
            "        self._poller.mute(connection.transport.descriptor)\n"
            "        self._take(self._steps.on_ready, connection)\n",
            "        self._take(self._steps.on_ready, connection)\n"
            "        self._poller.mute(connection.transport.descriptor)\n",
        ),
    ),
    Bug(
        "reclaimed-while-it-polls",
        "The baton is taken back from a holder that waits for the world: two threads poll.",
        ("reactor: 1b gw",),
        Patch(
            BATON,
            "        elif holder.state is not IDLE:\n",
            "        elif True:\n",
        ),
    ),
    Bug(
        "goes-on-without-the-baton",
        "A worker that has lost the baton over a job goes on with the turn that it was read in.",
        ("reactor: 2B gw gh gw / uuuh",),
        Patch(
            WORKER,
            "        return pool.baton.holder is self\n",
            "        return True\n",
        ),
    ),
    Bug(
        "dismissed-with-the-baton",
        "A worker that leaves the pool takes the baton with it.",
        ("reactor: 1b gw",),
        Patch(
            POOL,
            "        self.baton.give_back_locked(worker)\n        self.workers.pop(worker, None)\n",
            "        self.workers.pop(worker, None)\n",
        ),
        Patch(
            BATON,
            "        if self.state is RECALLED:\n            self.give_back_locked(worker)\n"
            "            return False\n        return True\n",
            "        return True\n",
        ),
    ),
    Bug(
        "deadline-looked-at-late",
        "The reactor reads the deadline before the state that it belongs to.",
        ("reactor: 1 g / T",),
        Patch(
            REACTOR,
            "        state = connection.state\n        step = self._steps.on_deadline.get(state)\n"
            "        if step is not None and self._deadlines.has_passed(connection, state):\n",
            "        passed = self._deadlines.has_passed(connection, connection.state)\n"
            "        state = connection.state\n        step = self._steps.on_deadline.get(state)\n"
            "        if step is not None and passed:\n",
        ),
        points=("server.net.reactor",),
    ),
)
