"""The prover: it proves what is so, refuses what is not, and says which step breaks what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import z3

from statemachine import SpecError, System, check, load_system
from statemachine import __main__ as command
from statemachine.composed import compose
from statemachine.explore import Explorer
from statemachine.grounding import Grounding
from statemachine.induction import example_of
from statemachine.model import LeadsTo, Moves, Sometimes
from statemachine.proof import ANY_MOMENT, BEGINNING, Proof, Prover
from tests.spec.gate import PAID, load_garden
from tests.spec.mutants import Mutant, mutated, without, word

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole() -> tuple[Prover, Proof]:
    """The proof of the project's own spec."""
    prover = Prover(load_system())
    return prover, prover.run()


def broken(system: System, *steps: str) -> set[tuple[str, str]]:
    """What is not proved: steps and clauses. All is refuted: there is a case of it."""
    proof = Prover(system, steps=steps or None).run()
    assert {one.verdict for one in proof.failures} <= {"refuted"}
    return {(one.step, one.clause) for one in proof.failures}


class TestOurOwnSpec:
    def test_it_is_proved(self, whole: tuple[Prover, Proof]) -> None:
        _, proof = whole
        assert [(one.step, one.clause) for one in proof.failures] == []
        assert proof.complete

    def test_every_clause_is_asked_for_after_every_step(self, whole: tuple[Prover, Proof]) -> None:
        prover, proof = whole
        demands = sum(len(taking.demands) for taking in prover.takings)
        follow = 1 + sum(one.id.startswith("one_owner") for one in prover.following())
        each = (len(prover.takings) + 1) * len(prover.clauses)
        assert proof.asked + proof.framed == each + demands + follow
        assert proof.framed > proof.asked

    def test_every_move_is_taken(self, whole: tuple[Prover, Proof]) -> None:
        prover, _ = whole
        taken = {taking.id.split(", then ")[0] for taking in prover.takings}
        assert {move.id for move in prover.model.moves} == {
            name for name in taken if not name.startswith("forget ")
        }
        assert {f"forget {name}" for name in prover.model.many} <= taken
        steps = {step.id for step in load_system().composition.steps if step.by}  # type: ignore[union-attr]
        assert {move.step.id for move in prover.model.moves} == steps

    def test_every_property_is_proved_or_said_to_be_beyond(
        self, whole: tuple[Prover, Proof]
    ) -> None:
        prover, proof = whole
        proved = {one.id.split(":")[0] for one in (*prover.clauses, *prover.following())}
        beyond = {one.id for one in proof.beyond}
        named = {one.id for one in load_system().properties}
        assert named <= proved | beyond | proof.model.unsaid.keys()
        assert not proved & beyond
        assert all(isinstance(one, LeadsTo | Sometimes | Moves) for one in proof.beyond)
        assert {one.id for one in load_system().invariants} <= proved


# --- specs that are wrong ------------------------------------------------------------------------

STILL_WITH_IT = (
    ', { nobody = ["connection.QUEUED", "connection.EXCHANGING"], linked = "connection.job", '
    'to = "job" }'
)
RUNS = '{ is = ["job.RUNNING"] }, '
QUEUED = '{ queue = "not_empty" }'
FIRST_THEN = '{ pop = "job" }, '

WRONG: dict[str, tuple[str, str, str, tuple[tuple[str, str, str | None], ...]]] = {
    "a job is taken and stays in the queue": (
        "take",
        "take",
        "queue_holds_no_other",
        (word(FIRST_THEN),),
    ),
    "a worker that has finished keeps its job": (
        "settle(W7 J5)",
        "settle(W7 J5)",
        "worker_IDLE_forbids_owns_job",
        (word('model = [{ clear = "worker.job" }]', "free = true"),),
    ),
    "a worker is stuck and its job goes on": (
        "revoke",
        "revoke",
        "unique_ownership",
        (without("revoke", ', "J8"'),),
    ),
    "a worker dies and its job does not end": (
        "die_at_work(W8)",
        "die_at_work(W8)",
        "running_is_owned",
        (without("die_at_work", ', "J7"'),),
    ),
    "a job ends while its connection is with it": (
        "settle(W7 J5)",
        "settle(W7 J5)",
        "lease_is_kept",
        (without("settle", STILL_WITH_IT),),
    ),
    "a worker writes without the lease": (
        ANY_MOMENT,
        ANY_MOMENT,
        "one_owner: reactor, worker",
        (without("sent_last", RUNS),),
    ),
    "a pool stops with jobs in its queue": (
        "drain_pool(P1)",
        "drain_pool(P1), then end_drain",
        "stopped_queue_empty",
        (without("end_drain", '{ queue = "empty" }'),),
    ),
    "a pool breaks and keeps its queue": (
        "break_serving(P2)",
        "break_serving(P2)",
        "broken_queue_empty",
        (without("break_serving", '{ withdraw_all = "J4" }, '),),
    ),
    "a drain forgets those who sleep": (
        "drain_pool(P1)",
        "drain_pool(P1)",
        "sleepers_are_idle",
        (without("drain_pool", '{ unmark_all = "worker.asleep" }'),),
    ),
    "a sleeper is roused only if nobody is late": (
        ANY_MOMENT,
        ANY_MOMENT,
        "sleepers_are_roused",
        (
            without(
                "rouse",
                '{ queue = "not_empty" }',
                '{ queue = "not_empty" }, { nobody = ["worker.LATE"] }',
            ),
        ),
    ),
    "an outcome is not in the ledger": (
        "relay_failed",
        "relay_failed",
        "ledger_balances",
        (("system.toml", '"C28", ', ""),),
    ),
    "a pool drains before the last connection": (
        "drain_pool(P1)",
        "drain_pool(P1)",
        "pool_goes_last",
        (without("drain_pool", ', "connection.LINGERING"'),),
    ),
    "a job is queued twice": (
        "offer",
        "offer",
        "pushed_once",
        (without("offer", '{ push = "job" }', '{ push = "job" }, { push = "job" }'),),
    ),
    "a broken pool withdraws from where nothing waits": (
        "break_draining",
        "break_draining",
        "withdrawn_from_its_source",
        (without("break_draining", 'withdraw_all = "J4"', 'withdraw_all = "J5"'),),
    ),
}
"""What is wrong: the step to ask about, the one that fails and the clause, and the edits."""


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_spec_is_refused_at_its_step(wrong: str, tmp_path: Path) -> None:
    asked, step, clause, edits = WRONG[wrong]
    assert (step, clause) in broken(mutated(Mutant(clause, "", edits), tmp_path), asked)


@pytest.mark.parametrize(
    ("invariant", "step"),
    [
        ("starting_owns_nothing", "start_worker"),
        ("new_has_not_begun", "offer"),
        ("run_means_began", "take"),
        ("running_is_owned", "dismiss"),
        ("serving_pool_serves", "begin_drain"),
        ("pool_goes_last", "drained"),
        ("stream_is_carried", "drained"),
    ],
)
def test_every_invariant_is_needed(invariant: str, step: str, tmp_path: Path) -> None:
    row: tuple[str, str, None] = ("invariants.toml", f'  {{ id = "{invariant}",', None)
    assert broken(mutated(Mutant("", "", (row,)), tmp_path), step)


def test_every_invariant_is_tried() -> None:
    (mark,) = test_every_invariant_is_needed.pytestmark  # type: ignore[attr-defined]
    assert {one[0] for one in mark.args[1]} == {one.id for one in load_system().invariants}


# --- a tiny system -------------------------------------------------------------------------------


class TestTheGarden:
    def test_it_is_a_sound_spec(self, tmp_path: Path) -> None:
        assert check(load_garden(tmp_path)) == []

    def test_it_is_proved(self, tmp_path: Path) -> None:
        assert broken(load_garden(tmp_path)) == set()

    def test_what_is_true_may_still_not_follow(self, tmp_path: Path) -> None:
        """Nobody ever hears the alarm, and no step keeps it so by itself."""
        system = load_garden(tmp_path, invariants=None)
        assert Explorer(compose(system, "quick")).run().fault is None
        prover = Prover(system)
        (failure,) = prover.run().failures
        assert (failure.step, failure.clause) == ("sound", "quiet")
        assert set(example_of(prover, failure)) >= {
            "the step's guest is guest1",
            "gate: OPEN  ->  OPEN alarm",
        }

    def test_what_is_not_true_at_first_fails_there(self, tmp_path: Path) -> None:
        loud = PAID.replace("guest.INSIDE", "gate.OPEN").replace("guest.stamped", "gate.alarm")
        system = load_garden(tmp_path, invariants=loud)
        assert (BEGINNING, "inside_has_paid") in broken(system, BEGINNING)

    def test_the_explorer_evaluates_the_same_clauses(self, tmp_path: Path) -> None:
        system = load_garden(tmp_path, invariants=PAID.replace("INSIDE", "WAITING"))
        fault = Explorer(compose(system, "quick")).run().fault
        assert fault is not None
        assert fault.property is not None
        assert fault.property.id == "inside_has_paid"
        assert ("arrive", "inside_has_paid") in broken(system)

    def test_nothing_is_framed_that_matters(self, tmp_path: Path) -> None:
        for number, invariants in enumerate((PAID, None, PAID.replace("INSIDE", "WAITING"))):
            folder = tmp_path / str(number)
            folder.mkdir()
            system = load_garden(folder, invariants=invariants)
            with_frames, without_any = Prover(system).run(), Prover(system, framing=False).run()
            assert with_frames.framed > without_any.framed == 0
            assert without_any.asked == with_frames.asked + with_frames.framed
            assert names(with_frames) == names(without_any)

    def test_what_z3_does_not_know_is_not_proved(self, tmp_path: Path) -> None:
        proof = Prover(load_garden(tmp_path), effort=1).run()
        assert {one.verdict for one in proof.failures} == {"unknown"}
        assert not proof.complete

    def test_what_cannot_be_shown_small_is_said_so(self, tmp_path: Path) -> None:
        """Too many guests for any example: the counterexample needs more than are tried."""
        unpaid = '{ is_not = ["guest.stamped"] }'
        crowd = f'{unpaid}, {{ count = ["guest.WAITING"], at_least = [9] }}'
        edit = ("composition.toml", unpaid, crowd)
        system = load_garden(tmp_path, edit, invariants=None)
        prover = Prover(system)
        (failure,) = prover.run().failures
        assert failure.verdict == "refuted"
        assert example_of(prover, failure) == ()


def names(proof: Proof) -> set[tuple[str, str]]:
    return {(one.step, one.clause) for one in proof.failures}


# --- quantifiers ---------------------------------------------------------------------------------


class TestGrounding:
    def setup_method(self) -> None:
        self.context = z3.Context()
        self.sort = z3.DeclareSort("guest", self.context)
        self.inside = z3.Function("inside", self.sort, z3.BoolSort(self.context))
        self.one, self.two, self.any = z3.Consts("one two any", self.sort)
        self.all_in = z3.ForAll([self.any], self.inside(self.any))

    def ground(self, formula: z3.BoolRef, witness: str | None = None) -> str:
        grounding = Grounding(self.context)
        grounding.name([self.one, self.two])
        return " ".join(str(grounding.ground(formula, witness)).split())

    def test_what_holds_of_all_holds_of_the_named(self) -> None:
        assert self.ground(self.all_in) == "And(inside(one), inside(two))"

    def test_what_does_not_hold_of_all_has_a_witness(self) -> None:
        assert self.ground(z3.Not(self.all_in), "some") == "Not(inside(some guest1))"

    def test_nothing_is_said_of_a_witness_without_a_name(self) -> None:
        assert self.ground(z3.Not(self.all_in)) == "Not(False)"

    def test_two_that_exist_may_be_two_and_alternatives_share_one(self) -> None:
        somebody = z3.Exists([self.any], self.inside(self.any))
        assert self.ground(z3.And(somebody, z3.Not(self.all_in)), "some").count("some guest2") == 1
        assert self.ground(z3.Or(somebody, z3.Not(self.all_in)), "some").count("some guest2") == 0


# --- the rows of invariants.toml -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("english", "german", "invariants.toml: row inside_has_paid: unknown key 'german'"),
        ('[{ is = ["guest.stamped"] }]', "[]", "'hold' is empty, expected conditions"),
        ("invariants =", "variants =", "invariants.toml: unknown key 'variants'"),
        ("is = [", "was = [", "is no condition, expected the keys of one of"),
    ],
)
def test_a_bad_row_is_told_in_one_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_garden(tmp_path, invariants=PAID.replace(old, new))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_id_is_not_used_twice(tmp_path: Path) -> None:
    (row,) = (line for line in PAID.splitlines() if line.startswith("  {"))
    with pytest.raises(SpecError, match="row inside_has_paid: id 'inside_has_paid' is used twice"):
        load_garden(tmp_path, invariants=PAID.replace(row, f"{row}\n{row}"))


def test_names_that_nobody_knows_are_findings(tmp_path: Path) -> None:
    (finding,) = check(load_garden(tmp_path, invariants=PAID.replace("stamped", "painted")))
    assert str(finding) == (
        "invariants.toml: row inside_has_paid: names guest.painted, which is no mark"
    )


# --- the command ---------------------------------------------------------------------------------


class TestTheCommand:
    def test_a_proof_is_one_line_and_exit_0(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_garden(tmp_path)
        assert command.main(["prove", "--spec", str(tmp_path)]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.startswith(f"{tmp_path}: proved for any number of guests: 5 clauses, ")

    def test_a_failure_names_the_step_and_shows_a_case(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_garden(tmp_path, invariants=None)
        assert command.main(["prove", "--spec", str(tmp_path)]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "sound: does not keep quiet: The alarm is never heard."
        assert "  gate: OPEN  ->  OPEN alarm" in lines
        assert any("may be a state that never comes" in line for line in lines)
        assert any("python -m statemachine explore" in line for line in lines)
        assert lines[-1].startswith(f"{tmp_path}: NOT proved: 1 failed: ")

    def test_verbose_names_every_clause_and_step(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_garden(tmp_path)
        assert command.main(["prove", "--verbose", "--spec", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "clause inside_has_paid: Who is inside has paid." in lines
        assert "step close: 4 asked, 1 framed" in lines

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
    def test_no_time_is_no_proof(self, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            command.main(["prove", "--seconds", seconds])
        assert caught.value.code == 2
        assert "--seconds" in capsys.readouterr().err

    def test_without_a_composition_there_is_nothing_to_prove(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load_garden(tmp_path)
        (tmp_path / "composition.toml").unlink()
        (tmp_path / "invariants.toml").unlink()
        text = (tmp_path / "system.toml").read_text(encoding="utf-8")
        kept = [line for line in text.splitlines() if "quiet" not in line and "counted" not in line]
        (tmp_path / "system.toml").write_text("\n".join(kept), encoding="utf-8")
        assert command.main(["prove", "--spec", str(tmp_path)]) == 1
        assert "composition.toml: no such file" in capsys.readouterr().err

    def test_without_z3_it_says_what_is_missing(self) -> None:
        done = python(
            "import sys; sys.modules['z3'] = None\n"
            "from statemachine.__main__ import main\n"
            "sys.exit(main(['prove']))"
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "statemachine: prove needs z3: pip install z3-solver\n"

    def test_nothing_else_loads_z3(self) -> None:
        done = python(
            "import sys, server.cli, server.thread_pool, statemachine.__main__\n"
            "print('z3' in sys.modules)"
        )
        assert (done.returncode, done.stdout) == (0, "False\n")


def python(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=TOP,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
