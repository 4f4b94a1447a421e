"""The exchange: a request at a worker.

An `Exchange` is the job that a complete request becomes. It makes the connection the worker's own,
calls the handler, and leaves the answer to the `desk`.

EXCHANGING is a lease. A handler may be stuck for longer than anybody should wait: then its job is
revoked, and the reactor answers in the worker's place. So the exchange has a lock, which its worker
holds while it touches the connection, and lends while code of the handler's runs. Only who holds
the lock may revoke the job; the worker looks at its job when it has the lock again, and leaves the
connection alone if it is not the worker's any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from server.http1.messages import Response
from server.http1.trace_context import trace_context
from server.net.connection import Connection
from server.net.desk import Desk
from server.net.pipe import Pipe
from server.net.pool import Job
from server.net.responder import discard
from server.net.streaming import Revoked
from statemachine._generated import ConnectionState, JobMachine, JobState

LOG = logging.getLogger("interlock.exchange")

T = TypeVar("T")

REVOKED = JobState.REVOKED

GONE_SECONDS = 0.01
"""Whoever has waited for longer than this in the queue is looked at first, for it may have left.
In a queue that moves, nobody pays for that look."""


class Exchange(Job):
    """One complete request, as a job. Made when the request is.

    `lease` is free while code of the handler's runs, and when the connection has come to RELAYING:
    otherwise its worker has it, or the worker to come. `pipe` is where the worker has put what its
    peer does not take, as soon as there is one.
    """

    __slots__ = ("_head", "_number", "connection", "desk", "pipe")

    def __init__(self, desk: Desk, connection: Connection) -> None:
        # Held before there is a worker, so that there is no moment at which one has begun and not
        # got it yet. It is never released after the hand-over: then there is nothing to revoke.
        lease = desk.make_lease()
        lease.acquire()
        JobMachine.__init__(self)  # as in Job, a call less for each request
        self.lease = lease
        self.connection = connection
        self.desk = desk
        self.pipe: Pipe | None = None
        self._head = connection.head
        self._number = connection.requests + 1
        if desk.link is not None and desk.name is not None:
            if connection.requests == 0:
                desk.name(connection, connection.serial)
            desk.link((self.birth, connection.birth))

    @property
    def line(self) -> str:
        """Method and path of the request, without the query, which may hold what is secret."""
        head = self._head
        return f"{head.method} {head.path}" if head else ""

    def __str__(self) -> str:
        name, head = f"{self.connection.serial}-{self._number}", self._head
        if head is None:
            return f"request {name}"
        context = trace_context(head.fields)
        trace = f" (trace {context.trace_id})" if context else ""
        return f"request {name}: {head.method} {head.target}{trace}"

    def lend(self, call: Callable[[], T]) -> T:
        """Run code of the handler's, without the lease. Raises what it raises; or Revoked, for then
        that is nobody's business any more.
        """
        if self.pipe is None:
            self.lease.release()
        try:
            return call()
        finally:
            if self.pipe is None:
                self.lease.acquire()
            if self.state is REVOKED:
                raise Revoked

    def tell_reactor(self) -> None:
        """Let the reactor look at the connection again."""
        self.desk.hand_back(self.connection)

    def run(self) -> None:
        """Answer the request, and hand the connection back. Most of a request's time at a worker
        is spent in these lines: a call less is a hundredth of it.
        """
        connection, desk = self.connection, self.desk
        request = None
        try:
            connection.taken()
            connection.queued_at = queued_at = connection.deadline - desk.queue_seconds
            connection.taken_at = now = desk.now()
            if now - queued_at >= GONE_SECONDS and desk.has_left(connection):
                return
            request = connection.take_request()
            handler = desk.handler
            if desk.reserved_from <= request.head.path < desk.reserved_to:
                handler = desk.reserved_handler
            lease = self.lease
            lease.release()
            try:  # as in `lend`
                response = handler(request)
            except BaseException:  # SystemExit and the like end the exchange, never the worker
                LOG.exception("%s: the handler raised", self)
                response = Response(500)
            finally:
                lease.acquire()
            if self.state is REVOKED:
                self._discard(response)
                return
            connection.answered_at = desk.now()
            if type(response) is Response and type(response.content) is bytes:
                desk.send_message(self, response)
            else:
                desk.send_more(self, response)
        except Revoked:
            self._discard(None)
        except BaseException:
            self._give_up()
            raise
        finally:
            if request is not None and not isinstance(request.content, bytes):
                request.content.close()

    def _discard(self, response: Response | None) -> None:
        """Nobody waits for the answer any more."""
        if isinstance(response, Response):
            discard(response)
        LOG.warning("%s: its handler has ended, long after its job was revoked", self)

    def dropped(self, error: BaseException | None) -> None:  # noqa: ARG002 - all errors are one
        """Withdrawn, revoked, or abandoned by a worker that died: nobody will answer."""
        self._give_up()

    def _give_up(self) -> None:
        """The connection must not stay with a job that has ended, nor with its worker."""
        connection = self.connection
        if self.pipe is not None:
            self.pipe.fail()
        # A mistake may have come after the hand-over, when the next request of the connection is
        # with another worker already: then its job is another, and nothing here is ours. The state
        # is read first: what is EXCHANGING now and has this job is not another worker's.
        exchanging = connection.state is ConnectionState.EXCHANGING
        if connection.job is not self:
            return
        # Of a job that was revoked, the reactor is the heir. Its worker may wake any time.
        if exchanging and self.state is not REVOKED:
            connection.response_broken()
        # What is still QUEUED is shed by the reactor.
        self.desk.hand_back(connection)
