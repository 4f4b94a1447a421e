"""Replay: what was lived is legal, and what was dropped, doubled, moved or forged is found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import hypothesis
import hypothesis.strategies as st
import pytest

from statemachine import Engine, chunks
from statemachine.ground import Bond, Ground
from statemachine.model import BIRTH_STEP
from statemachine.noting import LINKED, LOST, NAMED, Row
from statemachine.replay import IllegalTrace, Replay, account
from statemachine.replaying import opened
from statemachine.tracefile import Ending, TraceError, digest
from tests.spec.tapes import GROUND, IDS, NUMBERS, SYSTEM, Tape, code, recorded, replayed, tape

LIFE = ((9, "W1"), (1, "J1"), (9, "W4"), (1, "J3"), (1, "J5"), (9, "W7"), (9, "W5"))
LIFE_COUNTS = dict.fromkeys((arrow for _, arrow in LIFE), 1)
STOPPED = (*LIFE, (3, "P1"), (3, "P4"))
seeds = st.integers(min_value=0, max_value=1 << 32)
each_engine = pytest.mark.parametrize("engine", get_args(Engine))


def fault(one: Tape) -> str:
    """What is wrong with a tape."""
    with pytest.raises(IllegalTrace) as caught:
        one.judged()
    return str(caught.value)


def is_caught(one: Tape) -> bool:
    try:
        one.judged()
    except IllegalTrace:
        return True
    return False


def kind(row: Row) -> tuple[int, int]:
    """Whose row it is, and the number of the arrow."""
    return row[0] // BIRTH_STEP, row[0] % BIRTH_STEP


class TestWhatWasLived:
    @each_engine
    @hypothesis.settings(max_examples=10)
    @hypothesis.given(seeds)
    def test_it_is_legal(self, engine: Engine, seed: int) -> None:
        one = recorded(seed, engine)
        replay = one.judged()
        assert one.ending is not None
        assert {name: n for name, n in replay.taken().items() if n} == one.ending.taken
        assert len(replay.places) == len({kind(row)[0] for row in one.rows})

    @hypothesis.settings(max_examples=25)
    @hypothesis.given(seeds, st.data())
    def test_any_piece_of_it_is_legal_as_what_it_is(self, seed: int, data: st.DataObject) -> None:
        """A dump begins and ends anywhere: within a joint step, too."""
        one = recorded(seed)
        first = data.draw(st.integers(0, len(one.rows)))
        last = data.draw(st.integers(first, len(one.rows)))
        header = one.header._replace(whole=False)
        Tape(header, one.rows[first:last], Ending(last - first)).judged()

    @hypothesis.settings(max_examples=25)
    @hypothesis.given(seeds, st.data())
    def test_what_is_left_around_a_loss_is_legal(self, seed: int, data: st.DataObject) -> None:
        one = recorded(seed)
        first = data.draw(st.integers(0, len(one.rows)))
        last = data.draw(st.integers(first, len(one.rows)))
        loss: Row = (LOST, 0, 0.0)
        replay = one.having([*one.rows[:first], loss, *one.rows[last:]]).judged()
        assert (replay.lost, replay.whole) == (1, False)

    def test_who_was_open_before_is_told(self) -> None:
        piece = tape((5, "C8"), (5, "C11"), (5, "C1"), whole=False)
        assert account(GROUND, piece.judged()) == (
            "ledger: accepted 1 + open before 1 = answered 1 + shed 0 + client-gone 0 + forced 0"
            " + open 1"
        )


class TestWhatIsForged:
    """Everything below is written anew, with right checksums and numbers, by who can do that."""

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_a_dropped_row_is_found(self, seed: int) -> None:
        one = recorded(seed)
        for index in range(len(one.rows)):
            assert is_caught(one.without(index)), one.rows[index]

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_a_row_told_twice_is_found(self, seed: int) -> None:
        one = recorded(seed)
        for index, row in enumerate(one.rows):
            assert is_caught(one.having([*one.rows[:index], row, *one.rows[index:]])), row

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_two_rows_of_one_object_in_the_wrong_order_are_found(self, seed: int) -> None:
        """But for two arrows between the same two states, taken by different threads."""
        one, tried = recorded(seed), 0
        for first, last in pairs_of_one_object(one):
            rows = list(one.rows)
            rows[first], rows[last] = rows[last], rows[first]
            tried += 1
            assert is_caught(one.having(rows)) or are_parallel(one.rows[first], one.rows[last])
        assert tried

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_another_arrow_is_found(self, seed: int) -> None:
        one, chance = recorded(seed), random.Random(seed)
        for index, (noted, thread, seconds) in enumerate(one.rows):
            others = [n for n in range(len(IDS)) if n != noted % BIRTH_STEP]
            forged = noted - noted % BIRTH_STEP + chance.choice(others), thread, seconds
            assert is_caught(one.having([*one.rows[:index], forged, *one.rows[index + 1 :]]))

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_another_object_is_found(self, seed: int) -> None:
        """But where two objects are in one state, and one goes on as the other would have."""
        one, chance = recorded(seed), random.Random(seed)
        births = sorted({kind(row)[0] for row in one.rows} | {1 << 40})
        for index, row in enumerate(one.rows):
            other = chance.choice([birth for birth in births if birth != kind(row)[0]])
            forged = other * BIRTH_STEP + kind(row)[1], *row[1:]
            rows = [*one.rows[:index], forged, *one.rows[index + 1 :]]
            assert is_caught(one.having(rows)) or change_places(one, index, other)

    def test_an_arrow_that_is_none_is_found(self) -> None:
        one = tape(*LIFE)
        forged = one.having([*one.rows, (BIRTH_STEP + len(IDS), 1, 9.0)])
        assert fault(forged) == f"row 7: {len(IDS)} is no arrow's number"


def pairs_of_one_object(one: Tape) -> Iterator[tuple[int, int]]:
    """The places of every two rows of one object that differ in their arrow."""
    for first, row in enumerate(one.rows):
        for last in range(first + 1, len(one.rows)):
            other = one.rows[last]
            if kind(row)[0] == kind(other)[0] and kind(row)[1] != kind(other)[1]:
                yield first, last


def are_parallel(row: Row, other: Row) -> bool:
    """Whether nothing but the clock of one thread could tell them apart."""
    a, b = kind(row)[1], kind(other)[1]
    ends = {(GROUND.source[n], GROUND.target[n]) for n in (a, b)}
    return len(ends) == 1 and row[1] != other[1]


def change_places(one: Tape, index: int, other: int) -> bool:
    """Whether the object's last row went to one that was in the same state, for good."""
    birth, arrow = kind(one.rows[index])
    later = [kind(row)[0] for row in one.rows[index + 1 :]]
    before = [kind(row)[1] for row in one.rows[:index] if kind(row)[0] == other]
    loops = GROUND.source[arrow] == GROUND.target[arrow]
    if before:
        same_place = GROUND.target[before[-1]] == GROUND.source[arrow]
    else:
        same_place = GROUND.begins[arrow]
    return same_place and (loops or (birth not in later and other not in later))


class TestFiles:
    @hypothesis.settings(max_examples=25)
    @hypothesis.given(seeds, st.data())
    def test_a_changed_byte_is_found_and_its_place_named(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject
    ) -> None:
        file, content = tmp_path_factory.mktemp("t") / "t", bytearray(recorded(seed).binary())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        with pytest.raises(TraceError, match=rf"^{file}: byte \d+: [^\n]+$"):
            replayed(file)

    @hypothesis.settings(max_examples=25)
    @hypothesis.given(seeds, st.data())
    def test_a_file_that_ends_early_is_read_so_far_and_told(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject
    ) -> None:
        one = recorded(seed)
        content, rows_end = one.binary(), len(one.binary()) - len(chunks.end(one.ending))  # type: ignore[arg-type] # there is one
        rows_begin = rows_end - len(one.rows) * chunks.ROW.size
        end = data.draw(st.integers(rows_begin, len(content) - 1))
        file = tmp_path_factory.mktemp("t") / "t"
        file.write_bytes(content[:end])
        trace, replay = replayed(file)
        assert trace.ending is None
        assert trace.cut.startswith("it ends ")
        assert sum(replay.counts) == min(end - rows_begin, rows_end - rows_begin) // 24

    @pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1\r\n", b"\x89ILTRACE\r\n\x1a\n"])
    def test_what_is_no_trace_is_told_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "t"
        file.write_bytes(content)
        with pytest.raises(TraceError, match=rf"^{file}: byte (0|12): expected [^\n]+$"):
            replayed(file)

    def test_zeros_at_the_end_are_no_rows(self, tmp_path: Path) -> None:
        """What a disk has not got when the power goes may read so."""
        one, file = tape(*LIFE, ended=False), tmp_path / "t"
        file.write_bytes(one.binary()[:-48] + bytes(40))
        trace, replay = replayed(file)
        assert sum(replay.counts) == len(LIFE) - 2
        assert trace.cut.endswith("its last 5 rows have no checksum")

    def test_a_chunk_that_is_missing_is_found(self, tmp_path: Path) -> None:
        one, file = tape(*LIFE), tmp_path / "t"
        head = chunks.head(one.header)
        file.write_bytes(head + chunks.events(0, one.rows[:3]) + chunks.events(4, one.rows[4:]))
        with pytest.raises(TraceError, match=r": row 4 comes next, expected row 3$"):
            replayed(file)

    @hypothesis.settings(max_examples=6)
    @hypothesis.given(seeds)
    def test_both_forms_say_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int
    ) -> None:
        one, folder = recorded(seed), tmp_path_factory.mktemp("t")
        extra: list[Row] = [(code(7, "C1") // BIRTH_STEP * BIRTH_STEP + LINKED, 3, 1.0)]
        one = one.having([*extra, (5 * BIRTH_STEP + NAMED, 77, 1.0), (LOST, 0, 1.0), *one.rows])
        (folder / "b").write_bytes(one.binary())
        (folder / "t").write_text(one.text())
        read = []
        for name in ("b", "t"):
            with opened(SYSTEM, folder / name) as trace:
                found = tuple(row for _, rows in trace.blocks for row in rows)
                read.append((trace.header, found, trace.ending, trace.threads, trace.cut))
        assert read[0] == read[1]
        assert read[0][1] == one.rows
        assert read[0][2] == one.ending

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ('{"row": 0, "object": 1, "arrow": "Z9"}', "'arrow' is 'Z9', expected one of"),
            ('{"row": 0, "object": -1, "arrow": "C1"}', "'object' is -1, expected a whole number"),
            ('{"row": 0, "object": true, "arrow": "C1"}', "'object' is True, expected a whole"),
            ('{"row": 3, "object": 1, "arrow": "C1"}', "row 3 comes next, expected row 0"),
            ('{"row": 0, "object": 1, "arrow": "C1", "seconds": "x"}', "'seconds' is 'x'"),
            ('{"step": 1}', "expected a row, `threads` or `done`"),
            ("[]", "expected a JSON object"),
            ("{", "expected JSON: "),
            ('{"threads": {"a": "b"}}', "expected threads' names by their idents"),
            ('{"done": {"rows": 5, "says": ""}}', "5 rows by its end, and 0 came"),
            ('{"done": {"rows": 0, "says": "", "taken": []}}', "expected numbers by name"),
        ],
    )
    def test_a_wrong_line_is_named(self, tmp_path: Path, line: str, says: str) -> None:
        file = tmp_path / "t"
        file.write_text(f"{tape(ended=False).text()}{line}\n")
        with pytest.raises(TraceError) as caught:
            replayed(file)
        assert str(caught.value).startswith(f"{file}: line 3: {says}"), caught.value

    def test_a_trace_of_another_spec_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "t"
        one = tape(*LIFE)
        file.write_bytes(replace(one, header=one.header._replace(spec="0" * 16)).binary())
        with pytest.raises(TraceError, match=f"with the spec {'0' * 16}, and .* {digest(SYSTEM)}"):
            replayed(file)


class TestJointSteps:
    def test_a_half_that_stays_alone_is_found_at_the_end(self) -> None:
        one = tape((9, "W1"), (1, "J1"), (9, "W4"))
        assert fault(one) == (
            "row 3: the joint step take that worker#9 W4 IDLE --took_job--> BUSY began in row 2 "
            "was never whole"
        )

    @pytest.mark.parametrize("between", [(2, "J1"), (8, "W1"), (3, "P1"), (7, "W4"), (1, "J4")])
    def test_another_thread_s_arrow_within_one_is_found(self, between: tuple[int, str]) -> None:
        one = tape((9, "W1"), (7, "W1"), (1, "J1"), (9, "W4"), between, (1, "J3"))
        rows = list(one.rows)
        rows[4] = (rows[4][0], 2, rows[4][2])
        assert "it breaks into the joint step take that worker#9 W4" in fault(one.having(rows))

    def test_a_half_that_another_thread_takes_is_found(self) -> None:
        one = tape((9, "W1"), (1, "J1"), (9, "W4"), (1, "J3"))
        rows = [*one.rows[:3], (one.rows[3][0], 2, 3.0)]
        assert "job#1 J3 QUEUED --taken--> RUNNING: it breaks into" in fault(one.having(rows))

    def test_another_joint_step_within_one_is_found(self) -> None:
        one = tape((9, "W1"), (7, "W1"), (1, "J1"), (9, "W4"), (7, "W4"))
        assert "worker#7 W4 IDLE --took_job--> BUSY: it breaks into" in fault(one)

    def test_others_may_move_within_one(self) -> None:
        """Only what is under the same lock may not."""
        tape((9, "W1"), (1, "J1"), (9, "W4"), (5, "C1"), (1, "J3"), whole=True).judged()

    def test_a_pool_breaks_when_its_queue_is_empty(self) -> None:
        tape((9, "W1"), (1, "J1"), (8, "W2"), (1, "J4"), (3, "P2")).judged()

    def test_a_pool_that_breaks_with_a_job_in_its_queue_is_found(self) -> None:
        one = tape((9, "W1"), (1, "J1"), (8, "W2"), (3, "P2"))
        assert "broken_queue_empty: A broken pool keeps no job waiting for nobody." in fault(one)

    def test_a_job_that_another_worker_ends_is_found(self) -> None:
        begun = ((9, "W1"), (8, "W1"), (1, "J1"), (2, "J1"), (9, "W4"), (1, "J3"))
        one = tape(*begun, (8, "W4"), (2, "J3"), (1, "J5"), (8, "W7"))
        assert "worker#8 W7 BUSY --finished--> IDLE: they do not belong together" in fault(one)

    def test_what_a_joint_step_does_to_its_two_is_read_from_the_equations(self) -> None:
        wanted = {("W4", "J3"): Bond.BINDS, ("J5", "W7"): Bond.PARTS, ("W2", "P2"): Bond.NONE}
        for (one, other), bond in wanted.items():
            assert GROUND.bonds[NUMBERS[one], NUMBERS[other]] is bond
            assert GROUND.bonds[NUMBERS[other], NUMBERS[one]] is bond


class TestProperties:
    def test_a_job_in_a_stopped_pool_is_found(self) -> None:
        says = fault(tape(*STOPPED, (2, "J1")))
        assert says == (
            "row 9: job#2 J1 NEW --accepted--> QUEUED: stopped_queue_empty: "
            "A stopped pool has no job in its queue."
        )

    def test_a_pool_that_stops_over_a_job_is_found(self) -> None:
        assert "P4 DRAINING --workers_ended--> STOPPED: stopped_queue_empty" in fault(
            tape((9, "W1"), (1, "J1"), (3, "P1"), (3, "P4"))
        )

    def test_a_busy_worker_without_a_job_is_found(self) -> None:
        """By the equation itself, in a spec whose joint steps nobody has written down."""
        machines = {
            name: one._replace(arrows=tuple(arrow._replace(sync=None) for arrow in one.arrows))
            for name, one in SYSTEM.machines.items()
        }
        replay = Replay(Ground(replace(SYSTEM, machines=machines, joints=())), whole=True)
        replay.feed(0, tape((9, "W1")).rows)
        with pytest.raises(IllegalTrace, match=r"W4 .*: unique_ownership: Every running job has"):
            replay.feed(1, [(code(9, "W4"), 1, 1.0)])

    def test_in_a_piece_nothing_is_said_of_who_is_out_of_sight(self) -> None:
        tape((9, "W9"), whole=False).judged()
        assert is_caught(tape((9, "W1"), (9, "W9")))

    def test_in_a_piece_what_is_in_sight_is_held_to_the_properties(self) -> None:
        one = tape((3, "P4"), (1, "J1"), whole=False)
        assert "stopped_queue_empty" in fault(one)

    def test_a_ledger_that_the_spec_gets_wrong_is_found(self) -> None:
        """The spec's own checks would refuse it; a trace of it is not believed either."""
        assert SYSTEM.ledger is not None
        settled = {**SYSTEM.ledger.settled, "shed": ()}
        ground = Ground(replace(SYSTEM, ledger=SYSTEM.ledger._replace(settled=settled)))
        assert any(ground.gaps)
        assert not any(GROUND.gaps)


class TestTheEnd:
    def test_a_count_that_differs_is_found(self) -> None:
        one = tape(*LIFE)
        assert one.ending is not None
        more = replace(one, ending=one.ending._replace(taken={**LIFE_COUNTS, "U1": 1}))
        assert fault(more) == "row 7: U1 was taken 1 times by its own count, and 0 here"

    def test_who_was_left_behind_is_found(self) -> None:
        one = tape((5, "C1"), (5, "C8"), (5, "C12"))
        assert one.ending is not None
        left = replace(one, ending=one.ending._replace(living={"connection": 0}))
        assert fault(left) == "row 3: 0 objects of connection lived when it ended, and 1 do here"

    def test_a_clock_that_goes_back_is_found(self) -> None:
        one = tape((5, "C1"), (5, "C8"))
        rows = [one.rows[0], (one.rows[1][0], 1, -1.0)]
        assert fault(one.having(rows)).endswith("its thread's clock went back")
        one.having([one.rows[0], (one.rows[1][0], 2, 0.0)]).judged()
