"""Lives of the whole server: none fails, and the same seed is the same life."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import h11
import pytest

from server.simulation.guest import Guest, bytes_of
from server.simulation.life import Life
from server.simulation.lives import Kind, Tally, play_all
from server.simulation.plan import RAW, SETTINGS, Plan, draw_plan
from server.simulation.settings import FOR_APPLICATIONS, OTHERWISE
from server.simulation.verdict import faults_of
from tests.house.source import TOP

LIVES = 250
FIRST = 1
DIGESTS = """
from server.simulation.life import Life
from server.simulation.plan import draw_plan
print([Life(draw_plan(seed)).play().digest() for seed in range(25)])
"""


@pytest.fixture(scope="module")
def tally() -> Tally:
    whole = Tally()
    for one in play_all(Kind(), FIRST, LIVES, 1):
        whole.add(one)
    return whole


def test_no_life_fails(tally: Tally) -> None:
    assert tally.failed == []
    assert tally.lives == LIVES


@pytest.mark.parametrize("seed", [9451, 35_025, 36_751])
def test_a_life_that_has_failed_once_does_not_again(seed: int) -> None:
    """A holder whose baton was recalled ran what it read in its last turn, and hung in it."""
    (tally,) = play_all(Kind(), seed, 1, 1)
    assert tally.failed == []


def test_lives_meet_what_they_are_meant_to_meet(tally: Tally) -> None:
    """The oracle of a fault that never comes would be satisfied by anything."""
    for kind in ("stop", "stop_twice", "strike_worker", "strike_reactor", "disk_full", "leap"):
        assert tally.befell[kind], kind
    for kind in ("client: reset", "client: mute", "client: reads slowly"):
        assert tally.befell[kind], kind
    for term in ("answered", "shed", "client_gone", "forced"):
        assert tally.outcomes[term], term
    # A keep-alive, a shed request, a cut stream, a refusal, a relay, events, a stand-in, ...
    for arrow in ("C11", "C9", "C28", "C2", "C26", "C39", "C40", "W10", "S5", "S9", "L3", "U2"):
        assert tally.arrows[arrow], arrow


def test_the_same_seed_is_the_same_life_whatever_the_process() -> None:
    """Hashes and addresses differ from one process to the next; nothing may depend on them."""
    told = [
        subprocess.run(
            [sys.executable, "-c", f"junk = [object() for _ in range({junk})]\n{DIGESTS}"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=TOP,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed, junk in (("1", 10), ("4711", 12_345))
    ]
    assert told[0] == told[1]
    assert len(set(eval(told[0]))) == 25


def test_a_watched_life_is_no_other() -> None:
    for seed in range(12):
        plan = draw_plan(seed)
        assert Life(plan, watched=True).play().digest() == Life(plan).play().digest()


def test_another_parser_reads_the_same_responses() -> None:
    """h11 is a client here: what the strict reader has read, it reads too."""
    compared = 0
    for seed in range(40):
        past = Life(draw_plan(seed)).play()
        for guest in past.guests:
            compared += _compare(guest)
    assert compared > 60


def _compare(guest: Guest) -> int:
    data, compared, at = guest.read_so_far(), 0, 0
    for number, reply in enumerate(guest.reader.finals):
        if number >= len(guest.plan.asks):
            break
        method = guest.plan.asks[number].method
        if not method.isalpha():
            break
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(bytes(data[at : reply.end]))
        if reply.head.closes:
            client.receive_data(b"")
        at, content, status = reply.end, b"", 0
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA
            if isinstance(event, h11.Response):
                status = event.status_code
            if isinstance(event, h11.Data):
                content += bytes(event.data)
        assert (status, content) == (reply.status, reply.content)
        compared += 1
    return compared


# --- plans ------------------------------------------------------------------------------------


def test_a_plan_without_some_parts_is_the_same_but_for_them() -> None:
    plan = next(one for one in map(draw_plan, range(100)) if one.deeds and len(one.visitors) > 2)
    first = plan.visitors[0]
    less = plan.without([first.name, plan.deeds[0].name, plan.visitors[1].asks[0].name])
    assert less.visitors[1:] == plan.visitors[2:]
    assert less.visitors[0].asks == plan.visitors[1].asks[1:]
    assert less.deeds == plan.deeds[1:]
    assert set(plan.parts) - set(less.parts) == {
        *(first.name, plan.deeds[0].name, plan.visitors[1].asks[0].name),
        *(ask.name for ask in first.asks),
    }


def test_every_setting_is_drawn() -> None:
    assert len(OTHERWISE) == SETTINGS == FOR_APPLICATIONS
    assert {draw_plan(seed).setting for seed in range(200)} == set(range(SETTINGS))


@pytest.mark.parametrize(("kind", "raw"), RAW)
def test_malformed_requests_are_refused(kind: str, raw: bytes) -> None:
    """Each of them is met in some life; here alone, so that none hides behind another."""
    plan = _lone(kind, raw)
    past = Life(plan).play()
    assert faults_of(past) == []
    (guest,) = past.guests
    assert [reply.status // 100 for reply in guest.reader.finals] in ([4], [5])
    assert guest.reader.finals[0].head.closes


def _lone(kind: str, raw: bytes) -> Plan:
    plan = draw_plan(1)
    visitor = plan.visitors[0]
    ask = replace(visitor.asks[0], kind=kind, raw=raw, method=raw.split(b" ")[0].decode("latin-1"))
    assert bytes_of(ask) == (raw, b"")
    plain = replace(
        visitor, asks=(ask,), end="leave", piece_bytes=0, buffer_bytes=0, sip_bytes=0, window=1
    )
    return replace(plan, visitors=(plain,), deeds=(), setting=0)


def test_a_life_does_not_depend_on_the_one_before() -> None:
    """Here a thread was torn out before its first line, on a greenlet that had carried another."""
    kind = Kind()
    alone, faults = kind.play(kind.plan(701_184))
    kind.play(kind.plan(701_183))
    after, again = kind.play(kind.plan(701_184))
    assert after.digest() == alone.digest()
    assert (faults, again) == ([], [])
