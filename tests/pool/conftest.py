from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from statemachine import Engine
from tests.pool.ledger import Watched


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


@pytest.fixture
def watched(engine: Engine) -> Iterator[Watched]:
    """A pool that is not started yet; audited in the end."""
    pool = Watched(engine)
    yield pool
    pool.close()
