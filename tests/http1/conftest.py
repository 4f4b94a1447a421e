"""Both engines, for every test that asks for `bound`."""

from __future__ import annotations

import pytest

from tests.http1.talk import ENGINES, Bound, bound_to


@pytest.fixture(params=ENGINES)
def bound(request: pytest.FixtureRequest) -> Bound:
    return bound_to(request.param)
