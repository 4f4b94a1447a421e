"""What the tests of the machines share: both engines, and scenes that are put away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from statemachine import Engine
from tests.machines.scene import Scene

Open = Callable[..., Scene]


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


@pytest.fixture
def open_scene(engine: Engine) -> Iterator[Open]:
    """Opens scenes, and puts them away whatever happens."""
    scenes: list[Scene] = []

    def open_one(*, observed: bool = True, **settings: object) -> Scene:
        scenes.append(Scene(engine, settings, observed=observed))
        return scenes[-1]

    yield open_one
    for scene in scenes:
        scene.house.put_away()
