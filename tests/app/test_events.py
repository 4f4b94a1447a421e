"""Events: their encoding, the rings, the hub, and what an application is given of them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import events
from server.app.event_streams import EventSource, EventStream, TicketSpoilt, event_response
from server.app.wsgi import wsgi
from server.config import Config
from server.errors import ConfigError
from server.events import Hub, Subscription
from server.events.encoding import lines_of
from server.events.ring import Channel, Event, History
from server.events.subscription import Policy
from server.http1.messages import Events, Fields, Request, RequestHead, Response
from server.http1.writer import chunk
from statemachine import Binder
from tests.event_stream import ChunkedDecoder, EventStreamParser, Message
from tests.house.source import TOP


def hub_of(**settings: Any) -> Hub:
    return Hub(Config(**settings), frame=chunk, stamp="s")


def read(data: bytes) -> list[Message]:
    return EventStreamParser().feed(data)


def subscribed(hub: Hub, *names: str, policy: Policy = "lossless", after: str = "") -> Subscription:
    one = Subscription(names, policy=policy, after=after, gaps_max=3)
    hub.subscribe(one)
    return one


def taken(hub: Hub, one: Subscription) -> list[Message]:
    """Everything that there is for it."""
    parser, found = EventStreamParser(), []
    while (parcel := hub.next_for(one, coded=False)) is not None:
        if not parcel.losses:
            one.move(parcel.last)
        found += parser.feed(parcel.data)
    return found


def data_of(messages: Iterable[Message]) -> list[str]:
    return [one.data for one in messages]


# --- the encoding -----------------------------------------------------------------------------

LINES = st.text(st.sampled_from("ab: \n\r\té\u2028\x00\x0b"), max_size=20)


@given(LINES, st.none() | st.text("abc:é ", min_size=1))
def test_any_text_arrives_as_it_is_but_for_its_line_ends(text: str, name: str | None) -> None:
    (found,) = read(lines_of(text, name))
    assert found.data == text.replace("\r\n", "\n").replace("\r", "\n")
    assert found.type == (name or "message")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        ("é\n", "é\n"),
        (b"a\r\nb\rc\n\nd", "a\nb\nc\n\nd"),
        (bytearray("é".encode()), "é"),
        ({"a": [1, None, "é"]}, '{"a":[1,null,"é"]}'),
        (7, "7"),
        (None, "null"),
        (" leading", " leading"),
        ("data: x\n\nid: 7", "data: x\n\nid: 7"),
    ],
)
def test_data_is_text_or_json(data: object, text: str) -> None:
    (found,) = read(lines_of(data, None))
    assert found == Message("message", text, "")


@pytest.mark.parametrize("data", [b"\xff", "\ud800", float("nan")])
def test_data_that_no_client_could_read_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"utf-8|JSON"):
        lines_of(data, None)


def test_data_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        lines_of(object(), None)


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\0", "gap"])
def test_a_name_that_would_be_another_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"line end|the server's own"):
        lines_of("x", name)


@pytest.mark.parametrize("name", ["", "x" * 257, 7, None])
def test_what_is_no_channel_is_refused(name: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="channel"):
        hub_of().publish(name, "x")
    with pytest.raises((ValueError, TypeError), match="channel"):
        events.publish(name, "x")


def test_an_event_that_no_ring_could_keep_is_refused() -> None:
    hub = hub_of(event_ring_bytes_max=1024)
    hub.publish("a", "x" * 700)
    with pytest.raises(ValueError, match="event_ring_bytes_max"):
        hub.publish("a", "x" * 1000)
    assert hub.last_id == "s-1"


# --- the ring ---------------------------------------------------------------------------------


def event(number: int) -> Event:
    block = b"data: %d\n\n" % number
    return Event(number, chunk(block), block)


@given(st.lists(st.booleans(), max_size=2000), st.integers(0, 2000))
def test_a_ring_is_a_list_without_its_front(steps: list[bool], place: int) -> None:
    """Against a plain list: True adds, False drops."""
    ring, model, number = Channel("a", dropped=0), list[Event](), 0
    for adds in steps:
        if adds:
            number += 2
            model.append(event(number))
            ring.add(model[-1])
        elif model:
            gone = model.pop(0)
            assert ring.drop_oldest() == gone.memory_bytes
            assert ring.dropped == gone.number
    assert len(ring) == len(model)
    assert list(ring.after(place, 5)) == [one for one in model if one.number > place][:5]
    assert ring.newest is (model[-1] if model else None)
    assert ring.memory_bytes == sum(one.memory_bytes for one in model)
    assert ring.last == number if model else ring.last == ring.dropped


def test_an_event_is_the_same_with_and_without_its_coding() -> None:
    one = event(1234)
    assert ChunkedDecoder().feed(one.data) == one.block == b"data: 1234\n\n"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.data())
def test_the_history_counts_what_it_still_knows(names: list[str], data: st.DataObject) -> None:
    history = History(16)
    for number, name in enumerate(names, 1):
        history.add(number, name)
    after = data.draw(st.integers(0, len(names)))
    last = data.draw(st.integers(0, len(names)))
    expected = names[after:last].count("a") if after >= len(names) - 16 or last <= after else None
    assert history.count("a", after, last) == expected


# --- places -----------------------------------------------------------------------------------


def test_a_new_subscriber_begins_now() -> None:
    hub = hub_of()
    hub.publish("a", "before")
    one = subscribed(hub, "a")
    hub.publish("a", "first")
    hub.publish("b", "elsewhere")
    hub.publish("a", "second", event="named")
    assert taken(hub, one) == [
        Message("message", "first", "s-2"),
        Message("named", "second", "s-4"),
    ]
    assert hub.next_for(one, coded=True) is None


def test_one_that_comes_back_gets_what_it_missed() -> None:
    hub = hub_of()
    for number in range(5):
        hub.publish("a", str(number))
    assert data_of(taken(hub, subscribed(hub, "a", after="s-2"))) == ["2", "3", "4"]
    assert data_of(taken(hub, subscribed(hub, "a", after="s-0"))) == ["0", "1", "2", "3", "4"]
    assert taken(hub, subscribed(hub, "a", after="s-5")) == []


def test_events_of_several_channels_come_in_the_order_of_their_publication() -> None:
    hub = hub_of()
    one = subscribed(hub, "b", "a", "b")
    for number in range(600):
        hub.publish("ab"[number % 3 == 0], str(number))
    assert data_of(taken(hub, one)) == [str(number) for number in range(600)]


def test_an_id_is_a_moment_whatever_the_channels() -> None:
    """A client that asks for other channels with the id of the last is told the truth."""
    hub = hub_of()
    hub.publish("a", "old")
    seen = hub.publish("a", "seen")
    hub.publish("b", "missed")
    assert data_of(taken(hub, subscribed(hub, "b", after=seen))) == ["missed"]


def test_subscribers_at_the_same_place_are_sent_the_same_bytes() -> None:
    hub = hub_of()
    two = [subscribed(hub, "a") for _ in range(2)]
    hub.publish("a", "x")
    first, second = (hub.next_for(one, coded=True) for one in two)
    assert first is second
    plain = hub.next_for(two[0], coded=False)
    assert first is not None
    assert plain is not None
    assert ChunkedDecoder().feed(first.data) == plain.data


def test_a_parcel_is_no_larger_than_one_send_can_be() -> None:
    hub = hub_of()
    one = subscribed(hub, "a")
    for _ in range(10):
        hub.publish("a", "x" * 20_000)
    parcel = hub.next_for(one, coded=True)
    assert parcel is not None
    assert (len(parcel.events), parcel.more) == (3, True)
    hub.publish("a", "y" * 200_000)
    one.move(10)
    parcel = hub.next_for(one, coded=True)
    assert parcel is not None
    assert (len(parcel.events), parcel.more) == (1, False)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_where_a_parcel_was_cut_is_found(sizes: list[int], data: st.DataObject) -> None:
    hub = hub_of()
    one = subscribed(hub, "a")
    for size in sizes:
        hub.publish("a", "x" * size)
    parcel = hub.next_for(one, coded=True)
    assert parcel is not None
    sent = data.draw(st.integers(0, len(parcel.data) - 1))
    index, rest = parcel.after(sent)
    assert len(rest) > 0
    later = b"".join(event.data for event in parcel.events[index + 1 :])
    assert parcel.data[:sent] + bytes(rest) + later == parcel.data


# --- gaps -------------------------------------------------------------------------------------


def lost(messages: list[Message]) -> list[dict[str, Any]]:
    return [loss for one in messages if one.type == "gap" for loss in one.json()["lost"]]


def test_what_the_ring_has_dropped_is_told_by_name() -> None:
    hub = hub_of(event_ring_events_max=2)
    one = subscribed(hub, "a")
    for number in range(5):
        hub.publish("a", str(number))
        hub.publish("b", "elsewhere")
    gap, *rest = taken(hub, one)
    assert gap == Message("gap", gap.data, "s-6")
    assert gap.json() == {"lost": [{"channel": "a", "after": "s-0", "last": "s-5", "events": 3}]}
    assert data_of(rest) == ["3", "4"]


def test_a_gap_in_one_channel_costs_the_others_nothing() -> None:
    hub = hub_of(event_ring_events_max=3)
    one = subscribed(hub, "a", "b")
    for name in "abaaaa":
        hub.publish(name, name)
    found = taken(hub, one)
    assert lost(found) == [{"channel": "a", "after": "s-0", "last": "s-3", "events": 2}]
    assert [one.id for one in found] == ["s-1", "s-2", "s-4", "s-5", "s-6"]
    assert data_of(found[1:]) == ["b", "a", "a", "a"]


def test_who_comes_back_after_a_gap_and_before_its_end_is_told_again() -> None:
    """The gap's own id is the place of the channel that lost nothing."""
    hub = hub_of(event_ring_events_max=3)
    for name in "abaaaa":
        hub.publish(name, name)
    first = taken(hub, subscribed(hub, "a", "b", after="s-0"))
    again = taken(hub, subscribed(hub, "a", "b", after=first[0].id))
    assert lost(again) == [{"channel": "a", "after": "s-1", "last": "s-3", "events": 1}]
    assert again[1:] == first[1:]


def test_a_gap_that_grows_before_it_is_passed_is_told_from_where_it_was() -> None:
    hub = hub_of(event_ring_events_max=3)
    one = subscribed(hub, "a", "b")
    for name in "abaaaa":
        hub.publish(name, name)
    gap = hub.next_for(one, coded=False)
    assert gap is not None
    assert gap.losses
    hub.publish("a", "a")
    found = taken(hub, one)
    assert lost(found) == [{"channel": "a", "after": "s-3", "last": "s-4", "events": 1}]
    assert data_of(found[1:]) == ["b", "a", "a", "a"]


def test_one_that_was_told_of_a_gap_shares_nothing_with_one_that_was_not() -> None:
    hub = hub_of(event_ring_events_max=3)
    two = [subscribed(hub, "a", "b", after="s-0") for _ in range(2)]
    for name in "abaaaa":
        hub.publish(name, name)
    assert hub.next_for(two[0], coded=False) is not None
    found = [taken(hub, one) for one in two]
    assert [len(lost(messages)) for messages in found] == [0, 1]


@pytest.mark.parametrize(
    "after", ["other-3", "s-9", "s--1", "s-x", "nonsense", "s-1\xb2", "s-" * 99]
)
def test_an_id_that_says_nothing_here_is_a_gap_of_unknown_size(after: str) -> None:
    hub = hub_of(event_ring_events_max=2)
    for number in range(3):
        hub.publish("a", str(number))
    gap, *rest = taken(hub, subscribed(hub, "a", "b", after=after))
    assert gap.json()["lost"] == [
        {"channel": "a", "after": after[:100], "last": "s-1", "events": None},
        {"channel": "b", "after": after[:100], "last": None, "events": None},
    ]
    assert gap.id == "s-1"
    assert data_of(rest) == ["1", "2"]


def test_how_much_was_lost_long_ago_nobody_knows() -> None:
    hub = hub_of(event_ring_events_max=1)
    for number in range(70_000):
        hub.publish("a" if number < 10 else "b", "x")
    gap, last = taken(hub, subscribed(hub, "a", after="s-2"))
    assert lost([gap]) == [{"channel": "a", "after": "s-2", "last": "s-9", "events": None}]
    assert last.id == "s-10"


def test_a_channel_that_was_forgotten_is_a_gap_only_where_it_had_events() -> None:
    hub = hub_of(event_channels_max=2)
    hub.publish("a", "x")
    hub.publish("b", "x")
    hub.publish("c", "x")
    assert lost(taken(hub, subscribed(hub, "a", after="s-0"))) == [
        {"channel": "a", "after": "s-0", "last": "s-2", "events": 1}
    ]
    assert taken(hub, subscribed(hub, "new", after="s-0")) == []
    assert taken(hub, subscribed(hub, "a", after="s-1")) == []


def test_channels_with_subscribers_are_not_forgotten() -> None:
    hub = hub_of(event_channels_max=2)
    one = subscribed(hub, "a")
    hub.publish("a", "x")
    for number in range(50):
        hub.publish(str(number), "x")
    assert data_of(taken(hub, one)) == ["x"]
    assert len(hub._channels) <= 2


def test_a_channel_that_nobody_needs_is_forgotten_with_its_last_subscriber() -> None:
    hub = hub_of()
    one = subscribed(hub, "a", "b")
    hub.publish("a", "x")
    hub.unsubscribe(one)
    assert list(hub._channels) == ["a"]


# --- bounds -----------------------------------------------------------------------------------


def test_all_rings_together_keep_no_more_than_they_may() -> None:
    hub = hub_of(event_memory_bytes_max=20_000, event_ring_bytes_max=8_000)
    one = subscribed(hub, "0")
    for number in range(500):
        hub.publish(str(number % 7), "x" * 300)
        kept = sum(channel.memory_bytes for channel in hub._channels.values())
        assert kept == hub._memory_bytes <= 20_000
    assert lost(taken(hub, one))[0]["after"] == "s-0"


def test_the_newest_event_is_kept_whatever_its_size() -> None:
    hub = hub_of(event_memory_bytes_max=2048, event_ring_bytes_max=2048)
    one = subscribed(hub, "a")
    for _ in range(5):
        hub.publish("a", "x" * 1800)
        assert len(hub._channels["a"]) == 1
    assert len(taken(hub, one)) == 2


def test_a_ring_is_no_larger_than_the_rest() -> None:
    with pytest.raises(ConfigError, match="--event-ring-bytes-max is more than"):
        Config(event_ring_bytes_max=4096, event_memory_bytes_max=2048)


# --- the newest only --------------------------------------------------------------------------


def test_latest_skips_what_is_older() -> None:
    hub = hub_of(event_ring_events_max=2)
    hub.publish("a", "a0")
    hub.publish("b", "b0")
    one = subscribed(hub, "a", "b", policy="latest")
    assert data_of(taken(hub, one)) == ["a0", "b0"]
    for number in range(1, 9):
        hub.publish("b", f"b{number}")
    hub.publish("a", "a1")
    assert data_of(taken(hub, one)) == ["b8", "a1"]
    assert taken(hub, one) == []


def test_latest_without_anything_yet_waits_for_the_first() -> None:
    hub = hub_of()
    hub.publish("b", "elsewhere")
    one = subscribed(hub, "a", policy="latest")
    assert taken(hub, one) == []
    hub.publish("a", "x")
    assert data_of(taken(hub, one)) == ["x"]


def test_latest_comes_back_to_what_is_newer_only() -> None:
    hub = hub_of()
    seen = hub.publish("a", "seen")
    assert taken(hub, subscribed(hub, "a", policy="latest", after=seen)) == []
    hub.publish("a", "newer")
    assert data_of(taken(hub, subscribed(hub, "a", policy="latest", after=seen))) == ["newer"]
    assert data_of(taken(hub, subscribed(hub, "a", policy="latest", after="x"))) == ["newer"]


def test_latest_is_told_where_even_the_newest_is_gone() -> None:
    hub = hub_of(event_memory_bytes_max=2048, event_ring_bytes_max=2048)
    one = subscribed(hub, "a", policy="latest")
    taken(hub, one)
    hub.publish("a", "x")
    for _ in range(3):
        hub.publish("b", "x" * 1700)
    assert lost(taken(hub, one)) == [{"channel": "a", "after": "s-0", "last": "s-1", "events": 1}]


# --- the first and the idle lines -------------------------------------------------------------


def test_a_stream_opens_with_the_id_of_its_place() -> None:
    """So a client that is cut off before the first event misses nothing."""
    hub = hub_of()
    hub.publish("a", "x")
    parser = EventStreamParser()
    assert parser.feed(hub.opening(subscribed(hub, "a"), 1234).block) == []
    assert (parser.last_event_id, parser.reconnection_milliseconds) == ("s-1", 1234)
    parser = EventStreamParser()
    parser.feed(hub.opening(subscribed(hub, "a", policy="latest"), 1).block)
    assert parser.last_event_id == ""


def test_a_heartbeat_is_a_comment_with_the_id_of_the_moment() -> None:
    hub = hub_of()
    one = subscribed(hub, "a")
    hub.publish("b", "elsewhere")
    parser = EventStreamParser()
    assert parser.feed(hub.heartbeat(one).block) == []
    assert (parser.comments, parser.last_event_id) == ([" hb"], "s-1")


def test_a_heartbeat_says_nothing_of_a_moment_that_has_not_been_sent() -> None:
    hub = hub_of()
    one = subscribed(hub, "a")
    hub.publish("a", "not sent yet")
    parser = EventStreamParser()
    parser.feed(hub.heartbeat(one).block)
    assert (parser.comments, parser.last_event_id) == ([" hb"], "")


# --- news -------------------------------------------------------------------------------------


def test_whoever_publishes_wakes_once_until_the_news_are_asked_for() -> None:
    hub, wakes = hub_of(), []
    hub.open(lambda: wakes.append(1))
    hub.publish("a", "nobody listens")
    assert (len(wakes), hub.has_news) == (0, False)
    one, other = subscribed(hub, "a"), subscribed(hub, "b")
    for _ in range(3):
        hub.publish("a", "x")
    assert (len(wakes), hub.has_news) == (1, True)
    assert list(hub.news()) == [one]
    assert not hub.has_news
    hub.publish("b", "x")
    assert len(wakes) == 2
    hub.unsubscribe(other)
    assert list(hub.news()) == []
    hub.close()
    hub.publish("a", "x")
    assert len(wakes) == 2


def test_publishing_from_many_threads_loses_nothing() -> None:
    hub = hub_of(event_ring_events_max=10_000)
    one = subscribed(hub, "a")

    def publish(name: str) -> None:
        for number in range(200):
            hub.publish("a", {"from": name, "number": number})

    threads = [threading.Thread(target=publish, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    found: list[Message] = []
    while len(found) < 800:
        found += taken(hub, one)
    for thread in threads:
        thread.join()
    for name in "abcd":
        mine = [message.json()["number"] for message in found if message.json()["from"] == name]
        assert mine == list(range(200))
    assert [message.id for message in found] == [f"s-{number}" for number in range(1, 801)]


def test_every_running_hub_is_published_to() -> None:
    hubs = [hub_of() for _ in range(3)]
    before = events.publish("a", "x")
    for hub in hubs[:2]:
        hub.open(lambda: None)
    assert events.publish("a", "x") == before + 2
    assert [hub.last_id for hub in hubs] == ["s-1", "s-1", "s-0"]
    hubs[0].close()
    assert events.publish("a", "x") == before + 1
    del hub, hubs[:]
    gc.collect()
    assert events.publish("a", "x") == before


# --- the machine ------------------------------------------------------------------------------


def test_a_subscription_counts_its_gaps() -> None:
    from statemachine import load_system

    bound = Binder(load_system()).bind(Subscription)
    one = bound(("a",), policy="lossless", after="", gaps_max=2)
    one.events_lost()
    assert one.may_lose_more()
    one.events_lost()
    assert not one.may_lose_more()
    one.caught_up()
    assert one.may_lose_more()


# --- what an application is given -------------------------------------------------------------

App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def request(method: str = "GET", **fields: str) -> Request:
    lines = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Request(RequestHead(method, "/", "/", "", "", 1, Fields(lines)))


def answer(app: App, to: Request | None = None, hub: Hub | None = None) -> Response:
    return wsgi(app, events=hub or hub_of())(to or request())


def subscribing(*channels: str, **how: Any) -> App:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["interlock.events"].subscribe(*channels, **how)
        assert isinstance(stream, EventStream)
        return stream

    return app


def test_without_a_head_a_stream_has_its_own() -> None:
    response = answer(subscribing("a", "b"))
    assert response == Response(
        200,
        (
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
        ),
        Events(("a", "b"), "lossless", "s-0"),
        persists=False,
    )


def test_what_the_application_says_in_its_head_is_left() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        fields = [("content-type", "Text/Event-Stream; charset=utf-8"), ("cache-control", "x")]
        start_response("200 OK", [*fields, ("X-Own", "1")])
        stream: EventStream = environ["interlock.events"].subscribe("a")
        return stream

    assert answer(app).fields == (
        ("content-type", "Text/Event-Stream; charset=utf-8"),
        ("cache-control", "x"),
        ("X-Own", "1"),
        ("X-Accel-Buffering", "no"),
    )


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("404 Not Found", []),
        ("200 OK", [("Content-Type", "text/plain")]),
        ("200 OK", [("Content-Length", "5")]),
    ],
)
def test_a_head_that_is_none_of_a_stream_is_a_mistake(
    status: str, headers: list[tuple[str, str]]
) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, headers)
        stream: EventStream = environ["interlock.events"].subscribe("a")
        return stream

    assert answer(app).status == 500


def test_what_was_written_before_is_a_mistake() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])(b"x")
        stream: EventStream = environ["interlock.events"].subscribe("a")
        return stream

    assert answer(app).status == 500


@pytest.mark.parametrize("how", [{"policy": "best"}, {"nonsense": 1}])
def test_another_policy_is_a_mistake(how: dict[str, Any]) -> None:
    assert answer(subscribing("a", **how)).status == 500


@pytest.mark.parametrize("channels", [(), ("",), (7,), tuple(map(str, range(65)))])
def test_no_channels_or_too_many_are_a_mistake(channels: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match="channel"):
        EventSource(hub_of()).subscribe(*channels)


def test_a_client_s_last_event_id_is_where_it_goes_on() -> None:
    hub = hub_of()
    for _ in range(3):
        hub.publish("a", "x")
    came_back = request(Last_Event_ID="s-1")
    content = answer(subscribing("a"), came_back, hub).content
    assert content == Events(("a",), "lossless", "s-1")
    content = answer(subscribing("a", last_event_id="s-2"), came_back, hub).content
    assert content == Events(("a",), "lossless", "s-2")
    assert answer(subscribing("a"), hub=hub).content == Events(("a",), "lossless", "s-3")
    assert answer(subscribing("a", policy="latest")).content == Events(("a",), "latest", "")


def test_a_stream_begins_when_it_is_asked_for() -> None:
    """What is published between that and the worker's end is not missed."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        source: EventSource = environ["interlock.events"]
        stream = source.subscribe("a")
        assert source.last_id == "s-0"
        assert source.publish("a", {"x": 1}, event="e") == "s-1"
        return stream

    hub = hub_of()
    content = answer(app, hub=hub).content
    assert isinstance(content, Events)
    assert data_of(taken(hub, subscribed(hub, "a", after=content.after))) == ['{"x":1}']


class Wrapper:
    """As much of a middleware as wraps what an application returns."""

    def __init__(self, inner: Iterable[bytes]) -> None:
        self.inner = inner
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.inner)

    def close(self) -> None:
        self.closed += 1


def test_a_stream_is_recognised_inside_of_a_wrapper() -> None:
    wrapper = Wrapper([])

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        wrapper.inner = (bytes(piece) for piece in subscribing("a")(environ, start_response))
        return wrapper

    response = answer(app)
    assert response.content == Events(("a",), "lossless", "s-0")
    assert response.fields[0] == ("Content-Type", "text/event-stream")
    assert wrapper.closed == 1


def test_a_wrapper_that_changes_the_content_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        stream = subscribing("a")(environ, start_response)
        return [b"".join(piece for piece in stream)]

    assert answer(app).status == 500
    assert "must return it, or pass on its piece" in caplog.text


def test_a_ticket_is_good_for_one_stream_that_is_still_there() -> None:
    source = EventSource(hub_of())
    stream = source.subscribe("a")
    ticket = next(stream)
    with pytest.raises(TicketSpoilt):
        next(stream)
    assert EventSource(hub_of()).redeem(ticket) is None
    assert source.redeem(ticket[:-1] + b"?") is None
    assert source.redeem(ticket) is stream
    assert source.redeem(ticket) is None
    lapsed = next(source.subscribe("a"))
    gc.collect()
    assert source.redeem(lapsed) is None


def test_without_a_hub_there_is_nothing_in_the_environ() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert "interlock.events" not in environ
        start_response("200 OK", [])
        return [b"x"]

    assert wsgi(app)(request()).status == 200


def test_a_handler_answers_with_events_of_its_own() -> None:
    content = Events(("a",), "latest")
    response = event_response(content, (("Cache-Control", "private"),))
    assert response.content is content
    assert [name for name, _ in response.fields] == [
        "Cache-Control",
        "Content-Type",
        "X-Accel-Buffering",
    ]


def test_every_limit_of_events_is_described() -> None:
    text = (TOP / "docs/events.md").read_text(encoding="utf-8")
    names = [name for name in Config.__dataclass_fields__ if name.startswith("event_")]
    assert len(names) == 8
    assert [name for name in names if f"--{name.replace('_', '-')}" not in text] == []
