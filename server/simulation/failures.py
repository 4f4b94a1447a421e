"""How a run ends that does not end by itself."""

from __future__ import annotations

from server.errors import InterlockError


class CarrierError(InterlockError):
    """A run has come to an end that is none."""


class Deadlock(CarrierError):
    """Nobody can go on. The message has every task, what it waits for, and its stack."""


class Endless(CarrierError):
    """The tasks go on and on. The message has every task and its stack."""


class TaskDied(CarrierError):
    """A task's own code has let an error out, which is the cause of this one."""


class CurtainFalls(BaseException):
    """The run has ended: the task leaves wherever it is."""
