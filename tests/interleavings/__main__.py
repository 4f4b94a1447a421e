"""Explore the schedules of a scene, or of scenes that are drawn; replay one; find the seeded bugs.

    python -m tests.interleavings explore 'pool: 2z1 o o d' --preemptions 2
    python -m tests.interleavings random --seconds 30 --seed 7
    python -m tests.interleavings pct 'pool: 2 oj oj d' --depth 3
    python -m tests.interleavings replay 'pool: 1 ow @ 1001' --draw text
    python -m tests.interleavings catalogue

A scene is KIND: TEXT, and what its text means is told in `tests/interleavings/scenes/KIND.py`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from server.simulation import CarrierError
from tests.interleavings import scenes as scenes_package
from tests.interleavings.bugs import PCT_LENGTH, Bug
from tests.interleavings.catalogue import BUGS
from tests.interleavings.causes import Classes
from tests.interleavings.drawing import draw
from tests.interleavings.performing import Failure, perform, quietly, shrink
from tests.interleavings.scene import SceneType
from tests.interleavings.strategies import (
    Exhaustive,
    Priorities,
    RandomWalk,
    Strategy,
    choices_of,
)
from tests.interleavings.world import WITH_POINTS, StalePatch, load

KINDS = sorted(
    path.stem for path in Path(scenes_package.__path__[0]).glob("*.py") if path.stem != "__init__"
)
LOCKED = re.compile(r"[1-9](q\d+|z1)*( [orhwWjd]+)*")
"""Scenes in which nothing is shared outside the locks: neither by the pool, nor by who plays."""

RUNS_OF_A_DRAWN_SCENE = 20
TELL_SECONDS = 0.2

Run = tuple[SceneType, str, Strategy]


class Progress:
    """How many runs so far, on a terminal; and how many a second, in the end."""

    def __init__(self) -> None:
        self._begun = self._told = time.perf_counter()
        self.runs = 0

    def step(self, what: str) -> None:
        self.runs += 1
        if self.runs % 64 == 0 and sys.stderr.isatty():
            now = time.perf_counter()
            if now - self._told > TELL_SECONDS:
                self._told = now
                sys.stderr.write(f"\r\x1b[K{self.runs} schedules, {self.rate:.0f}/s: {what[:60]}")
                sys.stderr.flush()

    def wipe(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    @property
    def rate(self) -> float:
        return self.runs / max(self.seconds, 1e-9)


@cache
def world(kind: str, points: bool) -> SceneType:
    """The real code, with points before its statements or without."""
    return load(kind, with_points=WITH_POINTS if points else ())


def parted(scene: str) -> tuple[str, str]:
    """Kind and text. Raises ValueError, in one line."""
    kind, colon, text = scene.partition(":")
    if not colon or kind not in KINDS:
        raise ValueError(f"a scene is KIND: TEXT with a kind of {', '.join(KINDS)}, not {scene!r}")
    return kind, text.strip()


def drawn(options: argparse.Namespace, dice: random.Random) -> Iterator[tuple[SceneType, str]]:
    """The scene that was asked for, or ever new ones."""
    if options.scene:
        kind, text = parted(options.scene)
        while True:
            yield world(kind, options.points), text
    kinds = [world(kind, options.points) for kind in options.kinds.split(",")]
    while True:
        kind_of = dice.choice(kinds)
        text = kind_of.draw(dice.randrange)
        for _ in range(RUNS_OF_A_DRAWN_SCENE):
            yield kind_of, text


def runs_of(options: argparse.Namespace) -> Iterator[Run]:
    """What `explore`, `random` and `pct` are asked to run."""
    dice = random.Random(options.seed)
    if options.command == "explore":
        kind, text = parted(options.scene)
        whole = Classes if options.classes else Exhaustive
        for strategy in whole(options.preemptions):
            yield world(kind, options.points), text, strategy
        return
    for number, (kind_of, text) in enumerate(drawn(options, dice), options.seed * 10_000_000):
        if options.command == "pct":
            yield kind_of, text, Priorities(number, depth=options.depth, length=options.length)
        else:
            yield kind_of, text, RandomWalk(number, stay=(0.0, 0.5, 0.9)[number % 3])


def explore(options: argparse.Namespace) -> int:
    """Run schedules until one fails, all have been run, or the time is over."""
    at_release = options.points or not options.no_release_points
    if options.classes:
        if at_release:
            raise ValueError("--classes is for --no-release-points, without --points")
        kind, text = parted(options.scene)
        if kind != "pool" or not LOCKED.fullmatch(text):
            raise ValueError(f"--classes is for a pool's scene of {LOCKED.pattern}, not {text!r}")
    progress = Progress()
    failure: Failure | None = None
    ended = "the time is over"
    with quietly():
        for kind_of, text, strategy in runs_of(options):
            failure = perform(kind_of, text, strategy, at_release=at_release)
            progress.step(f"{kind_of.kind}: {text}")
            if failure is not None or progress.seconds > options.seconds:
                break
        else:
            whole = ", all classes" if options.classes else ""
            ended = f"exhausted at {options.preemptions} preemptions{whole}"
        progress.wipe()
        said = f"{progress.runs} schedules in {progress.seconds:.1f} s, {progress.rate:.0f}/s"
        if failure is None:
            print(f"{said}: {ended}, nothing found")
            return 0
        print(f"{said}: found, and now shrunk", file=sys.stderr)
        failure = shrink(world(failure.kind, options.points), failure, at_release=at_release)
    flags = " --points" * options.points + " --no-release-points" * (not at_release)
    print(f"{failure.says}\n\nreplay: python -m tests.interleavings replay '{failure.play}'{flags}")
    return 1


def replay(options: argparse.Namespace) -> int:
    """Run one schedule, and draw it if asked to."""
    scene, at, schedule = options.play.rpartition("@")
    if not at:
        raise ValueError(f"a play is KIND: TEXT @ SCHEDULE, not {options.play!r}")
    kind, text = parted(scene.strip())
    patches = bug_named(options.bug).patches if options.bug else ()
    with quietly():
        drawing, failure = draw(
            load(kind, patches=patches, with_points=WITH_POINTS if options.points else ()),
            text,
            choices_of(schedule.strip()),
            at_release=options.points or not options.no_release_points,
        )
    if options.draw:
        print(drawing.text() if options.draw == "text" else drawing.mermaid())
    print("nothing found" if failure is None else failure.says)
    return failure is not None


def bug_named(name: str) -> Bug:
    """The seeded bug. Raises ValueError, in one line, if there is none."""
    for bug in BUGS:
        if bug.name == name:
            return bug
    raise ValueError(f"there is no seeded bug {name!r}")


def catalogue(options: argparse.Namespace) -> int:
    """Hunt every seeded bug; print how soon it was found, and the schedule that shows it."""
    missed = 0
    bugs = [bug_named(name) for name in options.names] or BUGS
    begun = time.perf_counter()
    for bug in bugs:
        with quietly():
            find = bug.hunt(options.seed)
        if find is None:
            missed += 1
            print(f"{bug.name:26} NOT FOUND: {bug.says}")
            continue
        print(f"{bug.name:26} {find.runs:5} runs {find.seconds:6.2f} s  {find.failure.play}")
        if options.verbose:
            print(f"    {bug.says}\n    {find.failure.headline}")
    seconds = time.perf_counter() - begun
    print(f"{len(bugs) - missed} of {len(bugs)} found in {seconds:.1f} s, shrinking included")
    return missed > 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("explore", "random", "pct"):
        one = commands.add_parser(name)
        one.add_argument("scene", nargs=None if name == "explore" else "?", default="")
        one.add_argument("--seconds", type=float, default=1e9 if name == "explore" else 10.0)
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--kinds", default=",".join(KINDS))
        one.add_argument("--preemptions", type=int, default=2)
        one.add_argument(
            "--classes",
            action="store_true",
            help="of schedules that differ in the order of independent steps, run one at least",
        )
        one.add_argument("--depth", type=int, default=3)
        one.add_argument("--length", type=int, default=PCT_LENGTH)
        one.set_defaults(act=explore)
    one = commands.add_parser("replay")
    one.add_argument("play")
    one.add_argument("--draw", choices=["text", "mermaid"])
    one.add_argument("--bug", help="with this bug of the catalogue in the code")
    one.set_defaults(act=replay)
    for one in commands.choices.values():
        one.add_argument("--points", action="store_true", help="points before statements, too")
        one.add_argument("--no-release-points", action="store_true", help="at locks' taking only")
    one = commands.add_parser("catalogue")
    one.add_argument("names", nargs="*")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--verbose", action="store_true")
    one.set_defaults(act=catalogue)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except (ValueError, StalePatch, CarrierError) as error:
        print(f"tests.interleavings: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
