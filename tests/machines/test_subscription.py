"""spec/subscription.toml, and the arrows of STREAMING: taken by the real reactor and the real hub.

Scenes first, one or more for each arrow; then any history at all, held against what was published.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from server.net.delivering import REST_SECONDS_MAX
from server.server import sound_system
from server.simulation.kernel import ENDLESS
from statemachine import Engine
from statemachine._generated import SubscriptionState
from tests.event_stream import Message
from tests.machines.audience import Audience, Subscriber

CURRENT, BEHIND, GAPPED = (
    SubscriptionState.CURRENT,
    SubscriptionState.BEHIND,
    SubscriptionState.GAPPED,
)
STREAMED = ["C1", "C8", "C39"]
"""The way of every subscriber's connection to its stream."""

Play = Callable[[Audience], None]
SCENES: dict[str, tuple[Play, dict[str, object]]] = {}


def arrow(*ids: str, **settings: object) -> Callable[[Play], Play]:
    """This scene takes these arrows."""

    def note(play: Play) -> Play:
        for one in ids:
            SCENES[one] = (play, settings)
        return play

    return note


# --- one scene an arrow -----------------------------------------------------------------------


@arrow("C39", "C40", "U11")
def a_drain_ends_a_stream_after_what_was_published(audience: Audience) -> None:
    one = audience.subscriber()
    assert one.trail == STREAMED
    assert b"\r\nConnection: close\r\n" in one.head
    audience.publish("x", "y")
    audience.house.stop()
    audience.settle()
    assert one.data() == ["x", "y"]
    assert one.ended_well
    assert one.trail == [*STREAMED, "C40"]
    assert one.transport.has_ended


@arrow("C41")
def a_subscriber_leaves(audience: Audience) -> None:
    one, other = audience.subscriber(), audience.subscriber()
    one.transport.peer_ends()
    audience.settle()
    assert one.trail == [*STREAMED, "C41"]
    audience.publish("x")
    audience.settle()
    assert other.data() == ["x"]


@arrow("C42")
def a_subscriber_is_gone_when_something_is_published(audience: Audience) -> None:
    one = audience.subscriber()
    one.transport.peer_resets()
    audience.publish("x")
    audience.settle()
    assert one.trail == [*STREAMED, "C42"]


@arrow("U12", "C43", "U2")
def a_subscriber_that_does_not_read_loses_its_place(audience: Audience) -> None:
    one = blocked(audience)
    audience.advance(20.1)
    assert one.trail == [*STREAMED, "C43"]
    assert audience.house.taken("U12") == 1


def blocked(audience: Audience, path: str = "/lossless/a") -> Subscriber:
    """A subscriber whose socket has taken half of an event and no more."""
    one = audience.subscriber(path)
    one.transport.room = 10
    audience.publish("first")
    audience.settle()
    assert one.state is BEHIND
    assert not one.messages
    return one


@arrow("U6", "C44", event_behind_seconds_max=5)
def a_subscriber_that_is_behind_for_too_long_is_cut(audience: Audience) -> None:
    one = blocked(audience)
    for _ in range(4):
        one.transport.room += 1  # it does read, but not enough
        audience.advance(1.5)
    assert one.trail == [*STREAMED, "C44"]
    one.come()
    audience.settle()
    assert one.data() == ["first"]


@arrow("C45", "U12")
def a_cut_breaks_a_stream(audience: Audience) -> None:
    one, other = blocked(audience), audience.subscriber()
    audience.house.stop()
    audience.house.cut()
    audience.settle()
    assert one.trail == [*STREAMED, "C45"]
    assert not one.ended_well
    assert other.transport.closed


@arrow("U1")
def silence_is_broken_by_a_comment(audience: Audience) -> None:
    one, other = audience.subscriber(), audience.subscriber("/lossless/b")
    audience.advance(10)
    audience.publish("x")
    audience.settle()
    audience.advance(6)
    assert (one.parser.comments, other.parser.comments) == ([], [" hb"])
    assert other.parser.last_event_id == "s-1"
    audience.advance(10)
    assert (one.parser.comments, other.parser.comments) == ([" hb"], [" hb"])
    assert audience.house.taken("U1") == 2
    assert one.state is CURRENT


@arrow("U2", "U4")
def a_slow_subscriber_gets_the_rest_when_it_reads(audience: Audience) -> None:
    one = blocked(audience)
    audience.publish("second", "third")
    audience.settle()
    for _ in range(200):
        one.transport.room += 1
        audience.settle()
    assert one.data() == ["first", "second", "third"]
    assert not one.gaps()
    assert one.state is CURRENT
    assert one.subscription().gaps == 0


@arrow("U3", "U7", event_ring_events_max=3)
def a_burst_overruns_one_that_keeps_up(audience: Audience) -> None:
    one = audience.subscriber()
    audience.publish(*"abcdefg")
    audience.settle()
    (gap,) = one.gaps()
    assert gap.json() == {"lost": [{"channel": "a", "after": "s-0", "last": "s-4", "events": 4}]}
    assert one.data() == ["e", "f", "g"]
    assert one.state is CURRENT
    assert audience.house.taken("U3") == audience.house.taken("U7") == 1


@arrow("U5", event_ring_events_max=3)
def a_slow_subscriber_is_overrun(audience: Audience) -> None:
    one = blocked(audience)
    audience.publish(*"abcdefg")
    one.transport.room = 70  # the rest of the first, and some of the gap
    audience.settle()
    assert one.state is GAPPED
    one.transport.room = ENDLESS
    audience.settle()
    assert one.data() == ["first", "e", "f", "g"]
    assert one.gaps()[0].json()["lost"] == [
        {"channel": "a", "after": "s-1", "last": "s-5", "events": 4}
    ]
    assert one.state is CURRENT


@arrow("U8", "U9", event_ring_events_max=2, event_gaps_max=2)
def a_subscriber_that_loses_more_than_it_gets_is_cut(audience: Audience) -> None:
    one = blocked(audience)
    for burst in range(3):
        audience.publish(*"abcd")
        # The rest of what is in line, and half of what comes next.
        one.transport.room = one.connection().unsent_bytes() + 10
        audience.settle()
        if burst < 2:
            assert one.state is GAPPED
    assert audience.house.taken("U8") == audience.house.taken("U9") == 1
    assert one.trail == [*STREAMED, "C44"]
    assert len(one.gaps()) == 2


@arrow("U10", event_ring_events_max=2, event_behind_seconds_max=5)
def a_gap_does_not_begin_the_patience_anew(audience: Audience) -> None:
    one = blocked(audience)
    audience.advance(3)
    audience.publish(*"abcd")
    one.transport.room = 60
    audience.settle()
    assert one.state is GAPPED
    audience.advance(2.1)
    assert one.trail == [*STREAMED, "C44"]


@arrow("U13", event_ring_events_max=2)
def a_subscriber_that_lost_something_leaves(audience: Audience) -> None:
    one = blocked(audience)
    audience.publish(*"abcd")
    one.transport.room = 60
    audience.settle()
    assert one.state is GAPPED
    one.transport.peer_ends()
    audience.settle()
    assert one.trail == [*STREAMED, "C41"]


@arrow("U14", buffer_memory_bytes_max=100)
def there_is_no_room_for_the_rest_of_an_event(audience: Audience) -> None:
    one = audience.subscriber()
    one.transport.room = 10
    audience.publish("x" * 200)
    audience.settle()
    assert one.trail == [*STREAMED, "C44"]


@arrow("U15", buffer_memory_bytes_max=100, event_ring_events_max=1)
def there_is_no_room_for_the_rest_of_a_gap(audience: Audience) -> None:
    one = audience.subscriber("/lossless/" + ",".join("abcd"))
    one.transport.room = 10
    for name in "abcd" * 2:
        audience.publish("x", channel=name)
    audience.settle()
    assert one.trail == [*STREAMED, "C44"]
    assert audience.house.taken("U15") == 1


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.arrow(one)) for one in SCENES]
)
def test_the_arrow_is_taken(engine: Engine, name: str) -> None:
    play, settings = SCENES[name]
    audience = Audience(engine, settings)
    try:
        play(audience)
        assert audience.house.taken(name) >= 1
        audience.end()
    finally:
        audience.house.put_away()


def test_every_arrow_has_a_scene() -> None:
    own = {one.id for one in sound_system().machines["subscription"].arrows}
    streaming = {
        one.id
        for one in sound_system().machines["connection"].arrows
        if "STREAMING" in (one.source, one.target)
    }
    assert SCENES.keys() == own | streaming


# --- further scenes ---------------------------------------------------------------------------

Open = Callable[..., Audience]


@pytest.fixture
def open_audience(engine: Engine) -> Iterator[Open]:
    opened: list[Audience] = []

    def open_one(**settings: object) -> Audience:
        opened.append(Audience(engine, settings))
        return opened[-1]

    yield open_one
    for one in opened:
        one.house.put_away()


def test_a_stream_holds_no_worker(open_audience: Open) -> None:
    audience = open_audience(threads=1)
    for _ in range(5):
        audience.subscriber()
    peer = audience.ask()
    audience.settle()
    assert peer.statuses() == [200]
    audience.end()


def test_an_old_client_has_no_chunks(open_audience: Open) -> None:
    audience = open_audience()
    one = audience.subscriber()
    one.transport.peer_ends()
    one.come(minor=0)
    audience.settle()
    one.transport.room = 30
    audience.publish("first", "second")
    audience.settle()
    assert one.state is BEHIND
    one.transport.room = ENDLESS
    audience.settle()
    assert one.data() == ["first", "second"]
    assert b"Transfer-Encoding" not in one.head
    audience.end()
    assert bytes(one.transport.received).endswith(b"data: second\n\n")
    assert one.transport.has_ended


def test_head_gets_a_head(open_audience: Open) -> None:
    audience = open_audience()
    peer = audience.ask()
    audience.settle()
    peer.ask("HEAD", "/lossless/a")
    peer.deliver()
    audience.settle()
    assert audience.house.taken("C39") == 0
    received = bytes(peer.transport.received)
    assert received.endswith(b"Connection: close\r\n\r\n")
    assert peer.transport.has_ended
    audience.end()


def test_what_a_subscriber_says_is_dropped(open_audience: Open) -> None:
    audience = open_audience()
    one = audience.subscriber()
    for _ in range(3):
        one.transport.peer_sends(b"GET /plain/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        audience.settle()
    audience.publish("x")
    audience.settle()
    assert one.data() == ["x"]
    audience.end()
    assert one.ended_well


def test_a_ring_longer_than_a_turn_is_replayed_in_several(open_audience: Open) -> None:
    audience = open_audience(send_turn_bytes_max=2000)
    one = audience.subscriber()
    one.transport.peer_ends()
    audience.settle()
    audience.publish(*(f"{number:0>500}" for number in range(1000)))
    one.come()
    audience.settle()
    assert [int(text) for text in one.data()] == list(range(1000))
    assert one.state is CURRENT
    audience.end()


def test_latest_is_not_cut_for_being_slow(open_audience: Open) -> None:
    """It skips; and what is kept for it is the rest of one event."""
    audience = open_audience(event_behind_seconds_max=5, event_ring_events_max=2)
    one = blocked(audience, "/latest/a")
    for number in range(40):
        audience.publish(f"{number}", f"{number}x")
        one.transport.room = 20
        audience.advance(1)
    assert one.is_here
    assert not one.gaps()
    assert audience.house.taken("U4") > 10
    one.transport.room = ENDLESS
    audience.settle()
    assert one.data()[-1] == "39x"
    assert 10 < len(one.data()) < 41
    audience.end()


def test_the_rest_of_an_event_is_all_that_is_kept(open_audience: Open) -> None:
    audience = open_audience()
    one = audience.subscriber()
    one.transport.room = 10
    audience.publish(*(["x" * 1000] * 50))
    audience.settle()
    assert one.connection().unsent_bytes() < 1100
    assert 0 < audience.house.reservoir.memory.held_bytes < 1100
    one.transport.room = ENDLESS
    audience.settle()
    assert audience.house.reservoir.memory.held_bytes == 0
    assert len(one.data()) == 50
    audience.end()


def test_a_drain_does_not_wait_for_one_that_is_behind_to_catch_up(open_audience: Open) -> None:
    audience = open_audience()
    one = blocked(audience)
    audience.publish("second", "third")
    audience.house.stop()
    one.transport.room = ENDLESS
    audience.settle()
    assert one.data() == ["first"]
    assert one.ended_well
    audience.end()


def test_one_that_falls_behind_in_a_drain_ends_with_what_is_in_line(open_audience: Open) -> None:
    audience = open_audience()
    one = audience.subscriber()
    one.transport.room = 50
    audience.publish("first", "second", "third")
    audience.house.stop()
    audience.settle()
    assert one.state is BEHIND
    one.transport.room = ENDLESS
    audience.settle()
    assert one.data() == ["first", "second"]
    assert one.ended_well
    audience.end()


def test_a_drain_s_last_words_have_a_deadline(open_audience: Open) -> None:
    audience = open_audience()
    one = blocked(audience)
    audience.house.stop()
    audience.settle()
    audience.advance(20.1)
    assert one.trail == [*STREAMED, "C43"]
    audience.end()


def test_one_that_subscribes_in_a_drain_is_told_what_there_is_and_the_end(
    open_audience: Open,
) -> None:
    audience = open_audience()
    one = audience.subscriber()
    audience.publish("x")
    peer = audience.ask("/plain/1")
    audience.settle()
    audience.house.stop()
    peer.say(b"GET /lossless/a HTTP/1.1\r\nHost: a\r\nLast-Event-ID: s-0\r\n\r\n")
    peer.deliver()
    audience.settle()
    assert b"data: x\n\n\r\n0\r\n\r\n" in bytes(peer.transport.received)
    assert one.ended_well
    audience.end()


def test_a_worker_that_fails_after_its_hand_over_costs_the_stream_nothing(
    open_audience: Open,
) -> None:
    audience = open_audience()
    one = audience.subscriber()
    audience.house.reactor.hand_back(one.connection())
    audience.publish("x")
    audience.settle()
    assert one.data() == ["x"]
    assert one.messages[0].id == "s-1"
    audience.end()


def test_a_mistake_of_ours_costs_one_subscriber(
    open_audience: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience = open_audience()
    one, other = audience.subscriber(), audience.subscriber()

    def broken(data: bytes) -> int:
        raise ValueError("ours")

    monkeypatch.setattr(one.transport, "send", broken)
    audience.publish("x")
    audience.settle()
    assert one.trail == [*STREAMED, "C45"]
    assert other.data() == ["x"]
    audience.house.diary.forget("interlock.reactor")
    audience.end()


def test_a_stream_is_logged_when_it_ends(open_audience: Open) -> None:
    audience = open_audience()
    one, other, slow = audience.subscriber(), audience.subscriber(), audience.subscriber()
    audience.publish("x")
    audience.settle()
    slow.transport.room = 3
    audience.publish("y")
    audience.settle()
    one.transport.peer_ends()
    slow.transport.peer_ends()
    audience.settle()
    audience.end()
    ends = {
        entry.request_id: (entry.end_state, entry.size) for entry in audience.house.ledger.entries
    }
    sizes = {
        name: sum(
            len(text)
            for text in (
                ["id: s-0\nretry: 0000\n\n", "id: s-1\ndata: x\n\n", "id: s-2\ndata: y\n\n"]
            )
        )
        for name in ends
    }
    assert ends == {
        "1-1": ("cut", sizes["1-1"]),
        "2-1": ("STREAMING", sizes["2-1"]),
        "3-1": ("cut", sizes["3-1"]),
    }
    assert other.ended_well


def test_who_comes_back_is_told_to_wait_differently_long(open_audience: Open) -> None:
    audience = open_audience(event_retry_seconds=1)
    waits = set()
    for _ in range(8):
        waits.add(audience.subscriber().parser.reconnection_milliseconds)
    assert len(waits) == 8
    assert all(wait is not None and 1000 <= wait < 2000 for wait in waits)
    audience.end()


# --- any history ------------------------------------------------------------------------------


class Reader:
    """One client, and what it must have got by the record of what was published."""

    def __init__(self, subscriber: Subscriber, record: list[tuple[str, str]]) -> None:
        self.subscriber = subscriber
        self.record = record
        self.policy, names = subscriber.path.split("/")[1:]
        self.channels = set(names.split(","))
        self.began: int | None = None
        self.judged = 0
        self.got: list[int] = []
        self.lost: set[int] = set()

    def judge(self) -> None:
        """Hold what is new against the record."""
        if self.began is None and self.subscriber.parser.last_event_id:
            self.began = 0  # by its first opening; see `begin`
        for message in self.subscriber.messages[self.judged :]:
            if message.type == "gap":
                self._judge_gap(message)
            else:
                self._judge_event(message)
        self.judged = len(self.subscriber.messages)

    def _judge_event(self, message: Message) -> None:
        number = number_of(message.id)
        assert self.record[number - 1] == (self.record[number - 1][0], message.data)
        assert self.record[number - 1][0] in self.channels, "an event of another channel"
        assert not self.got or number > self.got[-1], f"{number} after {self.got[-1]}"
        assert number not in self.lost, f"{number} was told to be lost"
        self.got.append(number)

    def _judge_gap(self, message: Message) -> None:
        for loss in message.json()["lost"]:
            numbers = {
                number
                for number in range(number_of(loss["after"]) + 1, number_of(loss["last"]) + 1)
                if self.record[number - 1][0] == loss["channel"]
            }
            assert len(numbers) == loss["events"] > 0
            assert loss["channel"] in self.channels
            assert not numbers & set(self.got), "what it got is told to be lost"
            self.lost |= numbers

    def judge_all(self, since: int, remembered: set[str]) -> None:
        """Everything has been read: nothing is missing that was not told.

        Who came without an id, and wants the newest only, is owed that of the channels that are
        `remembered`: nobody can tell what else there was.
        """
        mine = [
            number
            for number, (channel, _) in enumerate(self.record, 1)
            if channel in self.channels and number > since
        ]
        if self.policy == "lossless":
            assert sorted({*self.got, *self.lost}) == mine
        else:
            newest = {self.record[number - 1][0]: number for number in mine}
            if not self.subscriber.came_with:
                newest = {name: newest[name] for name in newest if name in remembered}
            assert set(newest.values()) <= {*self.got, *self.lost}


def number_of(event_id: str) -> int:
    stamp, _, number = event_id.partition("-")
    assert stamp == "s"
    return int(number)


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)


class Histories(RuleBasedStateMachine):
    """Publishing, slow reading, leaving and coming back, in any order."""

    engine: Engine = "sealed"

    @initialize(
        ring=st.integers(1, 6),
        gaps=st.integers(1, 3),
        memory=st.sampled_from([100, 2000, 1 << 20]),
        channels=st.sampled_from([1, 2, 100]),
    )
    def open(self, ring: int, gaps: int, memory: int, channels: int) -> None:
        self.audience = Audience(
            self.engine,
            {
                "event_ring_events_max": ring,
                "event_gaps_max": gaps,
                "buffer_memory_bytes_max": memory,
                "event_channels_max": channels,
                "event_behind_seconds_max": 30,
            },
        )
        self.audience.house.pausing_arrows = True
        self.record: list[tuple[str, str]] = []
        self.readers: list[tuple[Reader, int]] = []

    def settle(self, rng: random.Random | None = None) -> None:
        self.audience.house.settle(rng)
        for one, _ in self.readers:
            one.subscriber.read()
            one.judge()

    @rule(names=NAMES, policy=st.sampled_from(["lossless", "latest"]))
    def arrive(self, names: list[str], policy: str) -> None:
        if len(self.readers) < 4:
            one = self.audience.subscriber(f"/{policy}/{','.join(names)}")
            self.readers.append((Reader(one, self.record), len(self.record)))
            self.settle()

    @rule(channel=st.sampled_from("aaab"), size=st.integers(0, 60), count=st.integers(1, 4))
    def publish(self, channel: str, size: int, count: int) -> None:
        for _ in range(count):
            text = f"{len(self.record) + 1} ".ljust(size, ".")
            self.record.append((channel, text))
            self.audience.house.hub.publish(channel, text)

    @rule(seed=st.integers(0, 999))
    def run(self, seed: int) -> None:
        self.settle(random.Random(seed))

    @rule(steps=st.integers(1, 30), seed=st.integers(0, 999))
    def run_a_little(self, steps: int, seed: int) -> None:
        rng, stage = random.Random(seed), self.audience.house.stage
        for _ in range(steps):
            if runnable := stage.runnable():
                rng.choice(runnable).step()

    @precondition(lambda self: bool(getattr(self, "readers", ())))
    @rule(which=st.integers(0, 3), room=st.integers(0, 200))
    def read_so_much(self, which: int, room: int) -> None:
        one = self.readers[which % len(self.readers)][0].subscriber
        one.transport.room = room

    @precondition(lambda self: bool(getattr(self, "readers", ())))
    @rule(which=st.integers(0, 3))
    def read_everything(self, which: int) -> None:
        one = self.readers[which % len(self.readers)][0].subscriber
        one.transport.room = ENDLESS

    @precondition(lambda self: bool(getattr(self, "readers", ())))
    @rule(which=st.integers(0, 3), resets=st.booleans())
    def leave(self, which: int, resets: bool) -> None:
        one = self.readers[which % len(self.readers)][0].subscriber
        if one.is_here:
            one.transport.peer_resets() if resets else one.transport.peer_ends()

    @precondition(lambda self: bool(getattr(self, "readers", ())))
    @rule(which=st.integers(0, 3), room=st.sampled_from([0, 40, 300, ENDLESS]))
    def come_back(self, which: int, room: int) -> None:
        one = self.readers[which % len(self.readers)][0].subscriber
        if not one.is_here:
            one.read()
            one.come(room=room)

    @rule(seconds=st.sampled_from([0.5, 7.0, 16.0, 31.0]))
    def wait(self, seconds: float) -> None:
        if any(one.subscriber.is_here and not one.subscriber.head for one, _ in self.readers):
            self.settle()  # who waits in the queue for longer is told 503, and hears no events
        self.audience.house.advance(seconds)

    def teardown(self) -> None:
        if not hasattr(self, "audience"):
            return
        try:
            self._read_to_the_end()
            self.audience.end()
        finally:
            self.audience.house.put_away()

    def _read_to_the_end(self) -> None:
        """Everybody comes back and reads all there is."""
        for _ in range(3):
            for one, _ in self.readers:
                one.subscriber.transport.room = ENDLESS
            self.settle()
            self.audience.house.advance(REST_SECONDS_MAX)  # the hub's, after a long round
            self.settle()
            for one, _ in self.readers:
                if not one.subscriber.is_here:
                    one.subscriber.come()
            self.settle()
        for one, since in self.readers:
            assert one.subscriber.is_here, one.subscriber.trail
            one.judge_all(since, self.audience.remembered())


class StockHistories(Histories):
    engine: Engine = "stock"


TestHistories = Histories.TestCase
TestStockHistories = StockHistories.TestCase
TestStockHistories.settings = hypothesis_settings(max_examples=15, stateful_step_count=20)


def test_a_machine_that_slept_in_a_round_keeps_nobody_waiting_for_long() -> None:
    """The schedule is one that was found: the clock leaps between a round's first and last turn."""
    history = Histories()
    history.open(ring=8, gaps=1, memory=2000, channels=2)
    for _ in range(3):
        history.arrive(names=["a"], policy="lossless")
    for which in (0, 1):
        history.leave(resets=False, which=which)
    history.publish(channel="a", count=1, size=0)
    history.run_a_little(seed=0, steps=6)
    history.wait(seconds=7.0)
    history.publish(channel="a", count=1, size=0)
    history.settle()
    assert [reader.got for reader, _ in history.readers] == [[], [], [1]], "it rests"
    history.wait(seconds=REST_SECONDS_MAX)
    history.settle()
    assert [reader.got for reader, _ in history.readers] == [[], [], [1, 2]]
    history.teardown()
