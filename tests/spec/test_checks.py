"""The static checks: each finds what only it can, and the project's own spec has no finding."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from server.config import Config
from statemachine import SpecError, check, load_system, spec_folder
from statemachine.checks import CHECKS, Finding
from tests.spec.edits import Edit
from tests.spec.lamp import LEDGER, load_lamp

LIT_WAITS = 'waits_for = "peer", deadline = "lit_seconds_max", then = "fell"'
T1 = 'when = "has_power", do = "glow", sync = "press"'
T2 = 'to = "BROKEN", unless = "has_power"'
ROWS = "transitions = [\n"
STATES = "[states]\n"


def row(text: str) -> Edit:
    return "lamp.toml", ROWS, f'{ROWS}  {{ id = "T9", {text}, why = "A test." }},\n'


def state(name: str) -> Edit:
    return "lamp.toml", STATES, f'{STATES}{name} = {{ means = "A test.", owner = "main" }}\n'


NO_DEADLINES: Edit = (
    "vocabulary.toml",
    'lit_seconds_max = { means = "From the switch to the fall." }\n',
    "",
)


def ledger(old: str = "", new: str = "") -> Edit:
    """The system with a ledger, in which one text is replaced."""
    assert old in LEDGER
    return "system.toml", "[bounds]\n", f"{LEDGER.replace(old, new)}\n[bounds]\n"


def rate(name: str = "falls_per_second_min") -> list[Edit]:
    """LIT has a rate, and the vocabulary one."""
    return [
        ("lamp.toml", 'then = "fell"', f'rate = "{name}", then = "fell"'),
        RATES,
    ]


RATES: Edit = (
    "vocabulary.toml",
    "[deadlines]\n",
    '[rates]\nfalls_per_second_min = { means = "How often." }\n\n[deadlines]\n',
)


BREAKS: list[tuple[str, list[Edit], list[str]]] = [
    (
        "_unreachable_states",
        [state("SPARE"), row('from = "SPARE", on = "fell", to = "BROKEN"')],
        ["lamp.toml: state SPARE: unreachable from the initial state"],
    ),
    (
        "_dead_ends",
        [state("STUCK"), row('from = "LIT", on = "jammed", to = "STUCK"')],
        ["lamp.toml: state STUCK: no way leads from it to a final state"],
    ),
    (
        "_arrows_out_of_final",
        [row('from = "BROKEN", on = "mended", to = "DARK"')],
        ["lamp.toml: row T9: leaves the final state BROKEN"],
    ),
    (
        "_ambiguous_arrows",
        [row('from = "LIT", on = "fell", to = "DARK"')],
        [
            (
                "lamp.toml: rows T9 and T3: both may be enabled: "
                "one needs when, the other unless, with the same guard"
            )
        ],
    ),
    (
        "_ambiguous_arrows",
        [("lamp.toml", T2, 'to = "LIT", unless = "has_power"')],
        ["lamp.toml: rows T1 and T2: same source, event and target: make them one"],
    ),
    (
        "_half_guards",
        [("lamp.toml", "environment = true", 'unless = "has_power"')],
        ["lamp.toml: row T3: no row says what happens when has_power"],
    ),
    (
        "_half_guards",
        [("lamp.toml", "environment = true", 'when = "has_power"')],
        ["lamp.toml: row T3: no row says what happens unless has_power"],
    ),
    (
        "_waits",
        [
            ("lamp.toml", 'deadline = "lit_seconds_max", then = "fell"', 'deadline_of = "cat"'),
            NO_DEADLINES,
        ],
        [
            (
                "lamp.toml: state LIT: takes its deadline from 'cat', which is no machine that has "
                "them"
            ),
            (
                "lamp.toml: state LIT: has a deadline and does not say which event it fires: "
                "'then' is missing"
            ),
        ],
    ),
    (
        "_waits",
        [("lamp.toml", LIT_WAITS, 'waits_for = "kernel"'), NO_DEADLINES],
        ["lamp.toml: state LIT: waits for the kernel without a deadline"],
    ),
    (
        "_waits",
        [("lamp.toml", 'waits_for = "peer"', 'waits_for = "rain"')],
        ["lamp.toml: state LIT: waits for 'rain', expected handler, kernel, peer or a machine"],
    ),
    (
        "_waits",
        [("lamp.toml", 'forbids = "is_warm"', 'forbids = "is_warm", waits_for = "hand"')],
        ["lamp.toml: state BROKEN: is final and waits for somebody"],
    ),
    (
        "_waits",
        [("lamp.toml", 'waits_for = "peer", ', "")],
        ["lamp.toml: state LIT: has a deadline and waits for nobody"],
    ),
    (
        "_waits",
        [("lamp.toml", ', then = "fell"', "")],
        [
            (
                "lamp.toml: state LIT: has a deadline and does not say which event it fires: "
                "'then' is missing"
            )
        ],
    ),
    (
        "_waits",
        [("lamp.toml", 'then = "fell"', 'then = "switched"')],
        ["lamp.toml: state LIT: its deadline fires 'switched', and no row leaves it on that event"],
    ),
    (
        "_waits",
        [
            ("lamp.toml", LIT_WAITS, 'waits_for = "hand", rate = "falls_per_second_min"'),
            NO_DEADLINES,
            ("vocabulary.toml", "[effects]\n", RATES[2].replace("[deadlines]", "[effects]")),
        ],
        ["lamp.toml: state LIT: has a rate and no deadline that it could move"],
    ),
    (
        "_owners",
        [("lamp.toml", 'driven_by = "main"', 'driven_by = "cat"')],
        ["lamp.toml: driven_by: is 'cat', expected one of lock, main, owner, reactor"],
    ),
    (
        "_owners",
        [("lamp.toml", 'means = "No light.", owner = "main"', 'means = "No light."')],
        ["lamp.toml: state DARK: has no owner and is not final"],
    ),
    (
        "_words",
        [("lamp.toml", 'do = "glow"', 'do = "burn"')],
        [
            "lamp.toml: row T1: 'burn' is not in the vocabulary's effects",
            "vocabulary.toml: glow: no row and no state uses it",
        ],
    ),
    (
        "_words",
        [("hand.toml", 'to = "DONE"', 'to = "DONE", do = "glow"')],
        ["hand.toml: row H1: 'glow' is a word of machine lamp"],
    ),
    (
        "_words",
        [("lamp.toml", 'requires = "is_warm"', 'requires = "has_power"')],
        ["lamp.toml: state LIT: 'has_power' is not in the vocabulary's conditions"],
    ),
    (
        "_words",
        [("vocabulary.toml", "[deadlines]\n", '[deadlines]\nage_max = { means = "None." }\n')],
        ["vocabulary.toml: age_max: no row and no state uses it"],
    ),
    (
        "_words",
        [RATES],
        ["vocabulary.toml: falls_per_second_min: no row and no state uses it"],
    ),
    (
        "_methods",
        [("vocabulary.toml", 'python = "glow"', 'python = "has_power"')],
        [
            "vocabulary.toml: glow: its method 'has_power' is the word has_power of machine lamp",
        ],
    ),
    (
        "_methods",
        [("vocabulary.toml", 'python = "glow"', 'python = "fell"')],
        ["vocabulary.toml: glow: its method 'fell' is the event fell of machine lamp"],
    ),
    (
        "_joints",
        [("system.toml", '["T1", "H1"]', '["T1", "H1", "H7"]')],
        ["system.toml: row press: no arrow has the id H7"],
    ),
    (
        "_joints",
        [("lamp.toml", ', sync = "press"', "")],
        ["lamp.toml: row T1: takes part in the joint step press and does not say so: sync"],
    ),
    (
        "_joints",
        [("lamp.toml", "environment = true", 'sync = "press"')],
        ["lamp.toml: row T3: its joint step 'press' in system.toml does not list it"],
    ),
    (
        "_properties",
        [("system.toml", '[["lamp.LIT"], ["hand.DONE"]]', '[["lamp.LID"], ["cat.DONE"]]')],
        [
            "system.toml: row pressed: no machine has the state lamp.LID",
            "system.toml: row pressed: no machine has the state cat.DONE",
        ],
    ),
    (
        "_properties",
        [("system.toml", '"hand.RESTING"]', '"hand.ASLEEP"]')],
        ["system.toml: row apart: no machine has the state hand.ASLEEP"],
    ),
    (
        "_properties",
        [("system.toml", 'arrow = "T1"', 'arrow = "T7"')],
        ["system.toml: row shines: no arrow has the id T7"],
    ),
    (
        "_properties",
        [("system.toml", 'to = ["lamp.BROKEN"]', 'to = ["lamp.DARK"]')],
        ["system.toml: row ends: lamp.LIT cannot come to lamp.DARK"],
    ),
    (
        "_properties",
        [("system.toml", 'from = "lamp.LIT"', 'from = "cat.LIT"')],
        ["system.toml: row ends: no machine has the state cat.LIT"],
    ),
    (
        "_ledger",
        [ledger('machine = "lamp"', 'machine = "cat"')],
        ["system.toml: ledger: no machine is called 'cat'"],
    ),
    (
        "_ledger",
        [ledger('["LIT"]', '["LIT", "LID"]')],
        ["system.toml: ledger: no state of lamp is called LID"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', '["T3", "H1", "T7"]')],
        [
            "system.toml: ledger: no arrow of lamp has the id H1",
            "system.toml: ledger: no arrow of lamp has the id T7",
        ],
    ),
    (
        "_ledger",
        [ledger('["T1"]', "[]")],
        [
            (
                "system.toml: ledger, row T1: opens an entry, "
                "and is listed 0 times as accepted, expected once"
            )
        ],
    ),
    (
        "_ledger",
        [ledger('["T1"]', '["T1", "T1"]')],
        [
            (
                "system.toml: ledger, row T1: opens an entry, "
                "and is listed 2 times as accepted, expected once"
            )
        ],
    ),
    (
        "_ledger",
        [ledger('["T1"]', '["T1", "T2"]')],
        ["system.toml: ledger, row T2: is listed as accepted, and opens no entry"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', "[]")],
        ["system.toml: ledger, row T3: closes an entry, and is listed under no term"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', '["T3"]\nthrown = ["T3"]')],
        ["system.toml: ledger, row T3: closes an entry, and is listed under fallen and thrown"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', '["T3", "T3"]')],
        ["system.toml: ledger, row T3: closes an entry, and is listed under fallen and fallen"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', '["T3"]\nthrown = ["T2"]')],
        ["system.toml: ledger, row T2: is listed under thrown, and closes no entry"],
    ),
    (
        "_ledger",
        [ledger('["T3"]', '["T3", "T1"]')],
        ["system.toml: ledger, row T1: is listed under fallen, and closes no entry"],
    ),
    (
        "_ledger",
        [ledger(), row('from = "LIT", on = "dimmed", to = "DARK"')],
        ["system.toml: ledger, row T9: closes an entry, and is listed under no term"],
    ),
    (
        "_ledger",
        [
            ledger('["LIT"]', '["DARK", "LIT"]'),
        ],
        [
            (
                "system.toml: ledger: an object begins in DARK, "
                "with an open entry that nobody accepted"
            ),
            "system.toml: ledger, row T1: is listed as accepted, and opens no entry",
            "system.toml: ledger, row T2: closes an entry, and is listed under no term",
        ],
    ),
    (
        "_ledger",
        [ledger('["LIT"]', '["LIT", "BROKEN"]')],
        [
            (
                "system.toml: ledger: an object ends in BROKEN, "
                "with an open entry that nothing will settle"
            ),
            (
                "system.toml: ledger, row T2: opens an entry, "
                "and is listed 0 times as accepted, expected once"
            ),
            "system.toml: ledger, row T3: is listed under fallen, and closes no entry",
        ],
    ),
]


def test_the_sound_spec_has_no_finding(tmp_path: Path) -> None:
    assert check(load_lamp(tmp_path), limits={"lit_seconds_max"}) == []
    assert check(load_lamp(tmp_path, ledger())) == []
    limits = {"lit_seconds_max", "falls_per_second_min"}
    assert check(load_lamp(tmp_path, *rate()), limits=limits) == []


def test_a_rate_that_is_no_word_of_the_vocabulary_is_found(tmp_path: Path) -> None:
    """A deadline is no rate, although both are limits."""
    for name in ("bytes_per_second_min", "lit_seconds_max"):
        assert [str(one) for one in check(load_lamp(tmp_path, *rate(name)))] == [
            f"lamp.toml: state LIT: rate '{name}' is not in the vocabulary",
            "vocabulary.toml: falls_per_second_min: no row and no state uses it",
        ]


def test_an_arrow_within_the_open_states_is_not_counted(tmp_path: Path) -> None:
    open_both = [
        ledger('["LIT"]', '["LIT", "DIM"]'),
        state("DIM"),
        row('from = "LIT", on = "dimmed", to = "DIM"'),
        ("lamp.toml", 'from = "LIT", on = "fell"', 'from = "DIM", on = "fell"'),
        ("lamp.toml", ', then = "fell"', ', then = "dimmed"'),
    ]
    assert check(load_lamp(tmp_path, *open_both)) == []


@pytest.mark.parametrize(
    ("name", "edits", "lines"),
    BREAKS,
    ids=[f"{name[1:]}: {lines[0]}" for name, _, lines in BREAKS],
)
def test_each_check_finds_what_only_it_can(
    name: str, edits: list[Edit], lines: list[str], tmp_path: Path
) -> None:
    system = load_lamp(tmp_path, *edits)
    assert [str(finding) for finding in check(system)] == lines
    assert {one.__name__ for one in CHECKS if list(one(system))} == {name}


def test_every_check_is_broken_above() -> None:
    """Those of the composition have a file of their own, test_composition.py."""
    assert {name for name, _, _ in BREAKS} | {"_composition"} == {one.__name__ for one in CHECKS}


def test_a_deadline_or_rate_that_config_lacks_is_found(tmp_path: Path) -> None:
    assert check(load_lamp(tmp_path), limits={"another"}) == [
        Finding("vocabulary.toml", "deadline lit_seconds_max", "Config has no limit of that name")
    ]
    assert check(load_lamp(tmp_path, *rate()), limits={"lit_seconds_max"}) == [
        Finding("vocabulary.toml", "rate falls_per_second_min", "Config has no limit of that name")
    ]


def test_a_deadline_may_be_kept_by_a_machine_whose_waits_are_all_bounded(tmp_path: Path) -> None:
    """`deadline_of` needs `then`, and a machine each of whose waits for the outside is bounded."""
    borrowed = ("hand.toml", 'RESTING = { means = "Not on the switch.", owner = "main" }')
    waiting = 'RESTING = { means = "Not on the switch.", owner = "main", waits_for = "peer", '
    sound = (*borrowed, f'{waiting}deadline_of = "lamp", then = "pressed" }}')
    assert check(load_lamp(tmp_path, sound)) == []
    circular = (*borrowed, f'{waiting}deadline_of = "hand", then = "pressed" }}')
    assert [finding.says for finding in check(load_lamp(tmp_path, circular))] == [
        "takes its deadline from 'hand', which is no machine that has them"
    ]


def test_a_machine_that_waits_for_nobody_has_no_deadline_to_lend(tmp_path: Path) -> None:
    borrowed = ("lamp.toml", 'deadline = "lit_seconds_max"', 'deadline_of = "hand"')
    assert [finding.says for finding in check(load_lamp(tmp_path, borrowed, NO_DEADLINES))] == [
        "takes its deadline from 'hand', which is no machine that has them"
    ]


def test_unless_may_be_answered_by_another_event_of_the_state(tmp_path: Path) -> None:
    edits = [
        ("lamp.toml", T1, T1),
        ("lamp.toml", 'on = "switched", ' + T2, 'on = "failed", ' + T2),
    ]
    assert check(load_lamp(tmp_path, *edits)) == []


def test_under_a_lock_a_guard_alone_is_a_claim_and_may_refuse(tmp_path: Path) -> None:
    edits = [
        ("lamp.toml", "environment = true", 'when = "has_power"'),
        ("lamp.toml", 'driven_by = "main"', 'driven_by = "lock"'),
    ]
    assert check(load_lamp(tmp_path, *edits)) == []


class TestTheProjectsOwnSpec:
    def test_has_no_finding(self) -> None:
        limits = {field.name for field in dataclasses.fields(Config)}
        assert check(load_system(), limits=limits) == []

    def test_static_checks_notice_most_rows_that_are_missing(self, tmp_path: Path) -> None:
        """Each row is taken out once. What goes unnoticed is the models' and the tests' part.

        Without the composition, which names every row: that it misses one says nothing of the rows.
        """
        unnoticed, noticed = [], {}
        for arrow in load_system().arrows.values():
            folder = shutil.copytree(spec_folder(), tmp_path / arrow.id)
            (folder / "composition.toml").unlink()
            _take_out(folder / f"{arrow.machine}.toml", arrow.id)
            findings = check(load_system(folder))
            if findings:
                noticed[arrow.id] = str(findings[0])
            else:
                unnoticed.append(arrow.id)
        for name, finding in noticed.items():
            print(f"{name}: {finding}")
        print(f"{len(noticed)} of {len(noticed) + len(unnoticed)} missing rows are noticed")
        assert unnoticed == UNNOTICED.split()

    def test_every_row_that_the_ledger_counts_is_noticed(self) -> None:
        ledger = load_system().ledger
        assert ledger is not None
        assert not set(ledger.arrows) & set(UNNOTICED.split())

    def test_a_row_that_moves_an_entry_and_is_not_counted_is_noticed(self, tmp_path: Path) -> None:
        """Whichever row the ledger forgets: the sum of the terms would come out wrong."""
        system = load_system()
        assert system.ledger is not None
        for name in system.ledger.arrows:
            folder = shutil.copytree(spec_folder(), tmp_path / name)
            text = (folder / "system.toml").read_text(encoding="utf-8")
            head, mark, listed = text.partition("[ledger]")
            assert len(re.findall(f'"{name}"', listed)) == 1
            listed = re.sub(rf'"{name}"(, )?', "", listed)
            (folder / "system.toml").write_text(head + mark + listed, encoding="utf-8")
            (finding,) = check(load_system(folder))
            assert (finding.file, finding.place) == ("system.toml", f"ledger, row {name}")


def _take_out(file: Path, name: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if f'{{ id = "{name}",' not in line]
    assert len(kept) == len(lines) - 1
    file.write_text("".join(kept), encoding="utf-8")


UNNOTICED = """
S4 S6 S8 S11 S12 H2 H4 H5 H6 L2 L5 L7 L8 L9 P1 W3 W6 W14 W15 B3 B4 B5 B6 B7 B8 B10 B11 B12 B13
C2 C5 C6 C7 C13 C22 C23 C25 C27 C37 C38 C40 C41 C42 C44 C45 C48 R5 R6 R7 R8 R9 K3 K5 K6 K8 A1 A6
E3 U3 U4 U5 U11 U12 U13 U14 U15 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 F13 F16 F18 M2 M5 M6 M8 M10 M11
M17 M21
"""
"""Rows that can go without a finding: 117 of 204 are noticed, these are not. A row that joins them
is one that no static check holds in its place."""


def test_a_spec_that_cannot_be_loaded_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load_lamp(tmp_path, ("lamp.toml", 'to = "LIT"', 'to = "LID"'))
