"""`traceparent`, by the rules and the examples of the W3C's Trace Context."""

from __future__ import annotations

import pytest

from server.http1.messages import Fields
from server.http1.trace_context import TraceContext, trace_context

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def of(*values: str) -> TraceContext | None:
    return trace_context(Fields(tuple(("Traceparent", value) for value in values)))


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-02", False),
        (f"00-{TRACE}-{PARENT}-ff", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-holds", True),
    ],
)
def test_valid(value: str, sampled: bool) -> None:
    assert of(value) == TraceContext(TRACE, PARENT, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT[:-1]}٣-01",
    ],
)
def test_invalid(value: str) -> None:
    assert of(value) is None


def test_missing_or_repeated() -> None:
    assert of() is None
    assert of(f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01") is None
