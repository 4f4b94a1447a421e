"""What a parent takes from the system: processes, signals, and the time that passes meanwhile.

`station.Station` is the real one. A test gives another, in which children do what it says.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.processes.channel import Message
from server.processes.gathering import Question, Then


class Asked(enum.Enum):
    """What a signal asks of the parent."""

    STOP = "drain, or cut if asked before"
    RESTART = "replace every process by one with new code"
    DUMP = "let every process dump what its flight recorder has"


@dataclass(frozen=True, slots=True)
class Told:
    """A child has sent a message."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class Exited:
    """A child's process is over, and all that it has sent was told before. `status` is below zero
    for a signal that has ended it.
    """

    number: int
    status: int


@dataclass(frozen=True, slots=True)
class Wondered:
    """Somebody, on another thread, asks all processes; `then` is called with what they answer."""

    question: Question
    then: Then


News = Asked | Told | Exited | Wondered


class World(Protocol):
    """Children are known by their numbers, from 1 on, each of which is used once."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def spawn(self, number: int) -> None:
        """Start a fresh process that is to serve. Raises OSError where the system has none."""

    def send(self, number: int, message: Message) -> None:
        """Tell a child something; one that is gone hears nothing."""

    def kill(self, number: int) -> None:
        """End a child's process at once, if it is there."""

    def counts(self, number: int) -> Mapping[str, int]:
        """What a child has counted so far, by the ledger's terms; until it is forgotten."""

    def forget(self, number: int) -> None:
        """Give back what is kept for a child that is over."""

    def stop_listening(self) -> None:
        """Close the parent's own hold of the socket: the last child to close it ends it."""

    def wait(self, until: float | None) -> Sequence[News]:
        """What has happened, as soon as anything has, or nothing once it is `until`."""
