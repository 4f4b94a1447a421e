"""Every seeded bug is found: would all this notice one?

`make test` hunts a part, another each day; `python -m tests.interleavings catalogue` hunts all.
"""

from __future__ import annotations

import datetime as dt
import os

import pytest

from tests.interleavings.bugs import Bug
from tests.interleavings.catalogue import BUGS
from tests.interleavings.performing import perform, quietly
from tests.interleavings.strategies import Replay
from tests.interleavings.world import TOP, Patch, StalePatch, load

PARTS = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 12
TODAY = dt.datetime.now(tz=dt.UTC).toordinal()
PART = [bug for number, bug in enumerate(BUGS) if number % PARTS == TODAY % PARTS]


def test_there_are_enough_and_each_has_its_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 24


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_its_text_is_in_the_code_as_it_is_now(bug: Bug) -> None:
    texts = {patch.file: (TOP / patch.file).read_text(encoding="utf-8") for patch in bug.patches}
    for patch in bug.patches:
        texts[patch.file] = patch.applied(texts[patch.file])
    for file, text in texts.items():
        compile(text, file, "exec")


@pytest.mark.parametrize("bug", PART, ids=lambda bug: bug.name)
def test_it_is_found_and_its_schedule_shows_it_and_the_code_passes_it(bug: Bug) -> None:
    with quietly():
        find = bug.hunt(TODAY)
        assert find is not None, f"with seed {TODAY}: {bug.says}"
        failure = find.failure
        world = load(failure.kind, patches=bug.patches, with_points=bug.with_points)
        again = perform(world, failure.text, Replay(failure.choices))
        assert again is not None
        sound = load(failure.kind, with_points=bug.with_points)
        assert perform(sound, failure.text, Replay(failure.choices)) is None


def test_a_bug_whose_text_has_gone_fails_loudly() -> None:
    stale = Bug("stale", "?", ("pool: 1 o",), Patch("server/net/pool.py", "no such text", ""))
    with pytest.raises(StalePatch, match=r"server/net/pool\.py has this 0 times, expected once"):
        stale.hunt(1)
    twice = Patch("server/net/pool.py", "with self.lock:", "")
    with pytest.raises(StalePatch, match=r"has this \d+ times, expected once"):
        load("pool", patches=[twice])


def test_a_world_leaves_everybody_elses_modules_as_they_are() -> None:
    import sys

    import server.net.pool

    before = sys.modules["server.net.pool"]
    scenes = load("pool", patches=BUGS[0].patches)
    assert sys.modules["server.net.pool"] is before is server.net.pool
    assert type(scenes).__module__ == "tests.interleavings.scenes.pool"
    assert not any(name.startswith("tests.interleavings.scenes.") for name in sys.modules)
