"""The drawings say what the spec says, all of it, and `stale` sees when they do not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from statemachine import Arrow, MachineSpec, StateMachineError, System, load_system
from statemachine.__main__ import main
from statemachine.diagrams import (
    LIVE,
    NARROW,
    PAGES,
    PICTURES,
    DrawingError,
    drawings,
    stale,
    texts,
    write,
)
from statemachine.mermaid import label
from statemachine.svg import SVG, dress, is_current

SYSTEM = load_system()
ROOT = Path(SYSTEM.folder).parent
EACH = pytest.mark.parametrize("machine", SYSTEM.machines.values(), ids=lambda m: m.name)
NEEDS_GRAPHVIZ = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


def page_of(machine: MachineSpec) -> str:
    return (ROOT / PAGES / f"{machine.name}.md").read_text(encoding="utf-8")


def picture(name: str) -> ET.Element:
    return ET.parse(ROOT / PICTURES / f"{name}.svg").getroot()


def groups(root: ET.Element) -> dict[str, ET.Element]:
    found = [group for group in root.iter(f"{{{SVG}}}g") if "id" in group.attrib]
    by_id = {group.attrib["id"]: group for group in found}
    assert len(by_id) == len(found), "an id is used twice"
    return by_id


# --- the committed drawings --------------------------------------------------------------------


def test_the_committed_drawings_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "--check"]) == 0
    assert capsys.readouterr().out == "drawings: up to date\n"


def test_the_check_needs_no_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stale(SYSTEM) == []


@EACH
def test_a_page_has_every_state_and_arrow(machine: MachineSpec) -> None:
    page = page_of(machine)
    for state in machine.states.values():
        assert re.search(rf"^\| \*\*{state.name}\*\*.*\|$", page, re.MULTILINE)
    for arrow in machine.arrows:
        row = f'| <a id="{arrow.id}"></a>{arrow.id} | {arrow.source} | `{arrow.label}` | '
        assert page.count(f"{row}{arrow.target} | ") == 1
        assert f"{arrow.source} --> {arrow.target} : {label(f'{arrow.id} {arrow.label}')}" in page


@EACH
def test_a_picture_has_every_state_and_arrow(machine: MachineSpec) -> None:
    by_id = groups(picture(machine.name))
    for state in machine.states.values():
        group = by_id[f"state-{state.name}"]
        classes = group.attrib["class"].split()
        assert {"state", f"owner-{state.owner or 'nobody'}"} <= set(classes)
        assert ("final" in classes) is (state.name in machine.final)
        assert ("initial" in classes) is (state.name == machine.initial)
        words = "".join(group.itertext())
        assert state.means in words
        assert (state.deadline or "") in words
    for arrow in machine.arrows:
        group = by_id[f"arrow-{arrow.id}"]
        assert ("environment" in group.attrib["class"].split()) is arrow.environment
        assert arrow.event in "".join(group.itertext())
        assert arrow.why in "".join(group.itertext())


@EACH
def test_arrows_between_the_same_states_share_a_line(machine: MachineSpec) -> None:
    root = picture(machine.name)
    lines = [g for g in root.iter(f"{{{SVG}}}g") if "edge" in g.attrib.get("class", "").split()]
    ways: dict[tuple[str, str, bool], list[Arrow]] = {}
    for arrow in machine.arrows:
        ways.setdefault((arrow.source, arrow.target, arrow.environment), []).append(arrow)
    assert len(lines) == len(ways) + 1  # that to the initial state
    by_id = groups(root)
    for arrows in ways.values():
        ids = [f"arrow-{arrow.id}" for arrow in arrows]
        if len(arrows) == 1:
            assert "edge" in by_id[ids[0]].attrib["class"].split()
            continue
        line = by_id[f"way-{'-'.join(arrow.id for arrow in arrows)}"]
        assert [part.attrib["id"] for part in line if "id" in part.attrib] == ids
        hint = line.findtext(f"{{{SVG}}}title") or ""
        assert [told.partition(":")[0] for told in hint.splitlines()] == [a.id for a in arrows]
        for arrow in arrows:
            words = [text.text or "" for text in by_id[f"arrow-{arrow.id}"].iter(f"{{{SVG}}}text")]
            shown = " ".join("".join(words).replace("\xa0", " ").split())
            assert shown == f"{arrow.id} {arrow.label}", "each label has its own words, and no more"


@EACH
@pytest.mark.parametrize("folder", ["live", "live/narrow"])
def test_a_live_picture_has_every_state_and_each_arrow_once(
    machine: MachineSpec, folder: str
) -> None:
    by_id = groups(picture(f"{folder}/{machine.name}"))
    states = [one.removeprefix("state-") for one in by_id if one.startswith("state-")]
    assert sorted(states) == sorted(machine.states)
    lines = [one.partition("-")[2] for one in by_id if one.startswith(("arrow-", "way-"))]
    assert sorted("-".join(lines).split("-")) == sorted(arrow.id for arrow in machine.arrows)
    for state in machine.states.values():
        assert f"owner-{state.owner or 'nobody'}" in by_id[f"state-{state.name}"].attrib["class"]


@EACH
def test_a_narrow_picture_has_one_state_in_a_row(machine: MachineSpec) -> None:
    root = picture(f"live/narrow/{machine.name}")
    names = [one for name, one in groups(root).items() if name.startswith("state-")]
    rows = [float(one.find(f"{{{SVG}}}text").attrib["y"]) for one in names]  # type: ignore[union-attr] # each has its name
    assert min(below - above for above, below in pairwise(sorted(rows))) > 40
    assert float(root.attrib["width"]) < 440, "what a phone shows at its own size, or nearly"


def test_the_ledger_is_shown_with_its_equation() -> None:
    ledger = SYSTEM.ledger
    assert ledger is not None
    index = (ROOT / PAGES / "README.md").read_text(encoding="utf-8")
    text = index.partition("\n## Ledger\n")[2].partition("\n## ")[0]
    assert f"\n> **accepted = {' + '.join(ledger.settled)} + open**\n" in text
    for term, arrows in {"accepted": ledger.accepted, **ledger.settled}.items():
        (row,) = re.findall(rf"^\| \*\*{term}\*\* \| (.*) \|$", text, re.MULTILINE)
        links = [re.sub("`.*`", "", cell).strip() for cell in row.split(", ")]
        assert links == [f"[{one}]({ledger.machine}.md#{one})" for one in arrows]
    for state in ledger.open:
        assert f"`{state}`" in text


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def arrow_table(machine: MachineSpec) -> dict[str, list[str]]:
    """The table of a page's arrows, by column."""
    text = page_of(machine).partition("\n## Arrows\n\n")[2].partition("\n\n")[0]
    head, _, *rows = text.splitlines()
    assert len(rows) == len(machine.arrows)
    return dict(zip(cells(head), map(list, zip(*map(cells, rows), strict=True)), strict=True))


@EACH
def test_a_page_marks_what_the_ledger_counts(machine: MachineSpec) -> None:
    ledger = SYSTEM.ledger
    assert ledger is not None
    terms = {one: name for name, listed in ledger.settled.items() for one in listed}
    terms |= dict.fromkeys(ledger.accepted, "accepted")
    column = arrow_table(machine).get("[ledger](README.md#ledger)")
    if machine.name == ledger.machine:
        assert column == [terms.get(arrow.id, "") for arrow in machine.arrows]
    else:
        assert column is None


@EACH
def test_a_table_has_no_empty_column(machine: MachineSpec) -> None:
    table = arrow_table(machine)
    assert all(any(column) for column in table.values())
    assert ("joint step" in table) is any(arrow.sync for arrow in machine.arrows)
    assert ("environment" in table) is any(arrow.environment for arrow in machine.arrows)


def test_a_system_without_a_ledger_has_a_page_without_one() -> None:
    plain = texts(replace(SYSTEM, ledger=None))
    assert "## Ledger" not in plain[f"{PAGES}/README.md"]
    assert "README.md#ledger" not in plain[f"{PAGES}/connection.md"]


def test_the_overview_has_every_machine_and_joint_step() -> None:
    by_id = groups(picture("system"))
    assert {f"machine-{name}" for name in SYSTEM.machines} <= by_id.keys()
    assert {f"joint-{joint.id}" for joint in SYSTEM.joints} <= by_id.keys()
    assert {"room-reactor", "room-queue", "room-worker"} <= by_id.keys()
    index = (ROOT / PAGES / "README.md").read_text(encoding="utf-8")
    for one in (*SYSTEM.joints, *SYSTEM.properties):
        assert f"| **{one.id}** |" in index
    for name in SYSTEM.machines:
        assert f"[{name}]({name}.md)" in index


@pytest.mark.parametrize("name", ["system", *SYSTEM.machines])
def test_a_picture_is_for_every_reader(name: str) -> None:
    root = picture(name)
    assert root.attrib["role"] == "img"
    by_id = {e.attrib["id"]: e for e in root.iter() if "id" in e.attrib}
    for part in root.attrib["aria-labelledby"].split():
        assert by_id[part].text
    assert "@media (prefers-color-scheme: dark)" in "".join(root.itertext())
    painted = [e for e in root.iter() if {"fill", "stroke"} & e.attrib.keys()]
    assert not painted, "a colour outside the stylesheet is the same in light and dark"
    assert float(root.attrib["width"]) < 1400


@EACH
def test_links_of_a_page_lead_somewhere(machine: MachineSpec) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page_of(machine)):
        file, _, fragment = target.partition("#")
        path = ROOT / PAGES / file
        assert path.is_file(), target
        if fragment:
            text = path.read_text(encoding="utf-8")
            heading = fragment.replace("-", " ").capitalize()
            assert f'<a id="{fragment}"></a>' in text or f"# {heading}\n" in text, target


# --- Mermaid's grammar -------------------------------------------------------------------------

ENTITY = re.compile(r"#(quot|lt|gt|[0-9]+);")
LINES = [
    re.compile(r"stateDiagram-v2"),
    re.compile(r"    (\[\*\]|[A-Z][A-Z0-9_]*) --> (\[\*\]|[A-Z][A-Z0-9_]*)( : [^:;#\"<>{}%]+)?"),
    re.compile(r"    [A-Z][A-Z0-9_]* : [^:;#\"<>{}%]+"),
    re.compile(r"    classDef owner_[a-z0-9_]+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#\w{6}"),
    re.compile(r"    class [A-Z0-9_,]+ owner_[a-z0-9_]+"),
]


def diagram_lines(page: str) -> Iterator[str]:
    found = re.findall(r"^```mermaid\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    yield from found[0].splitlines()


@EACH
def test_a_diagram_is_mermaid(machine: MachineSpec) -> None:
    for line in diagram_lines(page_of(machine)):
        plain = ENTITY.sub("", line)
        assert any(form.fullmatch(plain) for form in LINES), line


def test_labels_are_escaped() -> None:
    nasty = 'a:b;c "d" #e <f> {g} 100%\nh'
    escaped = label(nasty)
    assert not re.search(r'[:"<>{}%\n]', escaped)
    assert not re.search(r"[;#]", ENTITY.sub("", escaped))
    assert escaped.startswith("a#58;b#59;c")


def test_words_of_the_spec_cannot_break_a_page_or_a_picture() -> None:
    nasty = 'ends | here, <b>bold</b> & "quoted" -- \\ ]]>'
    system = changed(SYSTEM, why=nasty)
    page = texts(system)[f"{PAGES}/worker.md"]
    row = next(line for line in page.splitlines() if '<a id="W1">' in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 8
    assert "<b>" not in row
    drawn = (
        f'<svg xmlns="{SVG}" viewBox="0 0 9 9"><g class="graph">'
        '<g id="arrow-W1"><title>x</title></g></g></svg>'
    )
    drawing = drawings(system)[f"{PICTURES}/worker.svg"]
    dressed = dress(drawn, drawing)
    assert nasty in "".join(ET.fromstring(dressed).itertext())
    assert is_current(dressed, drawing)


@NEEDS_GRAPHVIZ
def test_an_owner_may_have_any_name(tmp_path: Path) -> None:
    worker = SYSTEM.machines["worker"]
    states = {n: s._replace(owner='the "crew" <2>') for n, s in worker.states.items()}
    machines = {"worker": worker._replace(states=states)}
    joints = tuple(one._replace(id=f'the "{one.id}"') for one in SYSTEM.joints)
    system = replace(SYSTEM, machines={**SYSTEM.machines, **machines}, joints=joints)
    assert set(write(system, tmp_path)) >= set(WORKER)
    root = ET.parse(tmp_path / WORKER[1]).getroot()
    assert groups(root)["state-BUSY"].attrib["class"].split()[-1] == "owner-the-crew-2"
    lines = diagram_lines((tmp_path / WORKER[0]).read_text(encoding="utf-8"))
    assert f"    class {','.join(worker.states)} owner_the_crew_2" in lines


# --- what is stale -----------------------------------------------------------------------------


def changed(system: System, **values: str) -> System:
    """The system with the worker's first row changed."""
    worker = system.machines["worker"]
    first, *others = worker.arrows
    machines = dict(system.machines)
    row: Arrow = first._replace(**values)  # type: ignore[arg-type]  # texts only
    machines["worker"] = worker._replace(arrows=(row, *others))
    return replace(system, machines=machines)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the drawings, to be written to."""
    for folder in (PAGES, PICTURES):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


PICTURED = (PICTURES, LIVE, NARROW)
WORKER = [f"{PAGES}/worker.md", *(f"{folder}/worker.svg" for folder in PICTURED)]


def test_a_copy_is_as_current_as_the_original(project: Path) -> None:
    assert stale(SYSTEM, project) == []


@pytest.mark.parametrize("key", ["why", "event", "target", "id"])
def test_a_changed_row_is_noticed(project: Path, key: str) -> None:
    value = {"why": "Because.", "event": "woke", "target": "BUSY", "id": "W99"}[key]
    assert set(stale(changed(SYSTEM, **{key: value}), project)) >= set(WORKER)


def test_a_missing_and_a_surplus_file_are_noticed(project: Path) -> None:
    (project / WORKER[1]).unlink()
    (project / PAGES / "gone.md").write_text("a machine that was\n", encoding="utf-8")
    assert stale(SYSTEM, project) == [f"{PAGES}/gone.md", WORKER[1]]


@pytest.mark.parametrize("name", WORKER)
def test_a_hand_in_a_drawing_is_noticed(project: Path, name: str) -> None:
    path = project / name
    path.write_text(path.read_text(encoding="utf-8").replace("IDLE", "LAZY"), encoding="utf-8")
    assert stale(SYSTEM, project) == [name]


# --- drawing -----------------------------------------------------------------------------------


@NEEDS_GRAPHVIZ
def test_writing_brings_all_up_to_date(project: Path) -> None:
    system = changed(SYSTEM, event="woke")
    (project / PICTURES / "gone.svg").write_text("<svg/>", encoding="utf-8")
    gone = f"{PICTURES}/gone.svg"
    assert write(system, project) == [WORKER[0], gone, WORKER[3], WORKER[2], WORKER[1]]
    assert stale(system, project) == []
    assert "W1 woke" in (project / WORKER[0]).read_text(encoding="utf-8")
    assert write(system, project) == []


@NEEDS_GRAPHVIZ
def test_drawing_from_nothing(tmp_path: Path) -> None:
    system = replace(SYSTEM, folder=str(tmp_path / "spec"))
    assert write(system) == stale(SYSTEM, tmp_path / "nowhere")
    assert stale(system) == []


def test_without_graphviz_nothing_is_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    before = (project / WORKER[0]).read_bytes()
    with pytest.raises(DrawingError, match="apt-get install graphviz") as caught:
        write(changed(SYSTEM, event="woke"), project)
    assert "\n" not in str(caught.value)
    assert (project / WORKER[0]).read_bytes() == before


def test_a_page_alone_needs_no_graphviz(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / WORKER[0]).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert write(SYSTEM, project) == [WORKER[0]]


def test_graphviz_that_fails_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "dot"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no layout >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    (project / WORKER[1]).unlink()
    with pytest.raises(StateMachineError, match=r"worker\.svg: graphviz says 'no layout'"):
        write(SYSTEM, project)
