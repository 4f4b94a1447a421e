"""The loader: what it reads, and one clear line for each way in which a spec can be malformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine import LedgerSpec, SpecError, load_machine, load_system, spec_folder
from statemachine.loader import KINDS
from statemachine.model import Equal, LeadsTo, NeverTogether, Place, Sometimes
from tests.spec.edits import Edit
from tests.spec.lamp import LEDGER, load_lamp, write_lamp

T3 = 'id = "T3", from = "LIT", on = "fell", to = "BROKEN", environment = true, why = "It fell."'
EQUAL = 'equal = [["lamp.LIT"], ["hand.DONE"]]'
WORD_KEYS = "free, machine, means, model, python"
STATE_KEYS = "deadline, deadline_of, forbids, means, owner, rate, requires, then, waits_for"
ARROW_KEYS = "do, environment, from, id, on, sync, to, unless, when, why"
MACHINE_KEYS = "driven_by, final, initial, means, name, states, transitions"
PROPERTY = "row pressed"


def in_lamp(old: str, new: str) -> Edit:
    return "lamp.toml", old, new


def in_system(old: str, new: str) -> Edit:
    return "system.toml", old, new


def in_vocabulary(old: str, new: str) -> Edit:
    return "vocabulary.toml", old, new


def with_ledger(text: str) -> Edit:
    """The system with a ledger, or something like one."""
    return in_system("[bounds]\n", f"{text}\n[bounds]\n")


BROKEN: list[tuple[Edit, str]] = [
    # The machine's own keys.
    (
        in_lamp('means = "A lamp, lit or not."', 'means = "A lamp."\ncolour = "red"'),
        f"lamp.toml: unknown key 'colour', expected one of {MACHINE_KEYS}",
    ),
    (
        in_lamp('name = "lamp"', 'name = "light"'),
        "lamp.toml: name: is 'light', expected 'lamp', the file's own name",
    ),
    (in_lamp('name = "lamp"\n', ""), "lamp.toml: key 'name' is missing, expected a text"),
    (
        in_lamp('means = "A lamp, lit or not."', 'means = " "'),
        "lamp.toml: 'means' is ' ', expected a text that is not empty",
    ),
    (
        in_lamp('initial = "DARK"', 'initial = "GREY"'),
        "lamp.toml: initial: is 'GREY', expected a state: BROKEN, DARK, LIT",
    ),
    (
        in_lamp('initial = "DARK"', 'initial = "DA\\nRK"'),
        "lamp.toml: initial: is 'DA RK', expected a state: BROKEN, DARK, LIT",
    ),
    (
        in_lamp('final = ["BROKEN"]', 'final = ["GONE"]'),
        "lamp.toml: final: is 'GONE', expected a state: BROKEN, DARK, LIT",
    ),
    (
        in_lamp('final = ["BROKEN"]', 'final = "BROKEN"'),
        "lamp.toml: 'final' is 'BROKEN', expected a list of texts",
    ),
    (
        in_lamp('final = ["BROKEN"]', "final = [1]"),
        "lamp.toml: 'final' is [1], expected a list of texts",
    ),
    (in_lamp('driven_by = "main"\n', ""), "lamp.toml: key 'driven_by' is missing, expected a text"),
    # Rows.
    (
        in_lamp(T3, T3 + ', colour = "red"'),
        f"lamp.toml: row T3: unknown key 'colour', expected one of {ARROW_KEYS}",
    ),
    (
        in_lamp('id = "T3", ', ""),
        "lamp.toml: row 3 of transitions: key 'id' is missing, expected a text",
    ),
    (
        in_lamp('id = "T3"', 'id = "t-3"'),
        "lamp.toml: row t-3: 'id' is 't-3', expected capital letters and a number, like W3",
    ),
    (
        in_lamp('id = "T3"', "id = 3"),
        "lamp.toml: row 3: 'id' is 3, expected a text that is not empty",
    ),
    (
        in_lamp('id = "T3"', 'id = "T2"'),
        "lamp.toml: row T2: arrow id 'T2' is used twice (switched, fell)",
    ),
    (
        in_lamp('from = "LIT"', 'from = "LID"'),
        "lamp.toml: row T3: 'from' is 'LID', expected a state: BROKEN, DARK, LIT",
    ),
    (
        in_lamp('to = "LIT"', 'to = "LID"'),
        "lamp.toml: row T1: 'to' is 'LID', expected a state: BROKEN, DARK, LIT",
    ),
    (
        in_lamp('from = "LIT", ', ""),
        "lamp.toml: row T3: key 'from' is missing, expected a text",
    ),
    (
        in_lamp('on = "fell"', 'on = "Fell"'),
        (
            "lamp.toml: row T3: 'on' is 'Fell', expected a fact in lower_snake_case, "
            "like head_received"
        ),
    ),
    (
        in_lamp('on = "fell"', 'on = "raise"'),
        "lamp.toml: row T3: 'on' is 'raise', expected a name that is not taken",
    ),
    (
        in_lamp('on = "fell"', 'on = "state"'),
        "lamp.toml: row T3: 'on' is 'state', expected a name that is not taken",
    ),
    (
        in_lamp(', why = "It fell."', ""),
        "lamp.toml: row T3: key 'why' is missing, expected a text",
    ),
    (
        in_lamp("environment = true", 'environment = "yes"'),
        "lamp.toml: row T3: 'environment' is 'yes', expected true or false",
    ),
    (
        in_lamp('when = "has_power"', 'when = ""'),
        "lamp.toml: row T1: 'when' is '', expected a text that is not empty",
    ),
    (
        in_lamp("transitions = [", "transitions = []\nrows = ["),
        f"lamp.toml: unknown key 'rows', expected one of {MACHINE_KEYS}",
    ),
    # States.
    (
        in_lamp('DARK = { means = "No light.", owner = "main" }', 'DARK = "No light."'),
        "lamp.toml: table states: 'DARK' is 'No light.', expected a table",
    ),
    (
        in_lamp('DARK = { means = "No light."', 'dark = { means = "No light."'),
        "lamp.toml: state dark: a state's name is in UPPER_SNAKE_CASE",
    ),
    (
        in_lamp('then = "fell"', 'next = "fell"'),
        f"lamp.toml: state LIT: unknown key 'next', expected one of {STATE_KEYS}",
    ),
    (
        in_lamp('means = "Light."', "means = 7"),
        "lamp.toml: state LIT: 'means' is 7, expected a text that is not empty",
    ),
    # The vocabulary.
    (
        in_vocabulary("[effects]", "[verbs]"),
        (
            "vocabulary.toml: unknown key 'verbs', expected one of "
            "conditions, deadlines, effects, guards, rates"
        ),
    ),
    (
        in_vocabulary('python = "glow"', 'python = "Glow!"'),
        (
            "vocabulary.toml: effect glow: 'python' is 'Glow!', "
            "expected a method's name in lower_snake_case"
        ),
    ),
    (
        in_vocabulary('python = "glow"', 'python = "state"'),
        "vocabulary.toml: effect glow: 'python' is 'state', expected a name that is not taken",
    ),
    (
        in_vocabulary('python = "glow"', 'call = "glow"'),
        f"vocabulary.toml: effect glow: unknown key 'call', expected one of {WORD_KEYS}",
    ),
    (
        in_vocabulary('{ means = "From the switch to the fall." }', "{}"),
        "vocabulary.toml: deadline lit_seconds_max: key 'means' is missing, expected a text",
    ),
    (
        in_vocabulary('{ means = "From the switch to the fall." }', '{ means = "", unit = "s" }'),
        "vocabulary.toml: deadline lit_seconds_max: unknown key 'unit', expected one of means",
    ),
    (
        in_vocabulary("[guards]\nhas_power =", "[guards.has_power]\nits ="),
        (f"vocabulary.toml: guard has_power: unknown key 'its', expected one of {WORD_KEYS}"),
    ),
    (
        in_lamp("lit_seconds_max", 'lit_seconds_max", rate = "'),
        "lamp.toml: state LIT: 'rate' is '', expected a text that is not empty",
    ),
    (
        in_vocabulary("[deadlines]\n", "[rates]\nfalls_per_second_min = {}\n[deadlines]\n"),
        "vocabulary.toml: rate falls_per_second_min: key 'means' is missing, expected a text",
    ),
    (
        in_vocabulary(
            "[deadlines]\n", '[rates]\nfast = { means = "x", unit = "s" }\n[deadlines]\n'
        ),
        "vocabulary.toml: rate fast: unknown key 'unit', expected one of means",
    ),
    (
        in_vocabulary("[guards]\n", "rates = 3\n[guards]\n"),
        "vocabulary.toml: 'rates' is 3, expected a table",
    ),
    # The system.
    (
        in_system('name = "room"', 'name = "room"\nsize = 3'),
        (
            "system.toml: unknown key 'size', expected one of "
            "bounds, joint, ledger, machines, name, pinned, properties"
        ),
    ),
    (
        in_system('["lamp", "hand"]', '["lamp", "hand", "cat"]'),
        "system.toml: 'machines' holds 'cat', expected a file cat.toml in {folder}",
    ),
    (
        in_system('["lamp", "hand"]', '["../lamp", "hand"]'),
        "system.toml: 'machines' holds '../lamp', expected a name in lower_snake_case",
    ),
    (
        in_system('["lamp", "hand"]', '["lamp", "hand", "lamp"]'),
        "system.toml: row lamp: machine 'lamp' is used twice (machines, machines)",
    ),
    (
        in_system('["lamp", "hand"]', '"lamp"'),
        "system.toml: 'machines' is 'lamp', expected a list of texts",
    ),
    (
        in_system("joint = [\n", "joint = [\n 3,\n"),
        "system.toml: 'joint' is missing or empty, expected a list of rows",
    ),
    (
        in_system('arrows = ["T1", "H1"]', 'arrows = ["T1"]'),
        "system.toml: row press: 'arrows' is ['T1'], expected a list of at least two arrow ids",
    ),
    (
        in_system('arrows = ["T1", "H1"]', 'arrows = ["T1", []]'),
        "system.toml: row press: 'arrows' holds [], expected an arrow id or a list of alternatives",
    ),
    (
        in_system('under = "the hand"', 'beneath = "the hand"'),
        "system.toml: row press: unknown key 'beneath', expected one of arrows, id, under, why",
    ),
    (
        in_system('id = "apart", kind', 'id = "pressed", kind'),
        "system.toml: row pressed: id 'pressed' is used twice (Lit by hand., Not so.)",
    ),
    (
        in_system('kind = "always"', 'kind = "mostly"'),
        (
            f"system.toml: {PROPERTY}: 'kind' is 'mostly', "
            "expected one of always, leads_to, never, sometimes"
        ),
    ),
    (
        in_system('kind = "always", ', ""),
        f"system.toml: {PROPERTY}: key 'kind' is missing, expected a text",
    ),
    (
        in_system(EQUAL, 'equal = [["lamp.LIT"]]'),
        f"system.toml: {PROPERTY}: 'equal' is [['lamp.LIT']], expected two lists of places",
    ),
    (
        in_system(EQUAL, 'equal = [["lamp.LIT"], []]'),
        f"system.toml: {PROPERTY}: [] is not a list of places, expected some like 'worker.BUSY'",
    ),
    (
        in_system(EQUAL, 'equal = [["lamp.LIT"], ["hand"]]'),
        f"system.toml: {PROPERTY}: 'hand' is not a place, expected one like 'worker.BUSY'",
    ),
    (
        in_system(EQUAL, 'equal = [["lamp.LIT"], [3]]'),
        f"system.toml: {PROPERTY}: 3 is not a place, expected one like 'worker.BUSY'",
    ),
    (
        in_system(EQUAL, 'together = ["lamp.LIT"]'),
        (
            f"system.toml: {PROPERTY}: says nothing that always holds, expected one of "
            "equal, hold, moves, one_owner"
        ),
    ),
    (
        in_system('from = "lamp.LIT"', "from = 1"),
        "system.toml: row ends: 1 is not a place, expected one like 'worker.BUSY'",
    ),
    (
        in_system('arrow = "T1", ', ""),
        "system.toml: row shines: key 'arrow' is missing, expected a text",
    ),
    (
        in_system("hand = 2", "hand = -2"),
        "system.toml: bounds quick: 'hand' is -2, expected a whole number, 0 or more",
    ),
    (
        in_system("hand = 2", "hand = true"),
        "system.toml: bounds quick: 'hand' is True, expected a whole number, 0 or more",
    ),
    (
        in_system("quick = { lamp = 1, hand = 2 }", "quick = 1"),
        "system.toml: table bounds: 'quick' is 1, expected a table",
    ),
    (
        in_system("joint = [\n", "ledger = []\njoint = [\n"),
        "system.toml: 'ledger' is [], expected a table",
    ),
    (
        with_ledger(LEDGER.replace('machine = "lamp"\n', "")),
        "system.toml: table ledger: key 'machine' is missing, expected a text",
    ),
    (
        with_ledger(LEDGER.replace('open = ["LIT"]', 'opened = ["LIT"]')),
        (
            "system.toml: table ledger: unknown key 'opened', "
            "expected one of accepted, machine, open, settled"
        ),
    ),
    (
        with_ledger(LEDGER.replace('open = ["LIT"]\n', "")),
        "system.toml: table ledger: 'open' is None, expected a list of texts",
    ),
    (
        with_ledger(LEDGER.replace('["T1"]', '"T1"')),
        "system.toml: table ledger: 'accepted' is 'T1', expected a list of texts",
    ),
    (
        with_ledger(LEDGER.replace("[ledger.settled]\n", "")),
        (
            "system.toml: table ledger: unknown key 'fallen', "
            "expected one of accepted, machine, open, settled"
        ),
    ),
    (
        with_ledger(LEDGER.partition("[ledger.settled]\n")[0]),
        "system.toml: table ledger: 'settled' is None, expected a table",
    ),
    (
        with_ledger(LEDGER.replace('["T3"]', '["T3", 3]')),
        "system.toml: table settled: 'fallen' is ['T3', 3], expected a list of texts",
    ),
    (
        in_system("[bounds]", "[limits]"),
        (
            "system.toml: unknown key 'limits', expected one of "
            "bounds, joint, ledger, machines, name, pinned, properties"
        ),
    ),
]


@pytest.mark.parametrize(("edit", "line"), BROKEN, ids=[line for _, line in BROKEN])
def test_a_malformed_spec_is_told_in_one_line(edit: Edit, line: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_lamp(tmp_path, edit)
    assert str(caught.value) == line.replace("{folder}", str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_two_machines_cannot_share_an_arrow_s_id(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_lamp(tmp_path, ("hand.toml", 'id = "H1"', 'id = "T3"'))
    assert str(caught.value) == "system.toml: row T3: arrow id 'T3' is used twice (lamp, hand)"


def test_two_joint_steps_cannot_share_an_id(tmp_path: Path) -> None:
    row = '{ id = "press", under = "x", arrows = ["T1", "H1"], why = "Again." },'
    with pytest.raises(SpecError, match=r"^system.toml: row press: id 'press' is used twice"):
        load_lamp(tmp_path, in_system("joint = [\n", f"joint = [\n{row}\n"))


def test_each_table_that_must_be_there_is_asked_for(tmp_path: Path) -> None:
    for edit, line in (
        (in_lamp("[states]\n", "[[states]]\n"), "lamp.toml: 'states' is [{"),
        (in_vocabulary("[guards]\n", "[[guards]]\n"), "vocabulary.toml: 'guards' is [{"),
        (in_system("[bounds]\n", "[[bounds]]\n"), "system.toml: 'bounds' is [{"),
    ):
        with pytest.raises(SpecError) as caught:
            load_lamp(tmp_path, edit)
        assert str(caught.value).startswith(line)
        assert str(caught.value).endswith("expected a table")


@pytest.mark.parametrize("file", ["system.toml", "vocabulary.toml", "lamp.toml"])
class TestFilesThatCannotBeRead:
    def test_one_that_is_not_there(self, file: str, tmp_path: Path) -> None:
        (write_lamp(tmp_path) / file).unlink()
        with pytest.raises(SpecError) as caught:
            load_system(tmp_path)
        told = f"{file}: no such file in {tmp_path}"
        if file == "lamp.toml":
            told = f"system.toml: 'machines' holds 'lamp', expected a file {file} in {tmp_path}"
        assert str(caught.value) == told

    def test_one_that_is_a_folder(self, file: str, tmp_path: Path) -> None:
        (write_lamp(tmp_path) / file).unlink()
        (tmp_path / file).mkdir()
        with pytest.raises(SpecError, match=f"^{file}: cannot be read: "):
            load_system(tmp_path)

    def test_one_that_is_not_utf_8(self, file: str, tmp_path: Path) -> None:
        (write_lamp(tmp_path) / file).write_bytes(b"name = '\xff'")
        with pytest.raises(SpecError, match=f"^{file}: cannot be read: 'utf-8' codec"):
            load_system(tmp_path)

    def test_one_that_is_not_toml(self, file: str, tmp_path: Path) -> None:
        (write_lamp(tmp_path) / file).write_text("name = lamp\n", encoding="utf-8")
        with pytest.raises(SpecError, match=f"^{file}: not TOML: .*line 1"):
            load_system(tmp_path)


def test_an_error_carries_its_parts(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_lamp(tmp_path, in_lamp('from = "LIT"', 'from = "LID"'))
    error = caught.value
    assert (error.file, error.place) == ("lamp.toml", "row T3")
    assert error.expectation == "'from' is 'LID', expected a state: BROKEN, DARK, LIT"


def test_a_sound_spec_is_read_whole(tmp_path: Path) -> None:
    system = load_lamp(tmp_path)
    lamp = system.machines["lamp"]
    assert (system.name, list(system.machines)) == ("room", ["lamp", "hand"])
    assert (lamp.initial, lamp.final, lamp.driven_by) == ("DARK", ("BROKEN",), "main")
    assert lamp.events == ("switched", "fell")
    assert lamp.drawing.splitlines()[0] == "A lamp."
    assert lamp.drawing.splitlines()[2].startswith("  DARK --switched--> LIT")
    first = lamp.arrows[0]
    assert str(first) == "T1 lamp.DARK --switched--> LIT"
    assert first.label == "switched [has_power] / glow"
    assert lamp.arrows[1].label == "switched [not has_power]"
    assert (first.sync, first.environment, lamp.arrows[2].environment) == ("press", False, True)
    assert [arrow.id for arrow in lamp.arrows_from("DARK")] == ["T1", "T2"]
    assert lamp.arrows_from("DARK", "fell") == ()
    lit = lamp.states["LIT"]
    assert (lit.waits_for, lit.deadline, lit.then) == ("peer", "lit_seconds_max", "fell")
    assert list(system.arrows) == ["T1", "T2", "T3", "H1"]
    assert system.joints[0].groups == (("T1",), ("H1",))
    assert system.bounds == {"quick": {"lamp": 1, "hand": 2}}
    assert system.vocabulary.guards["has_power"].machine == "lamp"


def test_each_kind_of_property_is_read(tmp_path: Path) -> None:
    lit, done = Place("lamp", "LIT"), Place("hand", "DONE")
    broken, resting = Place("lamp", "BROKEN"), Place("hand", "RESTING")
    properties = load_lamp(tmp_path).properties
    assert properties == (
        Equal("pressed", "Lit by hand.", (lit,), (done,)),
        NeverTogether("apart", "Not so.", (broken, resting)),
        LeadsTo("ends", "It falls.", lit, (broken,)),
        Sometimes("shines", "It is lit in some run.", "T1"),
    )
    assert len(properties) == len(KINDS)
    assert str(lit) == "lamp.LIT"


def test_a_ledger_is_read(tmp_path: Path) -> None:
    ledger = load_lamp(tmp_path, with_ledger(LEDGER)).ledger
    assert ledger == LedgerSpec("lamp", ("LIT",), ("T1",), {"fallen": ("T3",)})
    assert ledger.arrows == ("T1", "T3")


def test_a_rate_is_read(tmp_path: Path) -> None:
    limits = '[rates]\nfalls_per_second_min = { means = "Falls." }\n[deadlines]\n'
    system = load_lamp(
        tmp_path,
        in_vocabulary("[deadlines]\n", limits),
        in_lamp('then = "fell"', 'rate = "falls_per_second_min", then = "fell"'),
    )
    assert system.machines["lamp"].states["LIT"].rate == "falls_per_second_min"
    assert system.vocabulary.rates == {"falls_per_second_min": "Falls."}
    assert list(system.vocabulary.deadlines) == ["lit_seconds_max"]


def test_a_spec_needs_neither_rates_nor_a_ledger(tmp_path: Path) -> None:
    system = load_lamp(tmp_path)
    assert (system.ledger, system.vocabulary.rates) == (None, {})
    assert system.machines["lamp"].states["LIT"].rate is None


def test_alternatives_of_a_joint_step_are_groups(tmp_path: Path) -> None:
    edit = in_system('arrows = ["T1", "H1"]', 'arrows = [["T1", "T2"], "H1"]')
    assert load_lamp(tmp_path, edit).joints[0].groups == (("T1", "T2"), ("H1",))


def test_what_is_loaded_is_frozen(tmp_path: Path) -> None:
    system = load_lamp(tmp_path)
    for value, key in (
        (system, "name"),
        (system.machines["lamp"], "initial"),
        (system.machines["lamp"].states["LIT"], "deadline"),
        (system.arrows["T1"], "target"),
        (system.joints[0], "groups"),
    ):
        with pytest.raises(AttributeError):
            setattr(value, key, "x")


def test_the_project_s_own_spec_is_found_and_read() -> None:
    system = load_system()
    assert system.folder == str(spec_folder())
    assert load_machine(spec_folder() / "worker.toml") == system.machines["worker"]
    assert load_system(str(spec_folder())) == system
