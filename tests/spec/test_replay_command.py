"""`python -m statemachine replay`: what it says of good traces, of bad ones, and of no traces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from statemachine.__main__ import main
from statemachine.model import BIRTH_STEP
from statemachine.noting import LINKED, LOST, NAMED, Row
from statemachine.tracefile import Ending
from tests.spec.tapes import Tape, code, replayed, tape

REQUEST = ((9, "W1"), (7, "C1"), (1, "J1"), (9, "W4"), (1, "J3"), (7, "C8"), (7, "C11"), (1, "J5"))
SETTLED = (*REQUEST, (9, "W7"))
LINKS: tuple[Row, ...] = ((BIRTH_STEP + LINKED, 7, 0.0), (7 * BIRTH_STEP + NAMED, 33, 0.0))

Captured = pytest.CaptureFixture[str]


def written(folder: Path, one: Tape, name: str = "t") -> str:
    (folder / name).write_bytes(one.binary())
    return str(folder / name)


def test_a_legal_trace_is_summed_up(tmp_path: Path, capsys: Captured) -> None:
    one = tape(*SETTLED)
    assert one.ending is not None
    file = written(tmp_path, replace(one, ending=one.ending._replace(says="that is all")))
    assert main(["replay", file]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{file}: legal: 9 arrows taken by 3 objects, 9 of 204 kinds, in ")
    assert rest == [
        "  not in a final state at the end: 1 connection, 1 worker",
        "  ledger: accepted 1 = answered 1 + shed 0 + client-gone 0 + forced 0",
        "  the writer's last words: that is all",
        "  as many of each arrow as the process counted",
    ]


def test_what_the_trace_does_not_show_is_told(tmp_path: Path, capsys: Captured) -> None:
    rows: list[Row] = [(code(5, "C8"), 1, 0.0), (LOST, 0, 1.0), (code(5, "C11"), 1, 2.0)]
    piece = Tape(tape(whole=False).header, tuple(rows), None)
    assert main(["replay", written(tmp_path, piece)]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == [
        "  it does not begin with the process: objects are where they were first seen",
        "  rows are missing in 1 places: from there on, the same",
        "  it ends after a whole chunk, and was not ended by its writer",
    ]


def test_counts_are_by_arrow(tmp_path: Path, capsys: Captured) -> None:
    assert main(["replay", "--counts", written(tmp_path, tape(*SETTLED))]) == 0
    counts = dict(line.split() for line in capsys.readouterr().out.splitlines()[-189:])
    assert (len(counts), counts["C1"], counts["C2"]) == (189, "1", "0")


def test_the_first_illegal_row_is_named_with_whom_it_concerns(
    tmp_path: Path, capsys: Captured
) -> None:
    """The job's connection, which it is part of, and the worker, on whose thread it moved."""
    one = tape(*REQUEST[:-1], (1, "J4"))
    rows = [(row[0], 2 if n > 2 else 1, row[2]) for n, row in enumerate(one.rows)]
    file = written(tmp_path, one.having([*LINKS, *rows]))
    assert main(["replay", file]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == (
        f"{file}: illegal: row 9: job#1 J4 QUEUED --withdrawn--> WITHDRAWN: "
        "the object was in job.RUNNING"
    )
    assert out[1:6] == [
        "  whom it concerns, as they were before:",
        "    job#1 of connection#7 (33 in the logs): in RUNNING since row 6, by J3",
        "    connection#7 (33 in the logs): in PARKED since row 8, by C11",
        "    worker#9: in BUSY since row 5, by W4",
        "  the last arrows before:",
    ]
    assert len(out) == 6 + 7
    assert out[-1].split(maxsplit=4) == [
        *("8", "6.000000", "s", "worker_0"),
        "C11  connection#7 (33 in the logs): EXCHANGING --response_sent--> PARKED",
    ]


def test_one_bad_trace_among_good_ones_decides(tmp_path: Path, capsys: Captured) -> None:
    good, bad = written(tmp_path, tape(*SETTLED)), written(tmp_path, tape((1, "J3")), "bad")
    assert main(["replay", good, bad, good]) == 1
    assert [
        line.split(":")[1] for line in capsys.readouterr().out.splitlines() if "legal" in line
    ] == [*(" legal", " illegal", " legal")]


@pytest.mark.parametrize("form", ["binary", "text"])
def test_a_damaged_trace_is_one_line_and_exit_2(
    tmp_path: Path, capsys: Captured, form: str
) -> None:
    file = tmp_path / "t"
    content = tape(*SETTLED).binary() if form == "binary" else tape(*SETTLED).text().encode()
    file.write_bytes(content[:-9] + b"?" + content[-8:])
    assert main(["replay", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(
        f"statemachine: {file}: {'byte' if form == 'binary' else 'line'} "
    )
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_a_file_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "none"
    assert main(["replay", str(file)]) == 2
    said = f"statemachine: {file}: cannot be read: No such file or directory\n"
    assert capsys.readouterr() == ("", said)


def test_a_trace_can_be_converted_and_judged_again(tmp_path: Path, capsys: Captured) -> None:
    one = tape(*SETTLED).having([*LINKS, *tape(*SETTLED).rows])
    assert main(["replay", "--to-json", written(tmp_path, one)]) == 0
    text = capsys.readouterr().out
    (tmp_path / "lines").write_text(text)
    trace, replay = replayed(tmp_path / "lines")
    assert (trace.ending, sum(replay.counts)) == (one.ending, 9)
    told = [json.loads(line) for line in text.splitlines()]
    assert told[4] == {
        "row": 2,
        "object": 9,
        "arrow": "W1",
        "seconds": 0.0,
        "thread": 1,
        "on": "reactor",
        "step": "worker STARTING --started--> IDLE",
    }


def test_a_diagram_shows_who_took_what_on_which_thread(tmp_path: Path, capsys: Captured) -> None:
    file = written(tmp_path, tape(*SETTLED))
    assert main(["replay", "--diagram", "2", file]) == 0
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "sequenceDiagram",
        "    actor t1 as reactor",
        "    participant o1 as job#35;1",
        "    participant o9 as worker#35;9",
        "    t1->>o1: J5 returned → RETURNED",
        "    t1->>o9: W7 finished → IDLE",
    ]
    assert main(["replay", "--diagram", "--", file]) == 0
    assert capsys.readouterr().out.count("->>") == 9


def test_without_threads_a_diagram_shows_who_moved(tmp_path: Path, capsys: Captured) -> None:
    rows = [(row[0], 0, 0.0) for row in tape(*SETTLED).rows]
    file = written(tmp_path, Tape(tape(whole=False).header, tuple(rows), Ending(len(rows))))
    assert main(["replay", "--diagram", "1", file]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "sequenceDiagram",
        "    participant o9 as worker#35;9",
        "    o9->>o9: W7 finished → IDLE",
    ]
