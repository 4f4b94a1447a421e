"""The explorer: known counts, known faults; and each property of the project has a mutant."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from statemachine import __main__ as command
from statemachine import load_system
from statemachine.composed import Composed, compose
from statemachine.explore import Explored, Explorer, Fault
from statemachine.liveness import Liveness
from statemachine.model import LeadsTo, Sometimes
from statemachine.sequence import mermaid, svg
from statemachine.story import Story, told
from tests.spec.desk import load_desk, write_desk
from tests.spec.edits import Edit
from tests.spec.mutants import MUTANTS, Mutant, mutated

SYSTEM = load_system()
TOP = Path(__file__).parents[2]


def explored(folder: Path, bounds: str, *edits: Edit) -> tuple[Explorer, Explored]:
    explorer = Explorer(compose(load_desk(folder, *edits), bounds))
    return explorer, explorer.run()


def story_of(folder: Path, *edits: Edit, bounds: str = "two") -> Story:
    """The story of the fault that these edits bring about."""
    model = compose(load_desk(folder, *edits), bounds)
    explorer = Explorer(model)
    fault, program = explorer.run().fault, explorer.program
    if fault is None:
        liveness = Liveness(model)
        fault, program = liveness.fault(), liveness.program
    assert fault is not None
    return told(fault, program)


# --- counts ------------------------------------------------------------------------------------


def test_one_errand_has_four_states(tmp_path: Path) -> None:
    """Nobody; one that waits; one at the desk; and the desk is shut."""
    _, found = explored(tmp_path, "one")
    assert (found.states, found.transitions, found.depth) == (4, 4, 2)
    assert found.complete
    assert found.fault is None
    assert found.never_taken == ()
    assert found.unseen == ()


def test_names_alone_make_no_states(tmp_path: Path) -> None:
    """Two errands: 0, 1 or 2 wait with the desk free, 0 or 1 with it taken; and it is shut."""
    _, found = explored(tmp_path, "two")
    assert found.states == 6
    named = Liveness(compose(load_desk(tmp_path), "two")).graph.states
    assert len(named) == 10


def test_what_was_found_is_what_can_be_told(tmp_path: Path) -> None:
    explorer, _ = explored(tmp_path, "one")
    layout = explorer.program.layout
    told_states = [layout.told(state) for state in explorer.states]
    assert told_states[1] == {"desk": "FREE", "errand1": "WAITING", "queue": "errand1"}
    assert {"desk": "TAKEN errand=errand1", "errand1": "AT_DESK", "queue": "empty"} in told_states
    assert {"desk": "SHUT", "queue": "empty", "spent evenings": "1"} in told_states


def test_a_limit_ends_an_exploration(tmp_path: Path) -> None:
    found = Explorer(compose(load_desk(tmp_path), "two"), most=2).run()
    assert not found.complete
    assert found.fault is None


@pytest.mark.parametrize("bounds", sorted(x for x in SYSTEM.pinned if x.startswith("quick")))
def test_the_projects_own_spec_keeps_its_properties(bounds: str) -> None:
    """And has as many states as the spec says it has."""
    found = Explorer(compose(SYSTEM, bounds)).run()
    assert found.fault is None
    assert found.complete
    assert found.states == SYSTEM.pinned[bounds]


def test_what_is_to_come_comes_in_the_projects_own_spec() -> None:
    judged = Liveness(compose(SYSTEM, "quick_ends"))
    assert len(judged.properties) >= 7
    assert judged.fault() is None


# --- faults of the desk ------------------------------------------------------------------------

NO_POP: Edit = ("composition.toml", '{ pop = "errand" }, ', "")
NO_CLEAR: Edit = ("composition.toml", 'do = [{ clear = "desk.errand" }], ', "")
RUDE: Edit = (
    "composition.toml",
    '{ id = "finish", by = "clerk"',
    '{ id = "finish", by = "clerk", awaits = "peer"',
)
FAULTS = [
    ("queue_waits", [NO_POP]),
    (
        "in_bounds",
        [
            ("composition.toml", '{ queue = "has_room" }', '{ is_not = ["desk.SHUT"] }'),
            ("system.toml", "errand = 2, queue = 2", "errand = 2, queue = 1"),
        ],
    ),
    ("one_hand", [("composition.toml", 'street = { owner = "main"', 'street = { owner = "cat"')]),
    ("moves_on", [("composition.toml", '[{ queue = "empty" }, { is_not', "[{ is_not"), RUDE]),
    ("turn_comes", [("composition.toml", '"E1"], do', '"E1"], awaits = "peer", do')]),
]


@pytest.mark.parametrize(("name", "edits"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_fault_is_found(name: str, edits: list[Edit], tmp_path: Path) -> None:
    if name == "one_hand":
        edits = [*edits, ("system.toml", "two = { errand = 2", "two = { losses = 1, errand = 2")]
    if name == "turn_comes":
        edits = [*edits, ("composition.toml", '[{ queue = "empty" }, { is_not', "[{ is_not")]
    assert story_of(tmp_path, *edits).title == name


def test_a_second_push_is_a_fault_of_its_own(tmp_path: Path) -> None:
    twice = (
        "composition.toml",
        '{ push = "errand" }]',
        '{ push = "errand" }, { push = "errand" }]',
    )
    assert "is pushed into the queue twice" in story_of(tmp_path, twice, bounds="one").says


def test_a_story_is_a_shortest_one_and_tells_who_did_what(tmp_path: Path) -> None:
    story = story_of(tmp_path, NO_POP)
    lines = [(x.who, x.step, x.arrows) for x in story.lines]
    assert lines == [("street", "come", ()), ("clerk", "serve", ("D1", "E1"))]
    at_desk = story.lines[-1].changes
    (name,) = (x for x in at_desk if x.startswith("errand"))
    assert at_desk == {"desk": f"TAKEN errand={name}", name: "AT_DESK"}
    assert story.end["queue"] == name
    assert str(story).splitlines()[0] == "queue_waits: The queue waits."
    assert re.search(r"^ +2  clerk serve  D1 E1  desk TAKEN", str(story), re.M)


def test_what_never_comes_is_told_with_its_loop(tmp_path: Path) -> None:
    story = story_of(
        tmp_path,
        ("composition.toml", '"E1"], do', '"E1"], awaits = "peer", do'),
        ("composition.toml", '[{ queue = "empty" }, { is_not', "[{ is_not"),
    )
    assert story.title == "turn_comes"
    assert "never comes from errand.WAITING to where it leads" in story.says
    assert story.loop == len(story.lines) + 1
    assert "and nothing has to happen any more" in str(story)


def test_a_story_is_drawn(tmp_path: Path) -> None:
    story = story_of(tmp_path, NO_POP)
    assert mermaid(story).splitlines()[:4] == [
        "sequenceDiagram",
        "    participant street",
        "    participant clerk",
        "    participant errand1",
    ]
    assert "    clerk->>desk: 2. serve (D1 E1)" in mermaid(story)
    root = ET.fromstring(svg(story))
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"street", "clerk", "1. come", "2. serve (D1 E1)"} <= set(texts)


# --- mutants of the project's own spec ----------------------------------------------------------


def _fault_of(model: Composed, name: str) -> Fault | Sometimes | None:
    (one,) = (one for one in model.properties if one.id == name)
    model = dataclasses.replace(model, properties=(one,), invariants=())
    if isinstance(one, LeadsTo):
        return Liveness(model).fault()
    found = Explorer(model).run()
    return one if isinstance(one, Sometimes) and one in found.unseen else found.fault


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_each_mutant_is_caught_by_its_property(mutant: Mutant, tmp_path: Path) -> None:
    fault = _fault_of(compose(mutated(mutant, tmp_path), mutant.bounds), mutant.property)
    assert fault is not None
    if isinstance(fault, Fault):
        assert fault.property is not None
        assert fault.property.id == mutant.property
        assert len(fault.states) == len(fault.moves) + 1 > 1


def test_every_property_has_a_mutant() -> None:
    models = [compose(SYSTEM, bounds) for bounds in SYSTEM.bounds]
    judged = {one.id for model in models for one in model.properties}
    # A state's conditions are properties alike: the two of a worker that is busy and idle stand
    # for those of its other states.
    alike = {name for name in judged if re.match(r"worker_[A-Z]+_(requires|forbids)_", name)}
    assert {one.property for one in MUTANTS} >= judged - alike
    assert {one.property for one in MUTANTS} <= judged


# --- the command -------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "statemachine", "explore", *arguments],
        cwd=TOP,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_the_command_reports(tmp_path: Path) -> None:
    write_desk(tmp_path)
    done = run("--spec", str(tmp_path), "--bounds", "one")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"^one: 4 states, 4 transitions, depth 2, [\d.]+ s, \d+ states/s$", done.stdout, re.M
    )
    assert "arrows never taken under these bounds: E3" in done.stdout
    assert "sometimes: is_served: E2 is taken" in done.stdout


def test_the_command_tells_and_draws_a_fault(tmp_path: Path) -> None:
    write_desk(tmp_path, NO_POP)
    picture = tmp_path / "fault.svg"
    done = run("--spec", str(tmp_path), "--bounds", "two", "--svg", str(picture))
    assert done.returncode == 1
    assert "queue_waits: The queue waits." in done.stdout
    assert "sequenceDiagram" in done.stdout
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_a_count_that_is_not_the_pinned_one_is_told(tmp_path: Path) -> None:
    write_desk(tmp_path, ("system.toml", "one = 4", "one = 5"))
    done = run("--spec", str(tmp_path), "--bounds", "one")
    assert done.returncode == 1
    assert "system.toml: pinned: one is 5, and 4 states were found" in done.stderr


def test_what_is_never_seen_is_told(tmp_path: Path) -> None:
    write_desk(tmp_path, ("system.toml", 'arrow = "E2"', 'arrow = "E3"'))
    done = run("--spec", str(tmp_path), "--bounds", "one")
    assert done.returncode == 1
    assert "is_served: no run under these bounds takes E3" in done.stderr


def test_bounds_that_are_none_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["explore", "--bounds", "tiny"]) == 1
    assert capsys.readouterr().err.startswith(
        "statemachine: system.toml: bounds: has no 'tiny', expected one of quick_pool"
    )
