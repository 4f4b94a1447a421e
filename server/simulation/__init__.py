"""The server's threads in one thread, under a virtual clock: who runs, and when, is chosen.

`carrier` has the threads. Nothing here is needed to serve.
"""

from server.simulation.alarm import Alarm
from server.simulation.carrier import Carrier, Chooser
from server.simulation.failures import CarrierError, Deadlock, Endless, TaskDied
from server.simulation.primitives import CarriedLock, Task

__all__ = [
    "Alarm",
    "CarriedLock",
    "Carrier",
    "CarrierError",
    "Chooser",
    "Deadlock",
    "Endless",
    "Task",
    "TaskDied",
]
