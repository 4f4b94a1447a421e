"""Generated from spec/subscription.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class SubscriptionState(enum.Enum):
    """The states of machine subscription."""

    CURRENT = "CURRENT"
    """Its socket takes what is published, when its turn comes."""

    BEHIND = "BEHIND"
    """Its socket does not take what is published, and nothing is lost yet."""

    GAPPED = "GAPPED"
    """It has lost events and was told which; it has not caught up since."""

    ENDED = "ENDED"
    """Nothing is sent any more but what is in line."""

    CUT = "CUT"
    """Cut off: it fell behind for too long, or lost too much."""

    __hash__ = object.__hash__


_INITIAL: Final = SubscriptionState.CURRENT


class SubscriptionMachine(Model):
    """One stream's place in the channels that it listens to."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "subscription"
    State: ClassVar[type[SubscriptionState]] = SubscriptionState
    state: SubscriptionState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def silence_lasted(self) -> None:
        """U1: CURRENT → CURRENT."""
        raise Unbound(self, "silence_lasted")

    def blocked(self) -> None:
        """U2: CURRENT → BEHIND."""
        raise Unbound(self, "blocked")

    def events_lost(self) -> None:
        """U3: CURRENT → GAPPED.

        U5: BEHIND → GAPPED.
        U8: GAPPED → GAPPED when may_lose_more.
        U9: GAPPED → CUT unless may_lose_more.
        """
        raise Unbound(self, "events_lost")

    def caught_up(self) -> None:
        """U4: BEHIND → CURRENT.

        U7: GAPPED → CURRENT.
        """
        raise Unbound(self, "caught_up")

    def deadline_passed(self) -> None:
        """U6: BEHIND → CUT.

        U10: GAPPED → CUT.
        """
        raise Unbound(self, "deadline_passed")

    def ended(self) -> None:
        """U11: CURRENT → ENDED.

        U12: BEHIND → ENDED.
        U13: GAPPED → ENDED.
        """
        raise Unbound(self, "ended")

    def memory_ran_out(self) -> None:
        """U14: BEHIND → CUT.

        U15: GAPPED → CUT.
        """
        raise Unbound(self, "memory_ran_out")

    def may_lose_more(self) -> bool:
        """It has been told of fewer gaps than event_gaps_max since it was current."""
        raise Unbound(self, "may_lose_more")

    def count_gap(self) -> None:
        """One more gap that it is told of."""
        raise Unbound(self, "count_gap")

    def forget_gaps(self) -> None:
        """It has all that there is: what comes is counted anew."""
        raise Unbound(self, "forget_gaps")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"may_lose_more", "count_gap", "forget_gaps"}
    )
