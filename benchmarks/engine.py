"""What one event costs: the sealed engine against stock `transitions`, in one run.

    python -m benchmarks.engine
    python -m benchmarks.engine --json FILE

Four events, on five engines:

  bare     stock as its own manual teaches it: `add_model`, then `model.event()`
  by name  the same, by name: `model.trigger("event")`
  stock    this project's door over stock: `Event.trigger` on a slotted object, loud
  sealed   this project's door over compiled functions
  by hand  no machine at all: a method that does the same with `if`

Each event goes there and back, so that a lap is two events; laps of all engines are interleaved and
the median of the repeats is taken, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import enum
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import transitions

from statemachine.machine import Binder, Engine
from statemachine.model import Arrow, MachineSpec, Model, State, System, Vocabulary, Word

LAPS = 1_000
REPEATS = 15
CLAIM = 40
"""How many times cheaper than bare stock a sealed event is said to be."""

EVENTS = ("plain", "guarded", "with effect", "with hook")
ENGINES = ("bare", "by name", "stock", "sealed", "by hand")

Lap = Callable[[], None]
"""Two events: there and back."""


class Side(enum.Enum):
    """Where the object is."""

    HERE = "HERE"
    THERE = "THERE"


def _system() -> System:
    """A spec of two states, as the loader would give it."""
    rows = []
    for event, guard, effect in (("go", None, None), ("ask", "may", None), ("act", None, "work")):
        for number, (source, target) in enumerate((("HERE", "THERE"), ("THERE", "HERE")), 1):
            name = f"{event[:2].upper()}{number}"
            rows.append(Arrow(name, "side", source, event, target, "-", when=guard, do=effect))
    states = {name: State(name, "-", owner="main") for name in ("HERE", "THERE")}
    spec = MachineSpec("side", "-", "-", "", "HERE", (), "main", tuple(rows), states)
    vocabulary = Vocabulary(
        guards={"may": Word("may", "side", "may", "-")},
        effects={"work": Word("work", "side", "work", "-")},
        conditions={},
        deadlines={},
    )
    return System("bench", "-", {"side": spec}, vocabulary, (), (), {})


class Traveller(Model):
    """The object that moves. Guard and effect do nothing: it is the engine that is timed."""

    __slots__ = ("state",)
    machine_name = "side"
    State = Side
    state: Side

    def __init__(self) -> None:
        self.state = Side.HERE

    def may(self) -> bool:
        """The guard."""
        return True

    def work(self) -> None:
        """The effect."""

    def go(self) -> None:
        """Bound, this moves the object."""

    def ask(self) -> None:
        """The same, behind the guard."""

    def act(self) -> None:
        """The same, with the effect."""


HERE, THERE = Side
"""Looked up once: `Side.HERE` at each event would cost more than the event (CPython 3.11)."""


class ByHand(Traveller):
    """What the sealed functions come to when they are written by hand, and by nobody's table."""

    __slots__ = ()

    def go(self) -> None:
        if self.state is HERE:
            self.state = THERE
        elif self.state is THERE:
            self.state = HERE
        else:
            raise ValueError(self.state)

    def ask(self) -> None:
        if not self.may():
            raise PermissionError
        if self.state is HERE:
            self.state = THERE
        elif self.state is THERE:
            self.state = HERE
        else:
            raise ValueError(self.state)

    def act(self) -> None:
        self.work()
        if self.state is HERE:
            self.state = THERE
        elif self.state is THERE:
            self.state = HERE
        else:
            raise ValueError(self.state)


class Commuter(Traveller):
    """The same object with room for what `add_model` binds to it."""


def _hook(_: Model, __: Arrow) -> None:
    """The cheapest hook there is."""


def _bare(event: str, *, by_name: bool) -> Lap:
    model = Commuter()
    machine = transitions.Machine(
        model=None, states=Side, initial=Side.HERE, auto_transitions=False
    )
    guard = "may" if event == "guarded" else None
    effect = "work" if event == "with effect" else None
    hook = (lambda: _hook(model, ARROW)) if event == "with hook" else None
    for source, target in ((Side.HERE, Side.THERE), (Side.THERE, Side.HERE)):
        machine.add_transition("move", source, target, guard, before=effect, after=hook)
    machine.add_model(model)
    move, trigger = vars(model)["move"], vars(model)["trigger"]

    def lap() -> None:
        move()
        move()

    def lap_by_name() -> None:
        trigger("move")
        trigger("move")

    return lap_by_name if by_name else lap


def _door(event: str, engine: str) -> Lap:
    hook = _hook if event == "with hook" else None
    if engine == "by hand":
        model: Traveller = ByHand()
    else:
        chosen: Engine = "sealed" if engine == "sealed" else "stock"
        model = Binder(SYSTEM, engine=chosen, hook=hook).bind(Traveller)()
    method = {"guarded": model.ask, "with effect": model.act}.get(event, model.go)

    def lap() -> None:
        method()
        method()

    return lap


SYSTEM = _system()
ARROW = SYSTEM.machines["side"].arrows[0]


def laps() -> dict[tuple[str, str], Lap]:
    """One lap for each event and engine. What is written by hand has no hook."""
    made = {}
    for event in EVENTS:
        for engine in ENGINES:
            if engine in ("bare", "by name"):
                made[event, engine] = _bare(event, by_name=engine == "by name")
            elif (event, engine) != ("with hook", "by hand"):
                made[event, engine] = _door(event, engine)
    return made


def _seconds(lap: Lap, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        lap()
    return time.perf_counter() - began


def measure(count: int = LAPS, repeats: int = REPEATS) -> dict[tuple[str, str], float]:
    """Nanoseconds for one event, by event and engine: the median over interleaved repeats."""
    made = laps()
    times: dict[tuple[str, str], list[float]] = {key: [] for key in made}
    empty: list[float] = []
    gc.disable()
    try:
        for _ in range(repeats):
            empty.append(_seconds(_nothing, count))
            for key, lap in made.items():
                times[key].append(_seconds(lap, count))
    finally:
        gc.enable()
    floor = statistics.median(empty)
    return {
        key: (statistics.median(found) - floor) / count / 2 * 1e9 for key, found in times.items()
    }


def _nothing() -> None:
    """A lap without events: what the loop and the call of a lap cost, taken off each figure."""


def chart(costs: dict[tuple[str, str], float]) -> str:
    """The figures as text, each with its ratio to the sealed engine and a bar."""
    widest, lines = max(costs.values()), []
    for event in EVENTS:
        lines.append(event)
        sealed = costs[event, "sealed"]
        for engine in ENGINES:
            if (event, engine) in costs:
                cost = costs[event, engine]
                bar = "#" * max(1, round(40 * cost / widest))
                lines.append(f"  {engine:8} {cost:9,.0f} ns {cost / sealed:7.1f} x  {bar}")
    return "\n".join(lines)


def where() -> dict[str, str]:
    """The machine and the versions."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "transitions": version("transitions"),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "processor unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures where asked; returns 1 if the claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args(arguments)
    costs, place = measure(), where()
    ratios = {event: costs[event, "bare"] / costs[event, "sealed"] for event in EVENTS}
    print("; ".join(f"{key} {value}" for key, value in place.items()))
    print(f"{REPEATS} interleaved repeats of {2 * LAPS} events; medians\n")
    print(chart(costs))
    least = min(ratios.values())
    holds = least >= CLAIM
    print(
        f"\na sealed event is {least:.0f} to {max(ratios.values()):.0f} times cheaper than a "
        f"bare stock one; claimed: {CLAIM}: {'holds' if holds else 'does not hold'}"
    )
    if options.json:
        figures = {f"{event}, {engine}": round(cost, 1) for (event, engine), cost in costs.items()}
        cheaper = {event: round(ratio, 1) for event, ratio in ratios.items()}
        told = {**place, "nanoseconds": figures, "times cheaper than bare": cheaper}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
