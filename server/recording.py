"""What one server records of itself: the flight recorder, and a trace where Config names a file.

With a trace, dumps are made of the trace's last rows, so that an arrow is noted once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from server.clock import Clock
from server.config import Config
from server.flight import Dumps, Flight, Recorder
from server.supervisor import House
from server.tracing import Tracer
from statemachine import System
from statemachine.noting import Log


class Recording:
    """`log` is where arrows are noted, or None. `known` is what `Dumps` asks for.

    Threads: `open` and `close` belong to the one that starts and runs the server; the rest to any.
    """

    def __init__(
        self,
        system: System,
        config: Config,
        clock: Clock,
        known: Callable[[], Mapping[int, int]],
    ) -> None:
        events_max = config.flight_events_max
        self._file = Path(config.trace) if config.trace else None
        self._tracer = Tracer(system, clock, events_max) if self._file else None
        recorder: Recorder | None = self._tracer
        if recorder is None and events_max:
            recorder = Flight(system, clock, events_max)
        self.log: Log | None = None if recorder is None else recorder.log
        self.mark: Callable[[], None] = _do_nothing if recorder is None else recorder.mark
        self._dumps: Dumps | None = None
        if recorder is not None and events_max:
            folder = Path(config.flight_dir) if config.flight_dir else None
            self._dumps = Dumps(system, recorder, clock=clock, folder=folder, known=known)

    def open(self) -> None:
        """Begin to write the trace, if there is one. Raises StartError."""
        if self._tracer is not None and self._file is not None:
            self._tracer.open(self._file)

    def dump(self, reason: str) -> Path | None:
        """Write the last arrows to a file of their own; None if that was not done."""
        return None if self._dumps is None else self._dumps.dump(reason)

    def close(
        self, says: str, taken: Mapping[str, int] | None, living: Mapping[str, int] | None
    ) -> None:
        """End the trace, if there is one: see `statemachine.tracefile.Ending`."""
        if self._tracer is not None:
            self._tracer.close(taken, living, says)


def known(house: House | None) -> dict[int, int]:
    """By their births, the numbers by which the logs know the connections and workers that live."""
    if house is None:
        return {}
    connections = list(house.reactor.connections.values())
    workers = list(house.pool.workers)
    return {
        **{one.birth: one.serial for one in connections},
        **{one.birth: int(one.name.rpartition("_")[2]) for one in workers},
    }


def _do_nothing() -> None:
    pass
