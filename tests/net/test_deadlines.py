"""How long each state may last: from the spec's names to the reactor's sense of time."""

from __future__ import annotations

import pytest

from server.config import Config
from server.http1.chunked import ChunkedReader
from server.http1.reader import RequestReader
from server.net.connection import Connection
from server.net.deadlines import Deadlines, Patience
from server.net.intake import Intake
from server.net.timers import TICK_SECONDS
from server.server import patience, sound_system
from statemachine import Binder
from statemachine._generated import ConnectionState, RequestState, SubscriptionState
from tests.clock import ManualClock
from tests.fakes import Disk, FakeTransport, endless_reservoir

CONFIG = Config()
LATE_SECONDS_MAX = TICK_SECONDS * 1.001


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def deadlines(clock: ManualClock) -> Deadlines:
    return Deadlines(clock, patience(sound_system(), CONFIG))


@pytest.fixture
def connection() -> Connection:
    bind = Binder(sound_system()).bind
    reader = bind(RequestReader)(CONFIG, bind(ChunkedReader))
    return bind(Connection)(FakeTransport(5, Disk()), reader, Intake(1024, endless_reservoir()))


def turn(clock: ManualClock, deadlines: Deadlines, seconds: float) -> list[object]:
    clock.advance(seconds)
    deadlines.tick()
    return list(deadlines.due())


def test_every_waiting_state_has_the_seconds_that_the_spec_names() -> None:
    known = patience(sound_system(), CONFIG)
    assert known == Patience(
        connection={
            ConnectionState.QUEUED: CONFIG.queue_seconds_max,
            ConnectionState.RELAYING: CONFIG.write_seconds_max,
            ConnectionState.FLUSHING: CONFIG.write_seconds_max,
            ConnectionState.REFUSING: CONFIG.write_seconds_max,
            ConnectionState.STREAMING: CONFIG.write_seconds_max,
            ConnectionState.LINGERING: CONFIG.linger_seconds_max,
        },
        request={
            RequestState.AWAITED: CONFIG.idle_seconds_max,
            RequestState.HEAD: CONFIG.head_seconds_max,
            RequestState.CONTENT: CONFIG.body_seconds_max,
        },
        rates={
            ConnectionState.RELAYING: CONFIG.write_bytes_per_second_min,
            ConnectionState.FLUSHING: CONFIG.write_bytes_per_second_min,
            ConnectionState.REFUSING: CONFIG.write_bytes_per_second_min,
            ConnectionState.STREAMING: CONFIG.write_bytes_per_second_min,
            RequestState.CONTENT: CONFIG.body_bytes_per_second_min,
        },
        subscription={
            SubscriptionState.CURRENT: CONFIG.event_heartbeat_seconds,
            SubscriptionState.BEHIND: CONFIG.event_behind_seconds_max,
            SubscriptionState.GAPPED: CONFIG.event_behind_seconds_max,
        },
    )


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (ConnectionState.FLUSHING, CONFIG.write_seconds_max),
        (ConnectionState.LINGERING, CONFIG.linger_seconds_max),
        (RequestState.AWAITED, CONFIG.idle_seconds_max),
        (RequestState.HEAD, CONFIG.head_seconds_max),
        (RequestState.CONTENT, CONFIG.body_seconds_max),
    ],
)
def test_patience_lasts_as_long_as_it_should(
    clock: ManualClock,
    deadlines: Deadlines,
    connection: Connection,
    state: ConnectionState | RequestState,
    seconds: float,
) -> None:
    deadlines.begin(connection, state)
    assert connection.deadline == seconds
    assert turn(clock, deadlines, seconds - TICK_SECONDS) == []
    assert turn(clock, deadlines, TICK_SECONDS + LATE_SECONDS_MAX) == [connection]


def test_queueing_is_glanced_at(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    """A worker may end QUEUED unseen, and begin a deadline that is nearer than QUEUED's was."""
    deadlines.begin_queueing(connection)
    assert connection.deadline == CONFIG.queue_seconds_max
    assert deadlines.glance_seconds == CONFIG.linger_seconds_max
    assert turn(clock, deadlines, deadlines.glance_seconds + LATE_SECONDS_MAX) == [connection]
    deadlines.glance(connection)
    left = CONFIG.queue_seconds_max - clock.monotonic()
    assert left < deadlines.glance_seconds
    assert turn(clock, deadlines, left + LATE_SECONDS_MAX) == [connection]


def test_what_moves_at_its_rate_has_time_and_a_burst_buys_no_rest(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    state, seconds = ConnectionState.FLUSHING, CONFIG.write_seconds_max
    rate = CONFIG.write_bytes_per_second_min
    deadlines.begin(connection, state)
    assert not deadlines.has_passed(connection, state)
    connection.progress = 10_000 * rate
    assert turn(clock, deadlines, seconds + LATE_SECONDS_MAX) == [connection]
    assert not deadlines.has_passed(connection, state)
    deadlines.watch_on(connection, state)
    assert turn(clock, deadlines, seconds + LATE_SECONDS_MAX) == [connection]
    assert deadlines.has_passed(connection, state), "it has rested on its burst"


def test_a_trickle_does_not_keep_up(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    state, seconds = ConnectionState.FLUSHING, CONFIG.write_seconds_max
    deadlines.begin(connection, state)
    connection.progress = int(seconds)
    assert turn(clock, deadlines, seconds + LATE_SECONDS_MAX) == [connection]
    assert deadlines.has_passed(connection, state)
    deadlines.begin(connection, state)
    assert (connection.progress, connection.progress_seen) == (0, 0)


def test_a_state_without_a_rate_has_its_seconds_only(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    deadlines.begin(connection, ConnectionState.LINGERING)
    connection.progress = 1 << 30
    turn(clock, deadlines, CONFIG.linger_seconds_max + LATE_SECONDS_MAX)
    assert deadlines.has_passed(connection, ConnectionState.LINGERING)


def test_a_deadline_of_the_past_comes_due_at_the_next_tick(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    turn(clock, deadlines, 100.0)
    connection.deadline = 3.0
    deadlines.watch(connection)
    assert turn(clock, deadlines, LATE_SECONDS_MAX) == [connection]


def test_patience_can_be_shortened_and_is_never_lengthened(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    deadlines.shorten(RequestState.AWAITED, 0.5)
    deadlines.shorten(RequestState.AWAITED, 3600.0)
    deadlines.begin(connection, RequestState.AWAITED)
    assert connection.deadline == 0.5
    deadlines.begin(connection, RequestState.HEAD)
    assert connection.deadline == CONFIG.head_seconds_max


def test_who_has_ended_does_not_come_due(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    deadlines.begin(connection, RequestState.AWAITED)
    deadlines.forget(connection)
    assert turn(clock, deadlines, 3600.0) == []
    assert deadlines.seconds_to_next() is None


def test_the_next_time_is_counted_from_now(
    clock: ManualClock, deadlines: Deadlines, connection: Connection
) -> None:
    assert deadlines.seconds_to_next() is None
    deadlines.begin(connection, ConnectionState.LINGERING)
    clock.advance(1.5)
    seconds = deadlines.seconds_to_next()
    assert seconds is not None
    assert 0.5 <= seconds <= 0.5 + TICK_SECONDS * 1.001
    clock.advance(100)
    assert deadlines.seconds_to_next() == 0.0
