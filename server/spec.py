"""What a server takes from the spec: the system, once it is sound, and the limits that it names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from server.config import Config
from server.ledger import TERMS
from server.net.deadlines import Patience
from statemachine import SpecError, System, tables
from statemachine._generated import ConnectionState, RequestState, SubscriptionState


def _checked(limits: AbstractSet[str]) -> System:
    from statemachine.checks import check  # noqa: PLC0415 - few starts come here, and it is large
    from statemachine.loader import load_system  # noqa: PLC0415 - as above

    system = load_system()
    for finding in check(system, limits=limits):
        raise SpecError(finding.file, finding.place, finding.says)
    return system


@functools.cache
def sound_system() -> System:
    """The spec that belongs to this code. Raises SpecError unless every check passes.

    Of a spec that was checked when the code was generated from it, it has what `tables` has.
    """
    limits = {one.name for one in dataclasses.fields(Config)}
    system = tables()
    if system is None or not limits.issuperset(system.vocabulary.limits):
        system = _checked(limits)
    if system.ledger is None:
        raise SpecError("system.toml", "", "key 'ledger' is missing, expected a table")
    if set(system.ledger.settled) != set(TERMS):
        have, expected = sorted(system.ledger.settled), sorted(TERMS)
        told = f"has {', '.join(have)}, expected {', '.join(expected)}"
        raise SpecError("system.toml", "table settled", told)
    return system


def patience(system: System, config: Config) -> Patience:
    """The limits that the spec's deadlines name, by state."""

    def seconds(machine: str) -> Iterator[tuple[str, float]]:
        for name, state in system.machines[machine].states.items():
            if state.deadline is not None:
                yield name, getattr(config, state.deadline)

    def rates(machine: str) -> Iterator[tuple[str, int]]:
        for name, state in system.machines[machine].states.items():
            if state.rate is not None:
                yield name, getattr(config, state.rate)

    return Patience(
        connection={ConnectionState[name]: limit for name, limit in seconds("connection")},
        request={RequestState[name]: limit for name, limit in seconds("request")},
        rates={
            **{ConnectionState[name]: rate for name, rate in rates("connection")},
            **{RequestState[name]: rate for name, rate in rates("request")},
        },
        subscription={SubscriptionState[name]: limit for name, limit in seconds("subscription")},
    )
