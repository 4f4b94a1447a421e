"""The compiled core, as far as it can be seen without a C compiler: which files it is made of, what
is told otherwise in them, and that the events ahead of time are the sealed ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import operator
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import compiled
from server.cli import main
from server.compiled import CORE, MANIFEST, CompiledError, choose, digest, install
from server.compiled.building import MODELS, MODULES
from server.compiled.copying import Copy
from server.compiled.events import events_of
from server.ledger import MOST
from statemachine import GuardRefused, IllegalEvent, Model, load_system
from statemachine.ahead import Count, Ring, count_of
from tests.house.source import TOP

SYSTEM = load_system("spec")
SOURCES = ["server/net/worker.py", "spec/job.toml"]


def _manifest(folder: Path, **others: object) -> None:
    told = {"python": sys.version, "digest": digest(SOURCES), "sources": SOURCES, "modules": {}}
    (folder / MANIFEST).write_text(json.dumps(told | others), "utf-8")


def test_without_a_build_all_is_interpreted(tmp_path: Path) -> None:
    assert not install(tmp_path)


def test_what_another_python_has_built_is_passed_over(tmp_path: Path) -> None:
    _manifest(tmp_path, python="3.9")
    assert not install(tmp_path)


def test_what_was_made_of_another_text_is_refused(tmp_path: Path) -> None:
    _manifest(tmp_path, digest=digest(SOURCES[:1]))
    with pytest.raises(CompiledError, match="made of other files"):
        install(tmp_path)


def test_what_comes_too_late_is_refused(tmp_path: Path) -> None:
    _manifest(tmp_path, modules={"statemachine": "statemachine.so"})
    with pytest.raises(CompiledError, match="statemachine was imported before"):
        install(tmp_path)


def test_the_compiled_modules_are_found_before_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    _manifest(tmp_path, modules={"server.not_imported_yet": "a/b.so"})
    assert install(tmp_path)
    found = sys.meta_path[0].find_spec("server.not_imported_yet", None)
    assert found is not None
    assert found.origin == str(tmp_path / "a/b.so")
    assert sys.meta_path[0].find_spec("server.cli", None) is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a core is installed, in place of that."""
    calls: list[str] = []

    def installed() -> bool:
        calls.append("install")
        return True

    monkeypatch.setattr(compiled, "install", installed)
    return calls


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, True),
        (["--port", "0"], {CORE: "compiled"}, True),
        (["--engine", "sealed"], {}, True),
        ([], {CORE: "interpreted"}, False),
        (["simulate"], {CORE: "compiled"}, False),
        (["compile"], {}, False),
        (["ctl", "status"], {}, False),
        (["--engine", "stock"], {}, False),
        (["--engine=stock"], {}, False),
        ([], {"INTERLOCK_SPEC": "elsewhere"}, False),
    ],
)
def test_who_serves_has_it_unless_something_says_no(
    asked: list[str], arguments: list[str], environment: dict[str, str], expected: bool
) -> None:
    assert choose(arguments, environment) is expected
    assert bool(asked) is expected


def test_what_cannot_be_is_an_error_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "install", lambda: False)
    assert not choose([], {})
    with pytest.raises(CompiledError, match=r"no compiled core .*: python -m server compile"):
        choose([], {CORE: "compiled"})
    with pytest.raises(CompiledError, match="INTERLOCK_CORE is 'fast', expected compiled or"):
        choose([], {CORE: "fast"})


def test_what_is_out_of_date_is_told_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def installed() -> bool:
        raise CompiledError("it is old")

    monkeypatch.setattr(compiled, "install", installed)
    assert not choose([], {})
    assert capsys.readouterr().err == "interlock: interpreted: it is old\n"
    with pytest.raises(CompiledError, match="it is old"):
        choose([], {CORE: "compiled"})


def test_a_wrong_choice_is_one_line() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "server"],
        env={**os.environ, CORE: "fast"},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    line = "interlock: INTERLOCK_CORE is 'fast', expected compiled or interpreted\n"
    assert (told.returncode, told.stdout, told.stderr) == (1, "", line)


def test_compile_takes_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--fast"]) == 2
    told = "interlock: compile takes no options, but was given --fast\n"
    assert capsys.readouterr().err == told


def test_without_the_compiler_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["compile"]) == 1
    told = "interlock: mypyc is not installed: pip install 'interlock[compiled]'\n"
    assert capsys.readouterr().err == told


def test_another_spec_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERLOCK_SPEC", "elsewhere")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert main(["compile"]) == 1
    assert capsys.readouterr().err.endswith("unset INTERLOCK_SPEC\n")


def _adapted(text: str) -> str:
    copy = Copy(f"from __future__ import annotations\n{text}")
    copy.adapt()
    return copy.text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LIMIT = 3", "LIMIT: Final_ = 3"),
        ("ONE, TWO = A.ONE, A.TWO", "ONE: Final_ = A.ONE; TWO: Final_ = A.TWO"),
        ("T = TypeVar('T')", "T = TypeVar('T')"),
        ("name = 3", "name = 3"),
        ("def f(peer: tuple[str, int]) -> None: ...", "def f(peer: tuple[Any_, ...]) -> None: ..."),
    ],
)
def test_a_line_is_told_otherwise_and_keeps_its_number(text: str, expected: str) -> None:
    assert _adapted(text).split("\n")[1:] == [expected]


def test_a_dataclass_that_is_not_frozen_becomes_a_plain_class() -> None:
    text = "\n\n@dataclass(slots=True)\nclass Pair:\n    one: int\n    two: str = 'b'\n"
    names: dict[str, type] = {}
    plain = "\n".join(_adapted(text).split("\n")[1:])
    exec(plain, names)
    pair = names["Pair"]
    assert repr(pair(1)) == "Pair(one=1, two='b')"
    assert pair(1) == pair(1, "b") != pair(2)


@pytest.mark.parametrize("module", MODELS)
def test_events_ahead_of_time_are_the_spec_s(module: str) -> None:
    """Each event in each state, with each guard's answer: who moves where, and what is called."""
    model: type[Model] = getattr(importlib.import_module(module), MODELS[module])
    spec = SYSTEM.machines[model.machine_name]
    words = SYSTEM.vocabulary
    text, states = events_of(model, spec, SYSTEM)
    enum = model.State
    names: dict[str, object] = {f"{enum.__name__}_{one}": enum[one] for one in states}
    names |= {"GuardRefused": GuardRefused, "IllegalEvent": IllegalEvent}
    exec(text, names)
    for event in spec.events:
        for state in spec.states:
            for answer in (True, False):
                rows = spec.arrows_from(state, event)
                noted: list[object] = []
                bound = SimpleNamespace(note=None, ring=None, arrows=SYSTEM.arrows)
                bound.hook = lambda _, arrow, noted=noted: noted.append(arrow.id)
                counts = {arrow.id: Count() for arrow in spec.arrows[::2]}
                for arrow in spec.arrows:
                    setattr(bound, arrow.id.lower(), counts.get(arrow.id))
                one = SimpleNamespace(state=enum[state], birth=0, bound=bound)
                for word in {**words.guards, **words.effects}.values():
                    setattr(one, word.python, lambda answer=answer: answer)
                fitting = [r for r in rows if (r.when is None or answer)]
                fitting = [r for r in fitting if (r.unless is None or not answer)]
                fire = names[event]
                assert callable(fire)
                if fitting:
                    fire(one)
                    assert one.state is enum[fitting[0].target]
                    assert noted == [fitting[0].id]
                else:
                    with pytest.raises(GuardRefused if rows else IllegalEvent):
                        fire(one)
                    assert one.state is enum[state]
                told = [arrow for arrow, count in counts.items() if count.taken]
                assert told == [arrow for arrow in noted if arrow in counts]


def test_a_tally_becomes_what_steps() -> None:
    count, called = Count(), list[int]()
    tallies: dict[str, Callable[[], object]] = {
        "C1": count.__next__,
        "C2": lambda: called.append(len(called)),
        "C3": itertools.count().__next__,
    }
    assert count_of(tallies, "C1") is count
    assert count_of(tallies, "C4") is None
    for arrow in ("C1", "C2", "C3"):
        found = count_of(tallies, arrow)
        assert found is not None
        for _ in range(3):
            found.step()
    assert called == [0, 1, 2]
    assert tallies["C3"]() == 3
    assert next(iter(count)) is None
    assert operator.length_hint(count) == MOST - 4 == MOST - count.taken


@given(
    size=st.integers(1, 5),
    steps=st.lists(st.one_of(st.integers(), st.tuples(st.integers(), st.integers()))),
)
def test_a_ring_is_a_deque_of_that_length(size: int, steps: list[object]) -> None:
    ring, model = Ring(size), deque[object](maxlen=size)
    assert ring.last() is None
    for one in steps:
        ring.append(one)
        model.append(one)
        assert ring.last() is one
        assert ring.copy() == list(model)


def test_a_class_s_own_maker_takes_what_the_class_does() -> None:
    text = "class One:\n    def __init__(self, a: int, *, b: int = 2) -> None:\n        pass\n"
    copy = Copy(f"from __future__ import annotations\nimport ast\n{text}")
    copy.give_maker("One")
    names: dict[str, Any] = {}
    exec(copy.text(), names)
    bound = object()
    made = names["OneMaker"](bound)(1, b=3)
    assert type(made) is names["One"]
    assert made.bound is bound
    with pytest.raises(TypeError):
        names["OneMaker"](bound)(1, 2)
    inherits = Copy("from __future__ import annotations\nimport ast\nclass One:\n    pass\n")
    inherits.give_maker("One")
    assert "OneMaker" not in inherits.text()


def test_every_model_is_compiled() -> None:
    assert set(MODELS) <= set(MODULES)
