"""The composition: its loader's errors, its checks, and the flat model that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine import SpecError, check, load_system
from statemachine.composed import compose
from statemachine.composition_checks import CHECKS
from tests.spec.desk import load_desk, write_desk
from tests.spec.edits import Edit

FILE = "composition.toml"


def edit(old: str, new: str) -> Edit:
    return FILE, old, new


def step(text: str) -> Edit:
    """One more row."""
    return FILE, "steps = [\n", f'steps = [\n  {{ {text}, why = "A test." }},\n'


ERRORS = [
    (edit('queue = "errand"\nsteps', "steps"), "composition.toml: key 'queue' is missing"),
    (edit("single =", "lonely ="), "composition.toml: unknown key 'lonely', expected one of"),
    (step('id = "Bad"'), "row Bad: 'id' is 'Bad', expected a name in lower_snake_case, like take"),
    (step('id = "x", awaits = "luck"'), "row x: 'awaits' is 'luck', expected one of handler"),
    (step('id = "x", when = [3]'), "row x: 'when' is [3], expected a list of tables"),
    (step('id = "x", when = [{ was = ["desk.FREE"] }]'), "row x, when: {'was': ['desk.FREE']} is"),
    (step('id = "x", when = [{ is = ["desk"] }]'), "row x, when: 'desk' is no fact, expected one"),
    (step('id = "x", when = [{ is = [] }]'), "row x, when: 'is' is empty, expected facts like"),
    (step('id = "x", when = [{ unless = [] }]'), "row x, when: 'unless' is empty, expected cond"),
    (step('id = "x", when = [{ queue = "long" }]'), "row x, when: 'queue' is 'long', expected on"),
    (step('id = "x", when = [{ first = "9" }]'), "row x, when: 'first' is '9', expected a role"),
    (step('id = "x", when = [{ ledger = "off" }]'), "row x, when: 'ledger' is 'off', expected 'b"),
    (
        step('id = "x", when = [{ count = ["desk.FREE"], at_least = [] }]'),
        "row x, when: 'at_least' is [], expected a list of numbers and limits' names",
    ),
    (
        step('id = "x", when = [{ count = ["desk.FREE"], at_most = [1.5] }]'),
        "row x, when: 'at_most' holds 1.5, expected a number or a limit's name",
    ),
    (step('id = "x", do = [{ paint = "desk" }]'), "row x, do: {'paint': 'desk'} is no effect"),
    (step('id = "x", arrows = "D1"'), "row x: 'arrows' is 'D1', expected a list of arrow ids"),
    (step('id = "x", arrows = [[]]'), "row x: 'arrows' holds [], expected an arrow id or a list"),
    (edit('"errand.is_patient" =', '"errand.AT_DESK" ='), "marks: 'errand.AT_DESK' is no mark"),
    (
        ("vocabulary.toml", 'python = "waits",', 'python = "waits", free = true,'),
        "vocabulary.toml: guard somebody_waits: has both 'free' and 'model', expected one of them",
    ),
    (
        ("system.toml", "hold = [{ queue", "moves = false, held = [{ queue"),
        "row in_bounds: unknown key 'held', expected one of english, id, kind, moves",
    ),
    (("system.toml", "moves = true", "moves = false"), "row moves_on: 'moves' is false, expected"),
    (("system.toml", "one = 4", "one = -1"), "table pinned: 'one' is -1, expected a whole number"),
]


@pytest.mark.parametrize(("wrong", "says"), ERRORS, ids=[says for _, says in ERRORS])
def test_a_malformed_composition_is_told_in_one_line(
    wrong: Edit, says: str, tmp_path: Path
) -> None:
    write_desk(tmp_path, wrong)
    with pytest.raises(SpecError) as error:
        load_system(tmp_path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


BREAKS: list[tuple[str, list[Edit], str]] = [
    ("_machines", [edit('single = ["desk"]', "single = []")], "machine desk: is listed 0 times"),
    (
        "_machines",
        [edit('single = ["desk"]', 'single = ["desk", "chair"]')],
        "machine chair: is no machine of the system",
    ),
    ("_machines", [edit('queue = "errand"', 'queue = "desk"')], "machine desk: is queued or start"),
    ("_arrows", [edit('arrows = ["E3"], ', "")], "arrow E3: is taken by no step"),
    (
        "_arrows",
        [edit("[many]", '[unmodelled]\nE3 = "Why."\n\n[many]')],
        "unmodelled E3: is taken by a step",
    ),
    ("_arrows", [edit('["E3"]', '["E3", "Z9"]')], "row leave: takes Z9, which is no arrow"),
    (
        "_chains",
        [edit('arrows = ["D3"]', 'arrows = ["D3", "D2"]')],
        "row shut: D2 leaves TAKEN, the arrow before it leads elsewhere",
    ),
    (
        "_joints",
        [edit('["D1", "E1"]', '["D1"]'), edit('["E3"]', '[["E3", "E1"]]')],
        "row serve: takes D1 without its joint step serve",
    ),
    (
        "_words",
        [("vocabulary.toml", 'model = [{ queue = "not_empty" }], ', "")],
        "vocabulary.toml: somebody_waits: has no 'model' and is not 'free'",
    ),
    ("_steps", [edit('id = "sit", by = "street"', 'id = "sit", by = "cat"')], "expected an actor"),
    ("_steps", [edit('id = "sit"', 'id = "come"')], "row come: the id is used twice"),
    ("_steps", [edit('id = "sit", by = "street"', 'id = "sit"')], "row sit: has no 'by', and no"),
    ("_steps", [edit('costs = "evenings"', 'then = ["z"], costs = "evenings"')], "names z, which"),
    (
        "_steps",
        [
            edit('id = "sit", by = "street"', 'id = "sit"'),
            edit('costs = "evenings"', 'then = ["sit"], costs = "evenings"'),
        ],
        "row sit: comes at once after others and speaks of a errand: which one is not said",
    ),
    (
        "_steps",
        [edit('awaits = "peer", costs = "losses"', 'costs = "losses"')],
        "row leave: takes E3, the environment's, and awaits nobody: 'certain' must say why",
    ),
    (
        "_steps",
        [edit('costs = "seats"', 'costs = "seats", certain = "Yes."')],
        "row sit: says why it is certain, and nothing of it is the world's",
    ),
    (
        "_steps",
        [edit('costs = "seats"', 'costs = "seats", persistent = "Yes."')],
        "row sit: is persistent, and awaits somebody who may never come",
    ),
    ("_names", [edit('["errand.is_patient"]', '["errand.IN_BED"]')], "names errand.IN_BED, which"),
    ("_names", [edit('["errand.is_patient"]', '["errand.tired"]')], "names errand.tired, which"),
    ("_names", [edit('["errand.is_patient"]', '["cat.tired"]')], "cat is no machine of the model"),
    (
        "_names",
        [edit('["desk.FREE", "desk.TAKEN"]', '["desk.FREE", "errand.WAITING"]')],
        "row come: asks of desk and of errand at once",
    ),
    ("_names", [edit('clear = "desk.errand"', 'clear = "desk.chair"')], "names desk.chair, which"),
    (
        "_names",
        [edit('set = "desk.errand", to = "errand"', 'set = "desk.errand", to = "desk"')],
        "lets desk.errand lead to desk, expected a errand",
    ),
    ("_names", [edit('pop = "errand"', 'pop = "desk"')], "row serve: queues desk, expected a err"),
    ("_names", [edit('make = "errand"', 'make = "desk"')], "makes desk, of which there is one"),
    (
        "_names",
        [("system.toml", '{ queue = "within" }', '{ can = "fly" }')],
        "system.toml: row in_bounds: asks for fly, which is no step",
    ),
    (
        "_names",
        [("system.toml", '{ queued = "errand" }', '{ queued = "desk" }')],
        "row queue_waits: looks for desk in the queue, which holds each a errand",
    ),
    ("_unused", [edit('mark = "errand', 'unmark = "errand')], "mark errand.is_patient: no step"),
    (
        "_unused",
        [edit("[links]", 'cat = { owner = "main", means = "A cat." }\n\n[links]')],
        "actor cat: takes no step",
    ),
    ("_limits", [("system.toml", "losses = 0", "loses = 0")], "bounds one: 'loses' is no machine"),
    ("_limits", [("system.toml", "losses = 0, ", "")], "limit losses: no bounds give it a number"),
    (
        "_limits",
        [("system.toml", "losses = 0", "losses = 0, desk = 2")],
        "bounds one: 'desk' is 2, and there is one",
    ),
    ("_limits", [("system.toml", "one = 4", "ten = 4")], "pinned ten: is no name under [bounds]"),
    (
        "_owned",
        [("system.toml", 'one_owner = "errand"', 'one_owner = "cat"')],
        "row one_hand: cat is no machine of the model",
    ),
]


@pytest.mark.parametrize(("name", "edits", "says"), BREAKS, ids=[says for _, _, says in BREAKS])
def test_each_check_finds_what_it_is_for(
    name: str, edits: list[Edit], says: str, tmp_path: Path
) -> None:
    findings = [str(one) for one in check(load_desk(tmp_path, *edits))]
    assert any(says in one for one in findings), findings


def test_every_check_is_broken_above() -> None:
    assert {name for name, _, _ in BREAKS} == {one.__name__ for one in CHECKS}


def test_the_desk_is_sound(tmp_path: Path) -> None:
    assert check(load_desk(tmp_path)) == []


def test_a_model_is_made_for_known_bounds_of_a_spec_with_a_composition(tmp_path: Path) -> None:
    system = load_desk(tmp_path)
    with pytest.raises(SpecError, match="has no 'ten', expected one of one, two"):
        compose(system, "ten")
    (tmp_path / FILE).unlink()
    with pytest.raises(SpecError, match="nothing says who acts when"):
        compose(load_system(tmp_path), "one")


def test_a_move_has_all_that_its_arrows_ask_and_do(tmp_path: Path) -> None:
    model = compose(load_desk(tmp_path), "two")
    moves = {move.id: move for move in model.moves}
    serve = moves["serve"]
    assert (serve.roles, serve.makes, serve.arrows) == (("errand",), (), ("D1", "E1"))
    assert [type(one).__name__ for one in serve.when] == ["Is", "QueueIs", "Is", "First"]
    assert [type(one).__name__ for one in serve.do] == ["Goto", "Goto", "Pop", "SetLink"]
    assert serve.fair
    assert not moves["come"].fair
    assert "leave" not in moves, "what costs more than there is to spend is no move"


def test_what_is_left_out_is_dropped_from_every_condition(tmp_path: Path) -> None:
    edits = [("system.toml", "two = { errand = 2", "two = { desk = 0, errand = 2")]
    model = compose(load_desk(tmp_path, *edits), "two")
    assert model.machines == ("errand",)
    assert model.links == ()
    serve = next(move for move in model.moves if move.id == "serve")
    assert [type(one).__name__ for one in serve.when] == ["QueueIs", "Is", "First"]
    assert model.unsaid["at_the_desk"] == ("desk",)
    assert "queue_waits" not in model.unsaid
