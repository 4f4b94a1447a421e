"""The waiting room: PARKED connections are read and parsed here until a request is complete.

Also here, for it is the other end of the same hand-over: what becomes of a QUEUED connection that
no worker takes. Threads: the reactor's alone.
"""

from __future__ import annotations

from collections.abc import Callable

from server.errors import ProtocolError
from server.http1.events import END_OF_REQUEST, NEED_DATA, ContentPiece
from server.http1.messages import RequestHead
from server.net.connection import Connection
from server.net.deadlines import Deadlines
from server.net.meter import NEVER
from server.net.poller import READ, WRITE
from server.net.rooms import Rooms
from server.net.sending import Sending
from server.net.worker import Worker
from statemachine._generated import (
    JobState,
    RequestState,
    ServerState,
)

AWAITED, CONTENT = RequestState.AWAITED, RequestState.CONTENT
REFUSED = JobState.REFUSED

NEVER_RUN = frozenset({JobState.WITHDRAWN, JobState.RAISED, JobState.ABANDONED})
"""States of the job of a connection that is QUEUED, in which no worker will take it any more.

A worker that is torn out between its job's `taken` and the connection's leaves one that has ended.
"""

ANSWERING = frozenset({ServerState.SERVING, ServerState.LAME_DUCK, ServerState.DRAINING})
"""States of the server in which a request that cannot be served is told so."""

RETRY_AFTER = (("Retry-After", "1"),)
"""Seconds after which a shed request may do better: the queue moves within one."""


class Reading:
    """Steps of PARKED and QUEUED. `bury` is the reactor's: it closes what is CLOSED."""

    def __init__(
        self,
        rooms: Rooms,
        *,
        deadlines: Deadlines,
        sending: Sending,
        bury: Callable[[Connection], None],
    ) -> None:
        self._receive_bytes_max = rooms.config.receive_bytes_max
        self._receive_turn_bytes_max = rooms.config.receive_turn_bytes_max
        self._send_turn_bytes_max = rooms.config.send_turn_bytes_max
        self._poller = rooms.poller
        self._pool = rooms.pool
        self._make_exchange = rooms.makers.exchange
        self._responder = rooms.responder
        self._lifecycle = rooms.lifecycle
        self._deadlines = deadlines
        self._sending = sending
        self._bury = bury

    # --- PARKED: reading --------------------------------------------------------------------

    def read_later(self, connection: Connection) -> None:
        """The descriptor is readable, and what becomes a request is queued."""
        self.read(connection, at_once=False)

    def read(self, connection: Connection, *, at_once: bool = True) -> bool:
        """The descriptor is readable; a request that has come whole is answered before this
        returns, where a worker has the baton and is quick. False: it has it no longer.
        """
        if connection.reader.state is CONTENT and self._read_content(connection):
            return True
        try:
            if connection.outgoing:
                connection.send(self._send_turn_bytes_max)
            data = connection.transport.receive(self._receive_bytes_max)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return True
        reader = connection.reader
        if data:
            whole = reader.take_whole(data)
            if whole is not None:
                return self._take(connection, whole, at_once=at_once)
        elif data is None:
            self._arm(connection)
            return True
        elif self._is_handed_back(connection):
            # The end is told again. Once it has been read, nothing more can be.
            self._poller.mute(connection.transport.descriptor)
            return True
        reader.receive(data)
        self.read_on(connection)
        return True

    def _take(
        self, connection: Connection, whole: tuple[RequestHead, bytes], *, at_once: bool
    ) -> bool:
        """Take a request that has come at once."""
        # As in `begin_request`, written out, for this is done for each request.
        connection.began = self._deadlines.now
        connection.taken_at = connection.answered_at = NEVER
        connection.answer = connection.job = None
        connection.head, content = whole
        if content:
            try:
                connection.content.add(content)
                if connection.content.basin is not None:
                    connection.content.settle()
            except ProtocolError as error:
                self._refuse(connection, error)
                return True
        return self._submit(connection, self._pool.baton.runner if at_once else None)

    def _is_handed_back(self, connection: Connection) -> bool:
        """Whether a worker has parked it, and is about to hand back what came behind its request.

        Of what is not a request's beginning, the reader leaves one byte at most.
        """
        reader = connection.reader
        return reader.state is AWAITED and reader.buffered > 1

    def read_on(self, connection: Connection) -> None:
        """Parse what has been received, until it is a request or no more of it is there."""
        reader = connection.reader
        before = reader.state
        if before is AWAITED:
            connection.begin_request(self._deadlines.now)
        try:
            while True:
                event = reader.next_event()
                if event is NEED_DATA:
                    self._await_readable(connection, before)
                    return
                if event is END_OF_REQUEST:
                    if connection.content.basin is not None:
                        connection.content.settle()
                    self._submit(connection)
                    return
                if isinstance(event, RequestHead):
                    connection.head = event
                    self._welcome_content(connection, event)
                elif isinstance(event, ContentPiece):
                    connection.content.add(event.data)
                    connection.progress += len(event.data)
                else:  # PeerEnded: there are no others
                    connection.peer_ended()
                    self._bury(connection)
                    return
        except ProtocolError as error:
            self._refuse(connection, error)
        except OSError:
            connection.peer_failed()
            self._bury(connection)

    def _read_content(self, connection: Connection) -> bool:
        """Receive large content to where it gathers. False: it is to be read like all else."""
        reader, content = connection.reader, connection.content
        awaited = reader.awaited_bytes
        try:
            space = content.space(awaited)
            if space is None:
                return False
            if connection.outgoing:
                connection.send(self._send_turn_bytes_max)
            size_max = min(awaited, self._receive_turn_bytes_max)
            size = connection.transport.receive_into(space[:size_max])
            if size:
                content.filled(size)
                connection.progress += size
                reader.pass_by(size)
        except ProtocolError as error:
            self._refuse(connection, error)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
        else:
            if size == 0:
                reader.receive(b"")
            if size in (0, awaited):
                self.read_on(connection)
            else:
                self._await_readable(connection, CONTENT)
        return True

    def _await_readable(self, connection: Connection, before: RequestState) -> None:
        state = connection.reader.state
        if state is not before:
            # A deadline is for the whole phase: it moves when the phase does, never with a byte.
            self._deadlines.begin(connection, state)
        else:
            self._deadlines.watch(connection)
        self._arm(connection)

    def _arm(self, connection: Connection) -> None:
        # An interim response that did not fit is sent as soon as it does. Content is not kept
        # waiting for that: the client may have sent it without reading first.
        if connection.outgoing:
            self._poller.arm(connection.transport.descriptor, READ | WRITE)
        else:
            self._poller.attend(connection.transport.descriptor)

    def _welcome_content(self, connection: Connection, head: RequestHead) -> None:
        """100 (Continue), unless some of the content has come without it (RFC 9110 10.1.1)."""
        if head.expects_continue and not connection.reader.has_leftover:
            connection.outgoing.append(self._responder.interim(connection))
            connection.send(self._send_turn_bytes_max)

    def _submit(self, connection: Connection, runner: Worker | None = None) -> bool:
        """Make a job of the request, for the `runner` at once, or for the queue. False: the runner
        has lost the baton over it.
        """
        self._deadlines.begin_queueing(connection)
        connection.job = job = self._make_exchange(connection)
        connection.request_received()
        # From here on a worker may own the connection, unless the pool refuses the job.
        if runner is None:
            self._pool.offer(job, lazily=True)
            keeps = True
        else:
            keeps = runner.run_at_once(job)
        if job.state is REFUSED:
            self._shed(connection)
        return keeps

    def _refuse(self, connection: Connection, error: ProtocolError) -> None:
        connection.request_refused()
        connection.head = connection.reader.head_so_far()
        self._responder.frame_error(connection, error.status, str(error))
        self._sending.begin(connection)

    # --- QUEUED: no worker came -------------------------------------------------------------

    def withdraw(self, connection: Connection) -> None:
        """The request waited too long. Whoever wins the job owns the connection."""
        assert connection.job is not None
        if not self._pool.withdraw(connection.job):
            self.shed_withdrawn(connection)

    def shed_withdrawn(self, connection: Connection) -> None:
        """The job came back without having run: too late, or the pool broke, or a worker died."""
        # Only the job's own state says that no worker has it: a stale call finds another job there.
        assert connection.job is not None
        if connection.job.state in NEVER_RUN:
            self._shed(connection)

    def _shed(self, connection: Connection) -> None:
        """Answer that nobody has time: the job was refused or withdrawn, so we own it again."""
        if self._lifecycle.state not in ANSWERING:
            connection.cut()
            self._bury(connection)
            return
        connection.shed()
        connection.content.drop()
        assert connection.head is not None
        self._responder.frame_error(
            connection,
            503,
            "All workers are busy. Please try again soon.",
            fields=RETRY_AFTER,
            persists=True,
        )
        self._sending.begin(connection)

    # --- EXCHANGING: the lease was revoked --------------------------------------------------

    def revoke(self, connection: Connection) -> None:
        """The job was taken from its worker, which is stuck: the connection is ours to settle."""
        job = connection.job
        if job is None or job.state is not JobState.REVOKED:
            return  # its worker has it
        began = connection.answer_began()
        connection.revoked()
        if began:
            self._bury(connection)
            return
        self._responder.frame_error(connection, 500, "The server took too long to answer.")
        self._sending.begin(connection)

    # --- PARKED: room for newcomers ---------------------------------------------------------

    def make_room(self, connection: Connection) -> None:
        """Close an idle connection, unless its next request is here already: in the kernel, or read
        with the one before and not handed back yet.
        """
        try:
            data = connection.transport.receive(self._receive_bytes_max)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return
        if data or (data is not None and not self._is_handed_back(connection)):
            connection.reader.receive(data)
            self.read_on(connection)
        elif connection.reader.has_leftover:
            self.read_on(connection)
        else:
            connection.room_needed()
            self._bury(connection)

    # --- PARKED: the deadline -------------------------------------------------------------------

    def lose_patience(self, connection: Connection) -> None:
        """408 for a request that does not come to its end; silence for one that never began."""
        if connection.request_began():
            connection.deadline_passed()
            connection.head = connection.reader.head_so_far()
            self._responder.frame_error(connection, 408, "The request took too long to come.")
            self._sending.begin(connection)
        elif connection.reader.has_leftover:
            # Its next request came behind the one before. Whoever has answered that one is about to
            # hand it back, and may have been about to for as long as an idle one may live.
            self.read_on(connection)
        else:
            connection.deadline_passed()
            self._bury(connection)
