"""The settings that simulated servers run with: small limits and short deadlines, so that a life of
a few seconds meets all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from server.config import Config

SMALL: Final[Mapping[str, object]] = {
    "port": 80,
    "threads": 2,
    "backlog": 16,
    "connections_max": 12,
    "queue_jobs_max": 8,
    "stand_ins_max": 2,
    "body_memory_bytes_max": 1000,
    "relay_memory_bytes_max": 2000,
    "relay_file_bytes_max": 20_000,
    "buffer_memory_bytes_max": 20_000,
    "buffer_file_bytes_max": 60_000,
    "event_ring_events_max": 6,
    "event_ring_bytes_max": 4096,
    "event_memory_bytes_max": 8192,
    "body_bytes_max": 20_000,
    "receive_bytes_max": 4096,
    "receive_turn_bytes_max": 700,
    "send_turn_bytes_max": 2048,
    "head_seconds_max": 0.6,
    "body_seconds_max": 0.6,
    "idle_seconds_max": 1.0,
    "queue_seconds_max": 0.5,
    "late_seconds_max": 0.4,
    "job_seconds_max": 1.2,
    "write_seconds_max": 0.7,
    "linger_seconds_max": 0.4,
    "drain_seconds_max": 2.0,
    "drain_idle_seconds": 0.1,
    "cut_seconds_max": 0.5,
    "accept_pause_seconds": 0.2,
    "event_heartbeat_seconds": 0.7,
    "event_behind_seconds_max": 1.0,
}

OTHERWISE: Final[tuple[Mapping[str, object], ...]] = (
    {},
    {},
    {"threads": 1},
    {"threads": 3, "queue_jobs_max": 2, "queue_seconds_max": 0.1},
    {"threads": 1, "job_seconds_max": 0.0, "stand_ins_max": 0},
    {"lame_duck_seconds": 0.5, "drain_idle_seconds": 0.0},
    {"connections_max": 2, "backlog": 2},
    {"receive_bytes_max": 64, "send_turn_bytes_max": 100, "relay_memory_bytes_max": 100},
    {"buffer_memory_bytes_max": 0, "buffer_file_bytes_max": 3000},
    {"buffer_memory_bytes_max": 300, "buffer_file_bytes_max": 0, "relay_file_bytes_max": 1},
    {"half_closed": "gone", "drain_seconds_max": 0.2, "cut_seconds_max": 0.0},
    {"threads": 3, "stand_ins_max": 1, "late_seconds_max": 0.1, "job_seconds_max": 0.3},
)
"""What is different in each."""


FOR_APPLICATIONS: Final = len(OTHERWISE)
"""The number of the setting for applications of the user's: short deadlines, and sizes as they are
served with.
"""

UNRECORDED: Final[Mapping[str, object]] = {"flight_events_max": 0}
"""A life is judged while it is played, and is played again from its seed: it needs no recorder."""

SIZES: Final = ("_bytes_max", "_events_max")


@functools.cache
def setting(number: int) -> Config:
    """The Config of this number. To check one takes as long as a tenth of a life."""
    if number == FOR_APPLICATIONS:
        others = {k: v for k, v in SMALL.items() if not k.endswith(SIZES)}
        return Config.of({**others, **UNRECORDED})
    return Config.of({**SMALL, **OTHERWISE[number], **UNRECORDED})
