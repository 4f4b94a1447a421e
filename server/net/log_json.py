"""The access log as JSON: an object a line, the same keys in each.

What a peer has chosen is a string of JSON, in which everything that is not printable ASCII is
escaped: nobody can end the line or forge a key. A key whose value is not known is null.
"""

from __future__ import annotations

import json
import time

from server.http1.trace_context import trace_context
from server.net.log_entry import Entry


def as_json(entry: Entry) -> str:
    """The line of an entry, without its end."""
    head = entry.head
    context = None if head is None else trace_context(head.fields)
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(entry.started))
    return json.dumps(
        {
            "time": f"{at}.{int(entry.started * 1e3) % 1000:03d}Z",
            "id": entry.request_id,
            "protocol": entry.protocol,
            "peer": list(entry.peer),
            "local": list(entry.local),
            "method": head and head.method,
            "target": head and head.target,
            "version": head and f"1.{head.minor}",
            "status": entry.status,
            "bytes": entry.size,
            "referer": None if head is None else head.fields.get("referer"),
            "user_agent": None if head is None else head.fields.get("user-agent"),
            "ms": _milliseconds(entry.seconds),
            "queue_ms": _milliseconds(entry.queue_seconds),
            "app_ms": _milliseconds(entry.app_seconds),
            "write_ms": _milliseconds(entry.write_seconds),
            "state": entry.end_state.upper(),
            "persists": entry.persists,
            "trace_id": context and context.trace_id,
            "parent_id": context and context.parent_id,
        },
        separators=(",", ":"),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
