"""One contract, kept by both pollers: one event an arming, any number of events while one is
attended, and none is lost.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from server.net.poller import READ, WRITE, EpollPoller, Poller, SelectorPoller, best_poller

KINDS: list[type[Poller]] = [EpollPoller, SelectorPoller]
SECONDS_MAX = 30.0
"""Longer than any test waits for what does come."""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "eventfd"), reason="EpollPoller needs epoll and eventfd"
)


@pytest.fixture(params=KINDS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    one = cast("Poller", request.param())
    yield one
    one.close()


class Pair:
    """Two connected sockets. `ours` is the poller's, `theirs` the peer's."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        for one in (self.ours, self.theirs):
            one.setblocking(False)
        self.descriptor = self.ours.fileno()

    def fill(self) -> None:
        """Send until the kernel takes no more."""
        for size in (4096, 1):
            while True:
                try:
                    self.ours.send(b"x" * size)
                except BlockingIOError:
                    break

    def drain(self) -> None:
        while True:
            try:
                self.theirs.recv(1 << 20)
            except BlockingIOError:
                return

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    yield one
    one.close()


def now(poller: Poller) -> list[int]:
    """All that is ready at present. Two looks: the first may only say that it was woken."""
    return poller.poll(0.0) + poller.poll(0.0)


def test_an_added_descriptor_is_armed_for_reading(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    assert now(poller) == []
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_there_is_one_event_an_arming(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    pair.theirs.send(b"b")
    pair.theirs.close()
    assert now(poller) == []
    poller.arm(pair.descriptor, READ)
    assert now(poller) == [pair.descriptor]
    assert now(poller) == []
    poller.disarm(pair.descriptor)


def test_what_came_before_the_arming_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    assert pair.ours.recv(9) == b"a"
    pair.theirs.send(b"b")
    poller.arm(pair.descriptor, READ)
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_the_peers_end_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.close()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_writing_is_told_when_there_is_room(poller: Poller, pair: Pair) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    poller.arm(pair.descriptor, WRITE)
    assert now(poller) == [], "the last arming is the one that counts"
    pair.drain()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_a_peer_that_goes_is_told_to_who_waits_to_write(poller: Poller, pair: Pair) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    poller.arm(pair.descriptor, WRITE)
    pair.theirs.close()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


@pytest.mark.parametrize("readable", [True, False])
def test_either_is_told_to_who_waits_for_both(poller: Poller, pair: Pair, readable: bool) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    poller.arm(pair.descriptor, READ | WRITE)
    assert now(poller) == []
    if readable:
        pair.theirs.send(b"a")
    else:
        pair.drain()
    assert now(poller) == [pair.descriptor]
    assert now(poller) == []
    poller.disarm(pair.descriptor)


@pytest.mark.parametrize("asks", ["arms", "attends"])
def test_another_thread_wakes_a_poll(poller: Poller, pair: Pair, asks: str) -> None:
    """The reactor waits without an end; data lies there; a worker arms, or attends."""
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    found: list[int] = []

    def wait() -> None:
        while not found:
            found.extend(poller.poll(SECONDS_MAX))

    waiting = threading.Thread(target=wait)
    waiting.start()
    if asks == "arms":
        poller.arm(pair.descriptor, READ)
    else:
        poller.attend(pair.descriptor)
    waiting.join(SECONDS_MAX)
    assert found == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_every_arming_of_many_threads_is_told(poller: Poller) -> None:
    pairs = [Pair() for _ in range(8)]
    for pair in pairs:
        poller.add(pair.descriptor)
        pair.theirs.send(b"a")
    told = {pair.descriptor: threading.Semaphore(0) for pair in pairs}
    turns = 50

    def arm(pair: Pair) -> None:
        for _ in range(1, turns):
            told[pair.descriptor].acquire()
            poller.arm(pair.descriptor, READ)

    threads = [threading.Thread(target=arm, args=(pair,), daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    counted = 0
    while counted < turns * len(pairs):
        for descriptor in poller.poll(SECONDS_MAX):
            counted += 1
            told[descriptor].release()
    for thread in threads:
        thread.join(SECONDS_MAX)
    assert now(poller) == []
    for pair in pairs:
        poller.disarm(pair.descriptor)
        pair.close()


def test_arming_what_is_closed_is_harmless(poller: Poller) -> None:
    pair = Pair()
    poller.add(pair.descriptor)
    poller.disarm(pair.descriptor)
    pair.close()
    poller.arm(pair.descriptor, READ)
    poller.arm(pair.descriptor, WRITE)
    assert now(poller) == []


def test_arming_a_number_that_another_has_now_makes_one_event_at_most(poller: Poller) -> None:
    old = Pair()
    poller.add(old.descriptor)
    poller.disarm(old.descriptor)
    old.close()
    new = Pair()
    assert new.descriptor == old.descriptor
    poller.arm(old.descriptor, READ)
    poller.add(new.descriptor)
    new.theirs.send(b"a")
    assert now(poller) == [new.descriptor]
    poller.arm(old.descriptor, READ)
    assert now(poller) == [new.descriptor]
    assert now(poller) == []
    poller.disarm(new.descriptor)
    new.close()


# --- attention ----------------------------------------------------------------------------------


def test_attention_is_told_as_often_as_somebody_looks(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    assert now(poller) == []
    pair.theirs.send(b"a")
    assert poller.poll(0.0) == [pair.descriptor]
    assert poller.poll(0.0) == [pair.descriptor], "nobody has read it"
    assert pair.ours.recv(9) == b"a"
    assert now(poller) == []
    pair.theirs.send(b"b")
    assert poller.poll(0.0) == [pair.descriptor], "and nobody had to ask again"
    poller.disarm(pair.descriptor)


def test_the_peers_end_is_told_to_who_attends(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    pair.theirs.close()
    assert poller.poll(0.0) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_what_came_before_the_attention_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor], "the arming is spent"
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller)
    poller.disarm(pair.descriptor)


def test_to_attend_what_is_attended_asks_nobody(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    told = Told(poller)
    poller.attend(pair.descriptor)
    assert told.calls == 0
    pair.theirs.send(b"a")
    assert poller.poll(0.0) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_who_is_muted_is_silent_until_it_is_attended_again(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    pair.theirs.send(b"a")
    assert poller.poll(0.0) == [pair.descriptor]
    poller.mute(pair.descriptor)
    assert now(poller) == []
    pair.theirs.send(b"b")
    assert now(poller) == []
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller), "what came meanwhile is not lost"
    assert pair.ours.recv(9) == b"ab"
    poller.disarm(pair.descriptor)


def test_who_is_muted_can_be_armed(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    pair.theirs.send(b"a")
    poller.mute(pair.descriptor)
    poller.arm(pair.descriptor, WRITE)
    assert now(poller) == [pair.descriptor]
    assert now(poller) == []
    poller.disarm(pair.descriptor)


def test_to_mute_takes_no_arming_away(poller: Poller, pair: Pair) -> None:
    """Nobody attends: what it is armed for is told."""
    poller.add(pair.descriptor)
    poller.mute(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    pair.fill()
    poller.arm(pair.descriptor, WRITE)
    poller.mute(pair.descriptor)
    pair.drain()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_an_arming_ends_the_attention(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    poller.arm(pair.descriptor, READ)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    assert now(poller) == [], "there is one event an arming"
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller), "it was not taken for attended"
    poller.disarm(pair.descriptor)


def test_to_attend_what_is_closed_is_harmless_and_forgotten(poller: Poller) -> None:
    old = Pair()
    poller.add(old.descriptor)
    poller.disarm(old.descriptor)
    old.close()
    poller.attend(old.descriptor)
    poller.mute(old.descriptor)
    poller.attend(old.descriptor)
    assert now(poller) == []
    new = Pair()
    assert new.descriptor == old.descriptor
    poller.add(new.descriptor)
    new.theirs.send(b"a")
    assert now(poller) == [new.descriptor]
    assert now(poller) == [], "the newcomer is armed for one event, and has nobody's attention"
    poller.attend(new.descriptor)
    assert new.descriptor in now(poller)
    poller.disarm(new.descriptor)
    new.close()


def test_to_mute_what_is_closed_is_harmless(poller: Poller) -> None:
    pair = Pair()
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    poller.disarm(pair.descriptor)
    pair.close()
    poller.mute(pair.descriptor)
    assert now(poller) == []


def test_a_number_is_attended_no_longer_when_its_owner_has_gone(poller: Poller) -> None:
    old = Pair()
    poller.add(old.descriptor)
    poller.attend(old.descriptor)
    now(poller)
    poller.disarm(old.descriptor)
    old.close()
    new = Pair()
    assert new.descriptor == old.descriptor
    poller.add(new.descriptor)
    new.theirs.send(b"a")
    assert now(poller) == [new.descriptor]
    assert now(poller) == []
    poller.attend(new.descriptor)
    assert new.descriptor in now(poller), "it was taken for attended, and nobody was asked"
    poller.disarm(new.descriptor)
    new.close()


def test_attention_to_a_number_that_another_has_now_can_be_muted(poller: Poller) -> None:
    old = Pair()
    poller.add(old.descriptor)
    poller.disarm(old.descriptor)
    old.close()
    new = Pair()
    assert new.descriptor == old.descriptor
    poller.add(new.descriptor)
    poller.attend(old.descriptor)
    new.theirs.send(b"a")
    assert new.descriptor in now(poller), "once more than it asked for, and it is not its reader's"
    poller.mute(new.descriptor)
    assert now(poller) == []
    poller.attend(new.descriptor)
    assert new.descriptor in now(poller)
    poller.disarm(new.descriptor)
    new.close()


# --- muted and attended at once -----------------------------------------------------------------


class Told:
    """Counts what a poller tells its kernel, and before and after the first of it calls whoever
    comes between.
    """

    def __init__(self, poller: Poller) -> None:
        self.calls = 0
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        if isinstance(poller, EpollPoller):
            self._kernel: object = poller._epoll
            self.modify = self._told(poller._epoll.modify)
            poller._epoll = cast("select.epoll", self)
        else:
            assert isinstance(poller, SelectorPoller)
            self._kernel = poller._selector
            self.unregister = self._told(poller._selector.unregister)
            poller._selector = cast("selectors.DefaultSelector", self)
            wanted = poller._wanted
            poller._wanted = cast("deque[tuple[int, int]]", Queued(wanted, self._told))

    def __getattr__(self, name: str) -> object:
        return getattr(self._kernel, name)

    def _told(self, call: Callable[..., object]) -> Callable[..., object]:
        def told(*arguments: object) -> object:
            self.calls += 1
            before, self.before = self.before, []
            for one in before:
                one()
            try:
                return call(*arguments)
            finally:
                after, self.after = self.after, []
                for one in after:
                    one()

        return told


class Queued:
    """What is to be told to a selector, by whoever polls."""

    def __init__(
        self,
        wanted: deque[tuple[int, int]],
        told: Callable[[Callable[..., object]], Callable[..., object]],
    ) -> None:
        self.append = told(wanted.append)
        self.popleft = wanted.popleft
        self._wanted = wanted

    def __len__(self) -> int:
        return len(self._wanted)


def test_who_attends_while_it_is_muted_can_be_attended_afterwards(
    poller: Poller, pair: Pair
) -> None:
    """The worker parks it, finds it attended, and asks nobody; the reactor, in the middle of its
    muting, looks again afterwards, and finds it parked. Then it must not be deaf.
    """
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    Told(poller).before.append(lambda: poller.attend(pair.descriptor))
    poller.mute(pair.descriptor)
    pair.theirs.send(b"a")
    now(poller)  # there may be an event, or none
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller), "it is noted as attended, and silent"
    poller.disarm(pair.descriptor)


def test_who_attends_when_it_has_just_been_silenced_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    poller.attend(pair.descriptor)
    now(poller)
    Told(poller).after.append(lambda: poller.attend(pair.descriptor))
    poller.mute(pair.descriptor)
    pair.theirs.send(b"a")
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller)
    poller.disarm(pair.descriptor)


def test_who_is_muted_while_it_is_attended_is_told_at_least_once(
    poller: Poller, pair: Pair
) -> None:
    """The other way round: the muting comes between the note and the word to the kernel."""
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    Told(poller).before.append(lambda: poller.mute(pair.descriptor))
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller), "the last word in the kernel is not silence"
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller)
    poller.disarm(pair.descriptor)


def test_who_is_armed_while_it_is_attended_can_be_attended_afterwards(
    poller: Poller, pair: Pair
) -> None:
    """It is told of at once, read, and armed for one event, before the worker has come back."""
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    Told(poller).after.append(lambda: poller.arm(pair.descriptor, READ))
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller)
    now(poller)
    poller.attend(pair.descriptor)
    assert pair.descriptor in now(poller), "it is noted as attended, and its arming is spent"
    poller.disarm(pair.descriptor)


def test_who_is_told_of_before_the_attention_is_over_stays_attended(
    poller: Poller, pair: Pair
) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    found: list[int] = []
    Told(poller).after.append(lambda: found.extend(now(poller)))
    poller.attend(pair.descriptor)
    assert pair.descriptor in found
    assert pair.descriptor in now(poller)
    poller.disarm(pair.descriptor)


def test_a_newcomer_that_comes_while_a_closed_number_is_forgotten_is_not_deaf(
    poller: Poller,
) -> None:
    """The kernel has said that nobody has this number. Now somebody has, and is attended."""
    old = Pair()
    poller.add(old.descriptor)
    poller.disarm(old.descriptor)
    old.close()
    newcomers: list[Pair] = []

    def come() -> None:
        new = Pair()
        newcomers.append(new)
        poller.add(new.descriptor)
        new.theirs.send(b"a")
        assert new.descriptor in now(poller)
        assert new.ours.recv(9) == b"a"
        poller.attend(new.descriptor)

    Told(poller).after.append(come)
    poller.attend(old.descriptor)
    (new,) = newcomers
    assert new.descriptor == old.descriptor
    now(poller)
    new.theirs.send(b"b")
    assert new.descriptor in now(poller)
    poller.disarm(new.descriptor)
    new.close()


def test_a_newcomer_that_gets_the_number_while_it_is_attended_is_not_deaf(poller: Poller) -> None:
    """The worker has stopped between its note and its word to the kernel for as long as that."""
    old = Pair()
    newcomers: list[Pair] = []
    poller.add(old.descriptor)

    def replace() -> None:
        poller.disarm(old.descriptor)
        old.close()
        newcomers.append(Pair())
        poller.add(newcomers[0].descriptor)

    Told(poller).before.append(replace)
    poller.attend(old.descriptor)
    (new,) = newcomers
    assert new.descriptor == old.descriptor
    new.theirs.send(b"a")
    assert new.descriptor in now(poller)
    assert new.ours.recv(9) == b"a"
    now(poller)
    poller.attend(new.descriptor)
    new.theirs.send(b"b")
    assert new.descriptor in now(poller)
    poller.mute(new.descriptor)
    assert now(poller) == []
    poller.disarm(new.descriptor)
    new.close()


# --- disarming, waking, closing -----------------------------------------------------------------


def test_what_is_disarmed_is_silent_and_its_number_is_free(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    poller.disarm(pair.descriptor)
    assert now(poller) == []
    poller.add(pair.descriptor)
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_disarming_what_it_does_not_know_is_harmless(poller: Poller, pair: Pair) -> None:
    """A listener that was never opened, because the reactor died before."""
    poller.disarm(pair.descriptor)
    assert now(poller) == []


def test_a_wake_before_the_poll_is_not_lost(poller: Poller) -> None:
    poller.wake()
    assert poller.poll(SECONDS_MAX) == []


def test_a_wake_during_the_poll_ends_it(poller: Poller) -> None:
    waiting = threading.Thread(target=poller.poll, args=(None,), daemon=True)
    waiting.start()
    poller.wake()
    waiting.join(SECONDS_MAX)
    assert not waiting.is_alive()


def test_many_wakes_are_one(poller: Poller) -> None:
    for _ in range(100_000):
        poller.wake()
    assert poller.poll(SECONDS_MAX) == []
    assert isinstance(poller, EpollPoller | SelectorPoller)
    still_ringing: list[object] = (
        [*poller._epoll.poll(0)]
        if isinstance(poller, EpollPoller)
        else [*poller._selector.select(0)]
    )
    assert not still_ringing


@pytest.mark.parametrize("seconds", [0.0, 0.0001, None, 1e7, 1e12])
def test_any_time_may_be_waited_for(poller: Poller, seconds: float | None) -> None:
    """epoll_wait(2) counts milliseconds in an int: 24 days, and Config allows more."""
    poller.wake()
    assert poller.poll(seconds) == []


def test_closing_gives_everything_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for kind in KINDS:
        one = kind()
        one.close()
        one.close()
        one.wake()
        one.arm(0, READ)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("lacking", ["epoll", "eventfd", None])
def test_the_best_is_chosen(monkeypatch: pytest.MonkeyPatch, lacking: str | None) -> None:
    if lacking is not None:
        monkeypatch.delattr(select if lacking == "epoll" else os, lacking)
    one = best_poller()
    assert isinstance(one, EpollPoller if lacking is None else SelectorPoller)
    one.close()
