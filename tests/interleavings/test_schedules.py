"""Schedules of the real code: drawn together with their scenes, walked at random, and exhausted."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.interleavings.__main__ import KINDS, main, world
from tests.interleavings.catalogue import BUGS
from tests.interleavings.causes import Classes, Reduced
from tests.interleavings.drawing import draw
from tests.interleavings.performing import perform, quietly
from tests.interleavings.scene import Scene
from tests.interleavings.strategies import (
    Exhaustive,
    Priorities,
    RandomWalk,
    Replay,
    choices_of,
    text_of,
)
from tests.interleavings.world import load

SEED = 20_261_125
ROUNDS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 4
CHOICES = st.lists(st.integers(0, 5), max_size=120)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
EITHER = pytest.mark.parametrize("points", [False, True], ids=["primitives", "statements"])

SAMPLES = [
    pytest.param(kind, text, id=f"{kind}: {text}")
    for kind in KINDS
    for text in world(kind, False).samples
]


@EVERY_KIND
@EITHER
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_no_schedule_of_any_scene_breaks_the_spec(
    kind: str, points: bool, data: st.DataObject
) -> None:
    scenes = world(kind, points)
    text = scenes.draw(lambda below: data.draw(st.integers(0, below - 1)))
    choices = data.draw(CHOICES)
    with quietly():
        failure = perform(scenes, text, Replay(choices))
    if failure is not None:
        note(
            f"replay: python -m tests.interleavings replay '{failure.play}'" + " --points" * points
        )
        raise AssertionError(failure.says)


@EITHER
@pytest.mark.parametrize(("kind", "text"), SAMPLES)
def test_a_sample_scene_survives_walks_and_priorities(kind: str, text: str, points: bool) -> None:
    scenes = world(kind, points)
    with quietly():
        for number in range(SEED, SEED + ROUNDS):
            for strategy in (
                RandomWalk(number),
                RandomWalk(number, stay=0.8),
                Priorities(number, depth=3, length=60),
            ):
                failure = perform(scenes, text, strategy)
                assert failure is None, f"{failure.play}\n{failure.says}"


@pytest.mark.parametrize(
    "play",
    [
        # A writer looked for the pipe's file when its reader had abandoned it, and left it open.
        "pipe: r150 m50 f80 oooe/1 @ 0101(4)10100011",
    ],
)
def test_what_was_found_once_stays_mended(play: str) -> None:
    assert main(["replay", play]) == 0


def test_two_workers_two_clients_and_a_stopper_with_one_preemption() -> None:
    """Exhausted: `make deep` does the same with two."""
    runs = 0
    with quietly():
        for strategy in Exhaustive(1):
            failure = perform(world("pool", False), "2z1 o o d", strategy, at_release=False)
            assert failure is None, f"{failure.play}\n{failure.says}"
            runs += 1
    assert runs == 2416


# --- the schedules themselves -----------------------------------------------------------------


@given(CHOICES)
def test_a_schedule_reads_back(choices: list[int]) -> None:
    again = choices_of(text_of(choices))
    padding = [0] * (len(choices) - len(again))
    assert [*again, *padding] == choices


@pytest.mark.parametrize("text", ["1,2", "(x)", "(3", "A", " "])
def test_what_is_no_schedule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"\Aa schedule has digits, letters and \(COUNT\), not .*\Z"
    ):
        choices_of(text)


def test_a_run_and_its_replay_are_one() -> None:
    scenes, text = world("pool", True), "2 oj ow d"
    with quietly():
        for seed in range(5):
            walk = RandomWalk(seed)
            perform(scenes, text, walk)
            again = Replay(walk.taken)
            perform(scenes, text, again)
            assert again.taken == walk.taken
            assert (
                draw(scenes, text, walk.taken)[0].text() == draw(scenes, text, walk.taken)[0].text()
            )


def test_an_exhaustive_exploration_repeats_nothing_and_keeps_to_its_preemptions() -> None:
    seen: set[tuple[int, ...]] = set()
    counts = []
    with quietly():
        for preemptions in (0, 1):
            before = len(seen)
            for strategy in Exhaustive(preemptions):
                perform(world("pool", False), "1z1 o d", strategy, at_release=False)
                seen.add(tuple(strategy.trail))
                counts.append(preemptions)
            assert len(seen) > before
    # Whatever needs no preemption is found again with one allowed, and all else is new.
    assert len(seen) == counts.count(1) > counts.count(0) > 1


def arrows_of(scene: Scene) -> Counter[tuple[str, ...]]:
    """What each object did, in order."""
    trails: dict[int, list[str]] = {}
    for model, arrow in scene.watch.steps:
        trails.setdefault(id(model), []).append(arrow.id)
    return Counter(map(tuple, trails.values()))


@pytest.mark.parametrize(
    ("text", "preemptions"), [("1z1 o d", 2), ("1 ow d", 2), ("1q1 o o", 1), ("1 o rj d", 1)]
)
def test_a_schedule_of_every_class_shows_all_that_all_schedules_show(
    text: str, preemptions: int
) -> None:
    shown: list[set[frozenset[tuple[tuple[str, ...], int]]]] = []
    runs = []
    for whole in (Exhaustive, Classes):
        scenes: list[Scene] = []
        shown.append(set())
        runs.append(0)
        with quietly():
            for strategy in whole(preemptions):
                scenes.clear()
                failure = perform(
                    world("pool", False), text, strategy, at_release=False, seen=scenes.append
                )
                assert failure is None
                if not isinstance(strategy, Reduced) or strategy.is_whole:
                    shown[-1].add(frozenset(arrows_of(scenes[0]).items()))
                    runs[-1] += 1
    assert shown[0] == shown[1]
    assert runs[0] > runs[1]


def test_what_an_exhaustive_exploration_finds_is_told_as_choices() -> None:
    bug = next(bug for bug in BUGS if bug.name == "dropped-at-stop")
    scenes = load("pool", patches=bug.patches)
    text = bug.scenes[0].split(": ", 1)[1]
    with quietly():
        runs = (perform(scenes, text, one, at_release=False) for one in Exhaustive(1))
        failure = next(one for one in runs if one is not None)
        again = perform(scenes, text, Replay(failure.choices), at_release=False)
    assert again is not None
    assert again.says == failure.says


def test_a_drawing_has_a_column_for_each_task_and_an_entry_for_each_arrow() -> None:
    with quietly():
        drawing, failure = draw(world("pool", False), "1 o d", [])
    assert failure is None
    text, mermaid = drawing.text(), drawing.mermaid()
    assert text.splitlines()[0].split() == ["worker_0", "actor_0", "actor_1"]
    for said in ("J1 QUEUED", "W4 BUSY", "P4 STOPPED", "worker:"):
        assert said in text
        assert said in mermaid
    assert mermaid.startswith("sequenceDiagram\n    participant worker_0\n")
    assert "drawing:" not in text


# --- the command ------------------------------------------------------------------------------


def test_the_command_finds_shrinks_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "pool: 1z1 o d", "--preemptions", "1"]) == 0
    assert "exhausted at 1 preemptions, nothing found" in capsys.readouterr().out
    assert main(["random", "pool: 2 o d", "--seconds", "0.05"]) == 0
    assert main(["pct", "--seconds", "0.05"]) == 0
    assert main(["replay", "pool: 1 ow @ 11", "--draw", "text"]) == 0
    assert "worker_0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "pool: 1 o"], "a play is KIND: TEXT @ SCHEDULE, not 'pool: 1 o'"),
        (["replay", "pond: 1 o @ -"], "a scene is KIND: TEXT with a kind of"),
        (["replay", "pool: x @ -"], "a pool's scene is WORKERS"),
        (["replay", "pool: 1 s @ -"], "who supervises needs the option s0 or more"),
        (["replay", "pool: 1 o @ ?"], "a schedule has digits"),
        (["explore", "pool: 1 o", "--classes"], "--classes is for --no-release-points"),
        (
            ["explore", "pool: 1i1 o", "--classes", "--no-release-points"],
            "--classes is for a pool's scene",
        ),
        (["catalogue", "none"], "there is no seeded bug 'none'"),
    ],
)
def test_the_command_refuses_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_drawn_scenes_are_scenes() -> None:
    dice = random.Random(SEED)
    for kind in KINDS:
        scenes = world(kind, False)
        texts = {scenes.draw(dice.randrange) for _ in range(50)}
        assert len(texts) > 20
