"""Hypothesis profiles, chosen by the environment's HYPOTHESIS_PROFILE.

Each failure prints a blob that replays it: `@reproduce_failure(version, blob)` on the test.
"""

from __future__ import annotations

import os

import hypothesis

hypothesis.settings.register_profile(
    "quick", max_examples=20, stateful_step_count=20, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "default", max_examples=100, stateful_step_count=40, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "deep", max_examples=2000, stateful_step_count=80, deadline=None, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
