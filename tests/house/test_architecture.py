"""The house's plan: who may import whom, and how events are fired."""

from __future__ import annotations

import ast
import sys

import pytest

from statemachine import load_system
from tests.house.source import Source, sources

FLOORS = (
    ("server.__main__",),
    ("server.cli", "server.api"),
    ("server.compiled",),
    ("server.simulation", "server.processes"),
    ("server.server", "server.thread_pool"),
    (
        "server.recording",
        "server.observing",
        "server.operating",
        "server.composing",
        "server.making",
    ),
    ("server.ground",),
    ("server.supervisor", "server.spec", "server.listing"),
    ("server.net", "server.app", "server.ops"),
    (
        *("server.http1", "server.ledger", "server.events", "server.flight", "server.tracing"),
        *("server.error_log", "server.lifecycle"),
    ),
    ("server.log_file",),
    ("statemachine",),
    ("server.config", "server.clock", "server.stats"),
    ("server.mount",),
    ("server.errors",),
)
"""From the roof down. A room imports from floors below its own, never from one above or beside."""

HTTP1_FORBIDS = {
    *("socket", "select", "selectors", "threading", "queue", "time", "os", "io", "logging"),
    *("asyncio", "concurrent", "signal", "socketserver", "ssl", "subprocess"),
}
STATEMACHINE_FORBIDS = {"socket", "threading", "http", "select", "selectors", "queue", "server"}
Z3_ALLOWED = {
    f"statemachine/{name}.py"
    for name in ("smt", "doing", "taking", "clauses", "grounding", "joining", "proof", "induction")
}
"""Who proves. Nobody imports these but the prove command, when it is run."""
ANY_ALLOWED = {"statemachine/machine.py", "server/config.py"}


def _room(module: str) -> tuple[int, str] | None:
    """The floor and the room of a module of ours; the package `server` itself is the doorplate."""
    for floor, rooms in enumerate(FLOORS):
        for room in rooms:
            if module == room or module.startswith(room + "."):
                return floor, room
    return None


def _roots(source: Source) -> set[str]:
    return {name.split(".")[0] for name in source.imports()}


def test_every_module_has_its_floor() -> None:
    placed = {source.name for source in sources("server", "statemachine") if _room(source.module)}
    assert {s.name for s in sources("server", "statemachine")} - placed == {"server/__init__.py"}


@pytest.mark.parametrize("source", sources("server", "statemachine"), ids=lambda s: s.name)
def test_imports_point_down_only(source: Source) -> None:
    here = _room(source.module) or (-1, "server")
    for name in source.imports():
        there = _room(name)
        if there is None or there[1] == here[1]:
            continue
        assert there[0] > here[0], f"{source.name} imports {name}"


def test_leaves_import_nothing_of_ours_but_errors() -> None:
    for name in ("config", "errors", "clock", "mount"):
        (leaf,) = sources(f"server/{name}.py")
        ours = {one for one in leaf.imports() if one.startswith(("server", "statemachine"))}
        assert all(one.startswith(("server.errors", "server.mount")) for one in ours), leaf.name


def test_http1_does_no_input_or_output() -> None:
    for source in sources("server/http1"):
        assert not _roots(source) & HTTP1_FORBIDS, source.name


def test_statemachine_knows_no_sockets_threads_or_http() -> None:
    for source in sources("statemachine"):
        assert not _roots(source) & STATEMACHINE_FORBIDS, source.name


def test_transitions_has_one_importer() -> None:
    importers = {s.name for s in sources("server", "statemachine") if "transitions" in _roots(s)}
    assert importers == {"statemachine/machine.py"}


def test_nothing_but_the_standard_library_and_transitions_is_imported() -> None:
    allowed = {*sys.stdlib_module_names, "transitions", "server", "statemachine"}
    for source in sources("server", "statemachine"):
        more = {"z3"} if source.name in Z3_ALLOWED else set()
        more |= {"prometheus_client"} if source.name == "server/ops/metrics.py" else set()
        assert _roots(source) <= allowed | more, source.name


def test_z3_is_only_needed_to_prove() -> None:
    users = {source.name for source in sources("server", "statemachine") if "z3" in _roots(source)}
    assert users == Z3_ALLOWED
    modules = {name.removesuffix(".py").replace("/", ".") for name in Z3_ALLOWED}
    for source in sources("server", "statemachine"):
        if source.name not in Z3_ALLOWED | {"statemachine/proving.py"}:
            assert not modules & set(source.imports()), source.name


def test_a_simulation_is_nobodys_but_the_command_lines() -> None:
    rooms = ("server.cli", "server.simulation")
    for source in sources("server", "statemachine"):
        if not source.module.startswith(rooms):
            simulates = [one for one in source.imports() if one.startswith("server.simulation")]
            assert simulates == [], source.name
            assert "greenlet" not in source.text, source.name


def test_the_pool_knows_no_http() -> None:
    for name in ("server/net/pool.py", "server/net/worker.py", "server/thread_pool.py"):
        for source in sources(name):
            rooms = {room[1] for one in source.imports() if (room := _room(one))}
            assert not rooms & {"server.http1", "server.app"}, name


def test_threading_is_imported_whole() -> None:
    """A scheduler under test slips beneath `threading.Lock`, never beneath a name of our own."""
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module != "threading", f"{source.name}:{node.lineno}"


def test_any_stays_where_it_is_allowed() -> None:
    users = {s.name for s in sources("server", "statemachine") if "Any" in s.names()}
    assert users <= ANY_ALLOWED


def _calls(source: Source) -> set[str]:
    """The names of the methods that are called, or handed on to be called."""
    return {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}


SYSTEM = load_system()


@pytest.mark.parametrize("machine", list(SYSTEM.machines))
def test_every_event_of_the_spec_is_fired_by_the_server(machine: str) -> None:
    fired = set().union(*(_calls(source) for source in sources("server")))
    assert [event for event in SYSTEM.machines[machine].events if event not in fired] == []


def test_events_are_methods_never_texts() -> None:
    for source in sources("server"):
        assert not _calls(source) & {"trigger", "may_trigger", "dispatch_event"}, source.name
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                dynamic = node.func.id == "getattr" and any(
                    isinstance(a, ast.Constant) and a.value in _events() for a in node.args
                )
                assert not dynamic, f"{source.name}:{node.lineno}: an event by its name"


def _events() -> set[str]:
    return {event for machine in SYSTEM.machines.values() for event in machine.events}
