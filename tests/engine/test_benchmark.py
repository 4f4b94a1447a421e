"""The engine's benchmark measures what it says: each lap is two events that move the object."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import engine, traces
from statemachine import load_system
from statemachine.ground import Ground
from statemachine.replay import Replay


def test_every_lap_moves_the_object_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engines differ in how they move; that they do is seen by the state's own slot."""
    moves: list[tuple[str, str]] = []

    class Watched(engine.Traveller):
        __slots__ = ()

        def __setattr__(self, name: str, value: engine.Side) -> None:
            super().__setattr__(name, value)
            if name == "state":
                moves.append((type(self).__name__, value.name))

    hand = {key: engine.ByHand.__dict__[key] for key in ("go", "ask", "act")}
    monkeypatch.setattr(engine, "Traveller", Watched)
    monkeypatch.setattr(engine, "Commuter", type("Commuter", (Watched,), {}))
    monkeypatch.setattr(engine, "ByHand", type("ByHand", (Watched,), {"__slots__": (), **hand}))
    made = engine.laps()
    for key, lap in made.items():
        moves.clear()
        lap()
        assert [where for _, where in moves] == ["THERE", "HERE"], key


def test_it_prints_every_figure_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "REPEATS", 2)
    monkeypatch.setattr(engine.measure, "__defaults__", (20, 2))
    file = tmp_path / "engine.json"
    engine.main(["--json", str(file)])
    written = json.loads(file.read_text(encoding="utf-8"))
    assert len(written["nanoseconds"]) == len(engine.laps()) == 19
    assert list(written["times cheaper than bare"]) == list(engine.EVENTS)
    shown = capsys.readouterr().out
    assert all(f"\n{event}\n" in shown for event in engine.EVENTS)


def test_the_life_that_is_replayed_is_legal_and_13_events_long() -> None:
    ground = Ground(load_system())
    replay = Replay(ground, whole=True)
    replay.feed(0, traces.lives(ground.system, 500))
    assert sum(replay.counts) == 500 * 13 + 4


def test_what_noting_costs_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(traces.costs, "__defaults__", (20, 2))
    monkeypatch.setattr(traces.replay_rate, "__defaults__", (20, 2))
    file = tmp_path / "traces.json"
    traces.main(["--json", str(file)])
    written = json.loads(file.read_text(encoding="utf-8"))
    assert list(written["nanoseconds"]) == ["none", "flight", "traced", "hook", "written"]
    assert written["replayed events a second"] > 0
    assert "beyond that" in capsys.readouterr().out
