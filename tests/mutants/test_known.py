"""Survivors that are known: each entry means a mutant that there is, and one that survives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from statemachine import load_system
from tests.mutants import code, handwritten, known, report, rows
from tests.mutants.campaign import Verdict
from tests.mutants.mutant import Mutant, numbered
from tests.mutants.recording import Trail, read_back, written
from tests.mutants.stored import Trails, Verdicts


def mutant(name: str, area: str = "net") -> Mutant:
    return Mutant(area, name, "constant", "server/net/pool.py", 0, 1, b"x", (3, 4))


def listed(text: str, place: Path) -> list[known.Entry]:
    file = place / "known.toml"
    file.write_text(text, encoding="utf-8")
    return known.entries(file)


ONE = '[[survivors]]\nmutant = "net: a (b)"\nreason = "it is so"\n'
EVERY = '[[survivors]]\nevery = "net: a * turned"\nequivalent = true\nreason = "it is so"\n'


def test_no_entry_is_stale() -> None:
    every = [*rows.mutants(load_system()), *code.mutants(), *handwritten.mutants()]
    areas = {one.area for one in every}
    entries = known.entries()
    assert [one.said for one in entries if one.said.split(":")[0] not in areas] == []
    assert known.stale(entries, every, areas) == []


def test_an_entry_means_one_mutant_or_every_one_of_a_form(tmp_path: Path) -> None:
    entries = listed(ONE + EVERY, tmp_path)
    assert known.entry_of(mutant("a (b)"), entries) is entries[0]
    assert known.entry_of(mutant("a b turned"), entries) is entries[1]
    assert known.entry_of(mutant("a (b)", "http1"), entries) is None
    assert known.entry_of(mutant("a (b) turned"), entries) is entries[1]
    assert known.entry_of(mutant("other"), entries) is None


def test_an_entry_of_a_mutant_that_is_none_is_stale(tmp_path: Path) -> None:
    entries = listed(ONE + EVERY, tmp_path)
    assert known.stale(entries, [mutant("a b turned")], {"net"}) == ["net: a (b)"]
    assert known.stale(entries, [], {"http1"}) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ONE + ONE, "'net: a (b)' is listed twice"),
        ('[[survivors]]\nmutant = "a"\n', "entry 1: expected a 'reason'"),
        ('[[survivors]]\nreason = "a"\n', "entry 1: expected either 'mutant' or 'every'"),
        (ONE + 'why = "a"\n', "entry 1: unknown key 'why'"),
        (ONE + "equivalent = 1\n", "entry 1: 'equivalent' is 1, expected true or false"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(known.Wrong, match=re.escape(fault)):
        listed(text, tmp_path)


def test_unknown_survivors_and_entries_of_the_killed_are_faults(tmp_path: Path) -> None:
    entries = listed(ONE + EVERY, tmp_path)
    excused, unknown = mutant("a (b)"), mutant("other")
    one_of_many = mutant("a b turned")
    assert report.faults([Verdict(excused, "survived", "", 1.0)], entries) == []
    assert report.faults([Verdict(one_of_many, "killed", "t", 1.0)], entries) == []
    (told,) = report.faults([Verdict(unknown, "survived", "no test runs it", 1.0)], entries)
    assert told == "SURVIVED net: other (server/net/pool.py:3; no test runs it)"
    (told,) = report.faults([Verdict(excused, "killed", "tests/a.py::b", 1.0)], entries)
    assert told.startswith("STALE net: a (b): ")


def test_a_score_leaves_equivalents_out(tmp_path: Path) -> None:
    entries = listed(ONE + EVERY, tmp_path)
    outcomes = {"a (b)": "survived", "a b turned": "survived", "c": "killed", "d": "killed"}
    every = [mutant(name) for name in (*outcomes, "not tried")]
    verdicts = [Verdict(one, outcomes[one.name], "", 0.1) for one in every[:4]]
    told = {"date": "a day", "command": "a command", "python": "3"}
    (score,) = report.scores(verdicts, every, entries, **told)
    assert (score.mutants, score.tried, score.killed) == (5, 4, 2)
    assert (score.equivalent, score.survived) == (1, 1)
    assert f"{score.percent:.1f}" == "66.7"
    report.merged([score], tmp_path / "scores.json")
    assert report.recorded(tmp_path / "scores.json") == [score]
    assert "| net | 5 | 4 | 2 | 1 | 1 | 66.7 % | a day | `a command` |" in report.table([score])


def test_mutants_of_one_name_are_numbered() -> None:
    assert [one.name for one in numbered([mutant("a"), mutant("b"), mutant("a")])] == [
        *("a", "b", "a #2")
    ]


def test_a_trail_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    trail = Trail(0.25, {"server/net/pool.py": 1 << 7 | 1 << 300})
    assert read_back(written(trail)) == trail
    assert trail.meets("server/net/pool.py", 5, 7)
    assert not trail.meets("server/net/pool.py", 8, 299)
    assert not trail.meets("server/net/worker.py", 1, 300)
    kept = Trails(tmp_path)
    assert kept.of("tests/test_clock.py") is None
    kept.keep("tests/test_clock.py", {"a": trail, "b": None})
    assert Trails(tmp_path).of("tests/test_clock.py") == {"a": trail, "b": None}


def test_verdicts_are_kept_as_long_as_they_hold(tmp_path: Path) -> None:
    one = mutant("a")
    store = Verdicts(["tests/test_clock.py"], tmp_path)
    assert store.of(one) is None
    store.keep(one, "survived", "")
    assert Verdicts(["tests/test_clock.py"], tmp_path).of(one) == ("survived", "")
    assert Verdicts(["tests/test_clock.py"], tmp_path, again=True).of(one) is None
    # Another test could kill it: nothing is known any more.
    assert Verdicts(["tests/test_ledger.py"], tmp_path).of(one) is None
    store.keep(one, "killed", "tests/test_clock.py::a")
    assert Verdicts(["tests/test_ledger.py"], tmp_path).of(one) == (
        *("killed", "tests/test_clock.py::a"),
    )
    assert store.of(mutant("b")) is None
