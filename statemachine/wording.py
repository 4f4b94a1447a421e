"""Conditions and effects in words, as pages and counterexamples say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from statemachine.composition import (
    Balances,
    Can,
    Condition,
    Count,
    Fact,
    First,
    Is,
    Linked,
    Nobody,
    Queued,
    QueueIs,
    Unless,
)

QUEUE = {
    "empty": "the queue is empty",
    "not_empty": "the queue is not empty",
    "full": "the queue is full",
    "has_room": "the queue has room",
    "within": "the queue holds no more than it may",
}


def said(conditions: Iterable[Condition]) -> str:
    """All of them, joined by `and`."""
    return " and ".join(_said(one) for one in conditions)


def _said(one: Condition) -> str:
    words: dict[type[Condition], Callable[..., str]] = WORDS
    return words[type(one)](one)


def _names(facts: Iterable[Fact]) -> str:
    return " or ".join(f"`{fact}`" for fact in facts)


def _is(one: Is) -> str:
    return ("not " if one.negated else "") + _names(one.facts)


def _linked(one: Linked) -> str:
    verb = "is not" if one.negated else "is"
    return f"`{one.role}.{one.link}` {verb} {f'`{one.target}`' if one.target else 'nobody'}"


def _count(one: Count) -> str:
    kind = "at least" if one.at_least else "at most"
    return f"{kind} {' + '.join(map(str, one.terms))} are {_names(one.facts)}"


def _nobody(one: Nobody) -> str:
    linked = f" with `{one.link}` `{one.target}`" if one.link else ""
    return f"nobody{linked} is {_names(one.facts)}"


WORDS: dict[type[Condition], Callable[..., str]] = {
    Is: _is,
    Linked: _linked,
    Count: _count,
    Nobody: _nobody,
    QueueIs: lambda one: QUEUE[one.how],
    First: lambda one: f"the queue begins with `{one.role}`",
    Queued: lambda one: f"`{one.role}` is in the queue",
    Balances: lambda _: "the ledger balances",
    Unless: lambda one: f"not ({said(one.conditions)})",
    Can: lambda one: f"the step {one.step} can be taken",
}
