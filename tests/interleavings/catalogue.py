"""All seeded bugs."""

from __future__ import annotations

from tests.interleavings import catalogue_pipe, catalogue_pool, catalogue_reactor
from tests.interleavings.bugs import Bug

BUGS: tuple[Bug, ...] = (*catalogue_pool.BUGS, *catalogue_reactor.BUGS, *catalogue_pipe.BUGS)
