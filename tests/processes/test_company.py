"""All processes as their operator sees them: what each answers, summed, and who does not."""

from __future__ import annotations

import dataclasses
import logging
import threading

import pytest

from server.ops.control import NotDone
from server.ops.several import Unanswered, unready
from server.ops.snapshot import Snapshot
from server.processes import company as company_module
from server.processes.channel import integer
from server.processes.company import Company
from server.processes.gathering import ANSWER_SECONDS_MAX, Gathered, Question, Then
from server.processes.world import Asked, Told
from server.server import sound_system
from tests.machines.brood import Brood


@pytest.fixture
def brood() -> Brood:
    """Two processes that serve."""
    one = Brood()
    one.ready(1, 2)
    return one


def seen(brood: Brood) -> Snapshot:
    """What the one question under way has come to."""
    (gathered,) = brood.gathered
    brood.gathered.clear()
    return brood.company().sum_of(gathered)


def scraped(brood: Brood, *silent: int) -> Snapshot:
    """All are asked, and all answer but these."""
    brood.wonder()
    for number in brood.alive():
        if number not in silent:
            brood.answers(number)
    if silent:
        assert brood.gathered == []
        brood.passes(ANSWER_SECONDS_MAX)
    return seen(brood)


def test_counts_are_summed_and_each_process_is_there(brood: Brood) -> None:
    brood.works(1, 5, 3)
    brood.works(2, 7, 7)
    now = scraped(brood)
    assert (now.ledger.accepted, now.ledger.answered, now.ledger.open) == (12, 10, 2)
    assert now.answers == {("GET", 200): 10}
    assert now.latency.counts[0] == 10
    assert (now.connections, now.connections_max) == (2, 20)
    assert now.occupancy["readiness"]["READY"] == 2
    assert now.occupancy["fleet"]["SERVING"] == 1
    assert now.occupancy["process"]["SERVING"] == 2
    assert (now.url, now.uptime_seconds, now.process.cpu_seconds) == ("http://x", 1.0, 0.5)
    assert now.several is not None
    assert [one.number for one in now.several.parts] == [1, 2]
    assert [one.now and one.now.connections for one in now.several.parts] == [2, 0]
    assert (now.ready, unready(now), now.faults) == (True, [], ())


def test_who_does_not_answer_is_named_and_what_it_has_counted_stays(brood: Brood) -> None:
    brood.works(2, 4, 4)
    assert scraped(brood).answers == {("GET", 200): 4}
    brood.works(2, 3, 2)
    now = scraped(brood, 2)
    assert now.answers == {("GET", 200): 4}, "by the last that it has told"
    assert (now.ledger.accepted, now.ledger.answered, now.ledger.open) == (7, 6, 1), "by its board"
    assert now.connections_max == 10, "only those of whom it is known"
    assert now.several is not None
    assert [(one.was_asked, one.now is None) for one in now.several.parts] == [
        (True, False),
        (True, True),
    ]
    assert (now.ready, unready(now)) == (False, ["process 2 does not answer"])
    brood.answers(2)
    assert brood.gathered == [], "nobody waits for it any more"
    assert scraped(brood).ready


def test_counts_that_come_with_an_answer_are_not_told_twice(brood: Brood) -> None:
    brood.works(1, 2, 2)
    scraped(brood)
    brood.wonder()
    brood.answers(1)
    brood.passes(ANSWER_SECONDS_MAX)
    processes = brood.gathered[0].facts["processes"]
    assert isinstance(processes, list)
    assert [one["last"] is None for one in processes] == [True, False]


def test_a_process_that_was_killed_leaves_its_counts(brood: Brood) -> None:
    brood.works(1, 9, 8)
    scraped(brood)
    brood.works(1, 1, 1)
    brood.dies(1)
    now = scraped(brood)
    assert now.answers == {("GET", 200): 8}
    assert (now.ledger.answered, now.ledger.outcomes["lost_by_crash"]) == (9, 1)
    assert unready(now) == ["place 1 has no process that serves"]
    brood.ready(3)
    brood.works(3, 5, 5)
    assert scraped(brood).answers == {("GET", 200): 13}


def test_a_process_that_ends_tells_all_that_it_has_counted(brood: Brood) -> None:
    brood.works(1, 6, 6)
    brood.stops(1)
    brood.ends(1)
    now = scraped(brood)
    assert now.answers == {("GET", 200): 6}
    assert now.ledger.accepted == 6
    assert now.ledger.imbalance == 0


def test_who_dies_before_the_end_of_a_question_is_not_waited_for(brood: Brood) -> None:
    brood.works(1, 2, 2)
    brood.wonder()
    brood.answers(1)
    brood.dies(1)
    assert brood.gathered == []
    brood.answers(2)
    now = seen(brood)
    assert now.answers == {("GET", 200): 2}, "counted once, as one that is over"
    assert now.ledger.accepted == 2


def test_who_answers_twice_or_was_not_asked_is_heard_once_or_never(brood: Brood) -> None:
    first = Brood()
    first.ready(1)
    for one, number in ((brood, 1), (first, 2)):
        one.wonder()
        ((asked,),) = [child.asked for child in one.children.values() if child.asked][:1]
        answer = {"says": "told", "id": asked["id"], "value": {"snapshot": one.snapshot(1)}}
        for _ in range(2):
            one.tell(Told(number, answer))
        assert one.gathered == []
    brood.answers(2)
    first.answers(1)
    assert sorted(brood.gathered[0].answers) == [1, 2]
    assert sorted(first.gathered[0].answers) == [1]


def test_old_and_new_processes_are_there_together_in_a_restart(brood: Brood) -> None:
    brood.tell(Asked.RESTART)
    brood.ready(3)
    now = scraped(brood)
    assert now.several is not None
    assert (now.several.state, now.ready) == ("ROLLING", True)
    assert [(one.number, one.state) for one in now.several.parts] == [
        (1, "DRAINING"),
        (2, "SERVING"),
        (3, "SERVING"),
    ]


def test_a_fleet_that_stops_or_has_a_vacant_place_is_not_ready(brood: Brood) -> None:
    brood.tell(Asked.STOP)
    assert unready(scraped(brood))[0] == "the processes are DRAINING"
    first = Brood()
    first.wonder()
    assert unready(seen(first)) == [
        "the processes are STARTING",
        "place 1 has no process that serves",
        "place 2 has no process that serves",
    ]


def test_a_process_that_is_not_ready_or_sound_is_named(brood: Brood) -> None:
    brood.wonder()
    told = brood.snapshot(1)
    brood.answers(1, {"snapshot": {**told, "faults": ["Two are together."]}})
    brood.answers(
        2, {"snapshot": {**told, "ready": False, "occupancy": {"readiness": {"OVERCOMMITTED": 1}}}}
    )
    now = seen(brood)
    assert unready(now) == ["process 2 is OVERCOMMITTED"]
    assert now.faults == ("process 1: Two are together.",)


@pytest.mark.parametrize(
    "answer", [7, "x", [], {}, {"snapshot": None}, {"snapshot": {"ready": True}}, {"snapshot": []}]
)
def test_an_answer_that_is_none_is_as_good_as_silence(brood: Brood, answer: object) -> None:
    brood.wonder()
    brood.answers(1, answer)
    brood.answers(2)
    now = seen(brood)
    assert unready(now) == ["process 1 does not answer"]
    assert now.connections_max == 10
    brood.dies(1)
    assert scraped(brood).connections_max == 10


def test_facts_of_another_version_are_told_in_one_line(brood: Brood) -> None:
    with pytest.raises(Unanswered, match=r"^the processes are not understood: KeyError: 'past'$"):
        brood.company().sum_of(Gathered({}, {}))


def test_a_child_that_wonders_hears_all_of_them(brood: Brood) -> None:
    brood.works(1, 2, 1)
    brood.tell(Told(2, {"says": "wonders", "id": 5, "what": "snapshot"}))
    brood.answers(1)
    brood.answers(2)
    *answers, last = brood.children[2].heard
    assert brood.children[1].heard == []
    assert [(one["id"], one["number"]) for one in answers] == [(5, 1), (5, 2)]
    assert last["id"] == 5
    facts = last["facts"]
    assert isinstance(facts, dict)
    heard = Gathered(facts, {integer(one, "number"): one["value"] for one in answers})
    assert brood.company().sum_of(heard).ledger.open == 1


def test_workers_that_were_asked_for_are_those_of_a_successor_too(brood: Brood) -> None:
    brood.wonder("resize", threads=9)
    assert [one.asked[0]["argument"] for one in brood.children.values()] == [{"threads": 9}] * 2
    brood.dies(1)
    brood.ready(3)
    (order,) = brood.children[3].asked
    assert (order["what"], order["argument"]) == ("resize", {"threads": 9})


def test_whoever_asks_wrongly_does_not_end_the_parent(
    brood: Brood, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Gathered) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        brood.parent.inquiries.ask(Question("snapshot"), fail)
        for number in (1, 2):
            brood.answers(number)
    assert "could not be told" in caplog.text
    assert scraped(brood).ready


# --- the company's words ------------------------------------------------------------------------


def company(**answers: object) -> Company:
    """Two processes that answer so: `one` and `two`."""
    found = {{"one": 1, "two": 2}[name]: value for name, value in answers.items()}
    processes = [{"number": number, "asked": True} for number in (1, 2)]
    facts: dict[str, object] = {"processes": processes}
    return Company(sound_system(), lambda _, then: then(Gathered(facts, found)), lambda: "SERVING")


def test_pages_of_connections_are_put_together() -> None:
    one = {"page": 0, "pages": 2, "total": 150, "connections": [{"serial": 1}, {"serial": 2}]}
    two = {"page": 0, "pages": 1, "total": 1, "connections": [{"serial": 1}]}
    assert company(one=one, two=two).connections("", 0) == {
        "page": 0,
        "pages": 2,
        "total": 151,
        "connections": [
            {"process": 1, "serial": 1},
            {"process": 1, "serial": 2},
            {"process": 2, "serial": 1},
        ],
    }


def test_stacks_are_told_by_process() -> None:
    text = company(one="main (1)\n").stacks()
    assert text == "process 1\n\nmain (1)\n\nprocess 2\n\ndoes not answer"


def test_an_order_is_carried_out_by_all_or_it_is_said_by_whom_not() -> None:
    assert company(one=True, two=True).resize(3)
    assert not company(one=False).resize(3)
    with pytest.raises(NotDone, match="not done by process 2, by the others it is"):
        company(one=True).resize(3)
    assert company().dump("asked for") is None
    assert company(two="/tmp/x").dump("asked for") == (
        "process 1: nothing was written\nprocess 2: /tmp/x"
    )


def test_a_parent_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company_module, "PARENT_SECONDS_MAX", 0.001)
    one = Company(sound_system(), lambda *_: None, lambda: "SERVING")
    with pytest.raises(Unanswered, match="the parent of the processes does not answer"):
        one.snapshot()


def test_a_view_comes_when_they_have_answered(brood: Brood) -> None:
    views: list[tuple[Snapshot, list[object]]] = []
    brood.company().view(lambda now, lanes: views.append((now, list(lanes))))
    lane = {"name": "worker_0", "state": "BUSY", "request": "GET /", "seconds": 1}
    brood.answers(1, {"snapshot": brood.snapshot(1), "lanes": [lane]})
    assert views == []
    brood.answers(2)
    ((now, lanes),) = views
    assert now.ready
    assert [dataclasses.astuple(one) for one in lanes] == [("1/worker_0", "BUSY", "GET /", 1.0)]  # type: ignore[call-overload] # a Lane


def test_a_page_is_asked_for_on_another_thread_than_the_parent_s(brood: Brood) -> None:
    begun, found = threading.Event(), list[Snapshot]()
    turns: list[tuple[Question, Then]] = []

    def ask(question: Question, then: Then) -> None:
        turns.append((question, then))
        begun.set()

    one = Company(sound_system(), ask, lambda: "SERVING")
    asker = threading.Thread(target=lambda: found.append(one.snapshot()))
    asker.start()
    assert begun.wait(10)
    ((question, then),) = turns
    brood.parent.inquiries.ask(question, then)
    for number in (1, 2):
        brood.answers(number)
    asker.join(10)
    assert found[0].ready
