"""An alarm against loops in which no point is: the carrier never gets its turn back from them."""

from __future__ import annotations

import signal
import traceback
from types import FrameType, TracebackType
from typing import Self

from server.simulation.carrier import Carrier
from server.simulation.failures import CurtainFalls, Endless


class Alarm:
    """While it is open, a task that computes for `seconds`, or twice as long, without a point in
    between is torn out, and its run ends with Endless.

    The seconds are the process's own time on the processor: on a busy machine nobody is blamed for
    what others use. Raises ValueError outside the main thread, where no signal can be caught.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self._seconds = seconds
        self._seen: tuple[Carrier | None, int] = (None, 0)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGVTALRM, self._ring)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds, self._seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self._before)

    def _ring(self, _: int, frame: FrameType | None) -> None:
        carrier = Carrier.running
        seen, self._seen = self._seen, (carrier, 0 if carrier is None else carrier.steps)
        if carrier is None or carrier.current is None or seen != self._seen:
            return
        stack = "".join(traceback.format_stack(frame))
        said = f"{carrier.current.name} goes on without a point for {self._seconds} seconds"
        carrier.stop(Endless(f"{said}\n{stack}"))
        raise CurtainFalls
