"""Many lives, one after the other or in several processes, and what is counted of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from wsgiref.types import WSGIApplication

from server.app.loading import load_application
from server.simulation.alarm import Alarm
from server.simulation.ear import Ear
from server.simulation.life import Life, Past
from server.simulation.plan import Plan, draw_plan
from server.simulation.scenario import Wish, draw_app_plan
from server.simulation.verdict import faults_of

CHUNK: Final = 100
"""Lives that a process plays before it tells of them."""

ALARM_SECONDS: Final = 2.0
"""What a thread may compute without a point."""

QUIET_ENDS: Final = ("leave", "half", "stay")


@dataclass(slots=True)
class Tally:
    """What is counted of some lives. `failed` are the seeds of those that failed, each with its
    first fault.
    """

    lives: int = 0
    requests: int = 0
    seconds: float = 0.0
    points: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    arrows: Counter[str] = field(default_factory=Counter)
    befell: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count these, too."""
        self.lives += other.lives
        self.requests += other.requests
        self.seconds += other.seconds
        self.points += other.points
        self.outcomes.update(other.outcomes)
        self.arrows.update(other.arrows)
        self.befell.update(other.befell)
        self.failed += other.failed


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of lives they are: of our own application, or of a user's by its name."""

    app: str = ""
    wishes: tuple[Wish, ...] = ()

    def plan(self, seed: int) -> Plan:
        """The life of this seed."""
        return draw_app_plan(seed, self.wishes) if self.app else draw_plan(seed)

    def play(self, plan: Plan, *, watched: bool = False) -> tuple[Past, list[str]]:
        """Play it, and judge it. Raises StartError, ConfigError for no such application."""
        app = _application(self.app) if self.app else None
        past = Life(plan, app=app, watched=watched).play()
        return past, faults_of(past)


@functools.cache
def _application(name: str) -> WSGIApplication:
    return load_application(name)


def play_some(kind: Kind, first: int, count: int) -> Tally:
    """Play the lives of so many seeds from the first on."""
    tally = Tally()
    # What a life leaves behind is cleared away when it is over, while it is in the caches: not in
    # the midst of one, and not after ten, which takes twice as long.
    enabled = gc.isenabled()
    gc.disable()
    try:
        with _alarm(), Ear():
            for seed in range(first, first + count):
                _count(tally, *kind.play(kind.plan(seed)))
                gc.collect(0)
    finally:
        if enabled:
            gc.enable()
        gc.collect(1)
    return tally


def _alarm() -> contextlib.AbstractContextManager[object]:
    try:
        return Alarm(ALARM_SECONDS)
    except ValueError:  # not in the main thread
        return contextlib.nullcontext()


def _count(tally: Tally, past: Past, faults: list[str]) -> None:
    tally.lives += 1
    tally.seconds += past.ended_at
    tally.points += past.street.carrier.steps
    tally.arrows.update(past.taken)
    tally.befell.update(deed.kind for deed in past.done)
    for guest in past.guests:
        plan = guest.plan
        if not guest.has_joined:
            tally.befell["turned away by a full backlog"] += 1
        if plan.end not in QUIET_ENDS and (guest.has_reset or plan.end != "reset"):
            tally.befell[f"client: {plan.end}"] += 1
        if plan.sip_bytes:
            tally.befell["client: reads slowly"] += 1
        if plan.piece_bytes:
            tally.befell["client: sends in pieces"] += 1
    account = past.later
    if account is not None:
        tally.requests += account.accepted
        for term in ("answered", "shed", "client_gone", "forced"):
            tally.outcomes[term] += getattr(account, term)
    if faults:
        tally.failed.append((past.plan.seed, faults[0]))


def play_all(kind: Kind, first: int, count: int, jobs: int) -> Iterator[Tally]:
    """Play so many lives in `jobs` processes; yields tallies of some of them, in any order."""
    starts = range(first, first + count, CHUNK)
    sizes = [min(CHUNK, first + count - start) for start in starts]
    if jobs == 1:
        for start, size in zip(starts, sizes, strict=True):
            yield play_some(kind, start, size)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        todo = [
            pool.submit(play_some, kind, start, size)
            for start, size in zip(starts, sizes, strict=True)
        ]
        for done in concurrent.futures.as_completed(todo):
            yield done.result()
