"""Hypothesis profiles, chosen by the environment's HYPOTHESIS_PROFILE.

Each failure prints a blob that replays it: `@reproduce_failure(version, blob)` on the test.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

# What is started beside the tests is what they run on: `tests.compiled.plugin` says otherwise.
os.environ.setdefault("INTERLOCK_CORE", "interpreted")

hypothesis.settings.register_profile(
    "quick", max_examples=20, stateful_step_count=20, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "default", max_examples=40, stateful_step_count=40, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "deep", max_examples=200, stateful_step_count=80, deadline=None, print_blob=True
)
# For tests.mutants: whether an example fails, not which is the shortest.
hypothesis.settings.register_profile(
    "mutants",
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def _room_for_dumps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What servers of tests dump goes with the tests' other files, not to the system's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield
