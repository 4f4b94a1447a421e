"""The Trace Context of a request (W3C Recommendation): which trace it is a part of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from server.http1.messages import Fields

# Section 3.2.2: version "-" version-format; of version 00, trace-id "-" parent-id "-" trace-flags.
# What a higher version has behind that is not known yet, and begins with a dash.
_TRACEPARENT: Final = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})"
    r"-(?P<parent>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The ids in lower-case hexadecimal digits: 32 of the trace, 16 of the caller's part of it."""

    trace_id: str
    parent_id: str
    sampled: bool


def trace_context(fields: Fields) -> TraceContext | None:
    """What the field `traceparent` says; None where it is missing, repeated or invalid."""
    if len(values := fields.all("traceparent")) != 1:
        return None
    found = _TRACEPARENT.fullmatch(values[0])
    if found is None or (found["more"] and found["version"] == "00"):
        return None
    return TraceContext(found["trace"], found["parent"], bool(int(found["flags"], 16) & 1))
