"""A child, as its parent sees it: spec/process.toml."""

from __future__ import annotations

from server.processes.accounts import Total
from server.processes.channel import Message, counts, integer, text
from statemachine._generated import ProcessMachine, ProcessState

STANDING = frozenset({ProcessState.PLANNED, ProcessState.STARTING, ProcessState.SERVING})
"""Those that hold a place: the others are on their way out."""

FINAL = frozenset(
    {
        ProcessState.CALLED_OFF,
        ProcessState.FAILED,
        ProcessState.ENDED,
        ProcessState.CRASHED,
        ProcessState.CUT,
    }
)


ANSWERING = frozenset({ProcessState.SERVING, ProcessState.DRAINING, ProcessState.CUTTING})
"""Those in which a server runs, which can be asked what it is."""


class Process(ProcessMachine):
    """One child. `number` is its own, `place` whose it takes, `generation` when it was started.

    `deadline` is when its state has lasted too long, `since` when it began to serve, None before.
    """

    __slots__ = ("deadline", "exit_status", "generation", "last_word", "number", "place", "since")

    def __init__(self, number: int, place: int, generation: int, deadline: float) -> None:
        super().__init__()
        self.number = number
        self.place = place
        self.generation = generation
        self.deadline: float | None = deadline
        self.since: float | None = None
        self.exit_status = 0
        self.last_word: Message | None = None

    def is_accounted(self) -> bool:
        return self.last_word is not None

    @property
    def answers(self) -> bool:
        """Whether it should answer when all are asked: it serves, and has more to say."""
        return self.state in ANSWERING and self.last_word is None

    @property
    def status(self) -> int:
        """The exit status that counts for it: 0 if it has ended well, or has never served."""
        if self.state is ProcessState.ENDED and self.last_word is not None:
            return integer(self.last_word, "status") or abs(self.exit_status)
        return int(self.state in (ProcessState.CRASHED, ProcessState.CUT))

    @property
    def failure(self) -> tuple[int, str]:
        """Of one that has never served: the exit status that this is worth, and why in one line."""
        word = self.last_word
        if word is not None and (why := text(word, "why")):
            return integer(word, "status", 1) or 1, why
        return 1, f"process {self.number} {ended(self.exit_status)} before it was ready"

    def account(self, seen: Total) -> Total:
        """What became of its requests: by its own last word, or by what its board has counted."""
        if self.last_word is not None:
            return Total.of(counts(self.last_word, "account"))
        left = seen.accepted - seen.settled
        lost = Total(forced=left) if self.state is ProcessState.CUT else Total(lost_by_crash=left)
        return seen + lost


def ended(status: int) -> str:
    """How a process has ended, in words."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
