"""No state outlives its deadline: the seconds that each object spent in a state that has a limit.

The limits are read from the spec a second time, and are exact but for the wheel's tick, since
virtual time passes only when nobody can go on.
"""

from __future__ import annotations

import functools
from typing import Final

from server.config import Config
from server.net.connection import Connection
from server.net.timers import TICK_SECONDS
from server.simulation.judge import Judge, Record
from server.simulation.kernel import End
from server.supervisor import WATCH_SECONDS
from statemachine import Arrow
from statemachine._generated import RequestState, ServerState

SLACK_SECONDS: Final = TICK_SECONDS + 1e-6
WATCHED: Final = frozenset({ServerState.SERVING, ServerState.LAME_DUCK, ServerState.DRAINING})
"""States of the server in which somebody looks after the workers."""

SAMPLES_SECONDS: Final = 3 * WATCH_SECONDS
"""A worker is seen to be at a job by one sample, and late by another; a drain leaves one out."""


@functools.lru_cache(maxsize=64)
def _limits(config: Config) -> dict[tuple[str, str], float]:
    """Seconds that an object may be in a state: those that need nothing else to be known."""
    limits = {
        ("connection", "QUEUED"): config.queue_seconds_max,
        ("connection", "LINGERING"): config.linger_seconds_max,
        ("connection", "FLUSHING"): config.write_seconds_max,
        ("connection", "REFUSING"): config.write_seconds_max,
        ("request", "HEAD"): config.head_seconds_max,
        ("request", "CONTENT"): config.body_seconds_max,
        ("worker", "BUSY"): config.late_seconds_max + SAMPLES_SECONDS,
    }
    if config.job_seconds_max:
        stuck = config.job_seconds_max - config.late_seconds_max + SAMPLES_SECONDS
        limits["worker", "LATE"] = stuck
    return limits


class Stopwatch:
    """Is told of arrows, before their objects move. `leapt` is by how much time has jumped."""

    def __init__(self, config: Config, judge: Judge) -> None:
        self._config = config
        self._judge = judge
        self._limits = _limits(config)
        self._before: dict[End, int] = {}
        self.leapt = 0.0
        self.late: list[str] = []

    def told(self, record: Record, arrow: Arrow, now: float, state: ServerState) -> None:
        """An arrow is about to be taken, while the server is in this state."""
        limit = self._limits.get((arrow.machine, arrow.source))
        model = record.model
        if isinstance(model, Connection):
            end = model.transport
            assert isinstance(end, End)
            if arrow.id in ("C3", "C4"):
                self._check_parked(record, model, end, now)
            if arrow.id == "C9":
                self._check_shed(record, now)
            if limit is not None and arrow.source in ("FLUSHING", "REFUSING"):
                moved = len(end.received) - self._before.get(end, 0)
                limit += moved / self._config.write_bytes_per_second_min
            self._before[end] = len(end.received)
        elif arrow.source == "CONTENT" and limit is not None:
            limit += self._config.body_bytes_max / self._config.body_bytes_per_second_min
        elif arrow.machine == "worker" and state not in WATCHED:
            return
        if limit is not None:
            self._hold(record, arrow.source, now - record.since, limit)

    def _check_parked(self, record: Record, model: Connection, end: End, now: float) -> None:
        reader, config = model.reader, self._config
        known = self._judge.record_of(reader)
        begun = end.accepted_at if known is None else known.since
        if reader.state is RequestState.AWAITED:
            begun = max(begun, record.since if record.has_moved else end.accepted_at)
            self._hold(record, "idle", now - begun, config.idle_seconds_max)
        elif reader.state is RequestState.HEAD:
            self._hold(record, "HEAD", now - begun, config.head_seconds_max)
        else:
            limit = config.body_seconds_max + end.read_bytes / config.body_bytes_per_second_min
            self._hold(record, "CONTENT", now - begun, limit)

    def _check_shed(self, record: Record, now: float) -> None:
        """Nobody is told that all are busy for as long as somebody sleeps."""
        if self.leapt or now - record.since < self._config.queue_seconds_max:
            return
        for one in self._judge.records("worker"):
            if one.state == "IDLE" and one.since < record.since:
                self.late.append(f"connection#{record.serial} was shed, and {one.serial} was idle")

    def _hold(self, record: Record, where: str, lasted: float, limit: float) -> None:
        if lasted > limit + SLACK_SECONDS + self.leapt and not self._judge.heir:
            what = f"{record.model.machine_name}#{record.serial} {where}"
            self.late.append(f"{what} lasted {lasted:.3f} seconds, at most {limit:.3f} were given")
