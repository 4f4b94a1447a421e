"""Random machines, run on the sealed engine and on stock `transitions`, side by side.

A `Recipe` is plain data: a machine, what its callbacks do at each call, and a script of events. It
is played twice, on one `transitions.Machine` and two models: once through `Event.trigger`, once
through the functions that `compile_events` wrote. Whatever can be seen from outside must be the
same: results, the callbacks in their order with the state that each one saw, exceptions by type and
text, the state after each step, how often each row with a tally was counted, and what the library's
logger says from WARNING on.

    python -m tests.engine.differential --machines 10000 --seed 1
    python -m tests.engine.differential --seed 1 --only 4711        one machine again, in full
"""

from __future__ import annotations

import argparse
import enum
import itertools
import logging
import pprint
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, cast

import transitions

from statemachine.machine import compile_events

CALLS_MAX = 40
"""After so many callbacks in one step the rest do nothing, so that nested events come to an end."""

NAMES = ("A", "B", "C", "D")
EVENTS = ("go", "come", "stay")
METHODS = tuple(f"method_{number}" for number in range(8))
FUNCTIONS = tuple(f"function_{number}" for number in range(3))
LOGGER = logging.getLogger("transitions.core")


class Odd(BaseException):
    """An exception that is no Exception."""


class Equivocal:
    """An answer that is neither: it equals whatever it is asked about, in its own way."""

    def __eq__(self, other: object) -> object:  # type: ignore[override]
        return "yes" if other is True else ""

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Equivocal()"


class Plain(enum.Enum):
    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Texts(enum.StrEnum):
    A = "D"  # a member whose value is another member's name
    B = "b"
    C = "A"
    D = "B"


class Foreign(enum.Enum):
    A = 1
    B = 2
    X = 3


KINDS: dict[str, Sequence[str | enum.Enum]] = {
    "strings": NAMES,
    "enum": tuple(Plain),
    "text enum": tuple(Texts),
    "mixed": ("A", Plain.B, Texts.C, "D"),
}
STRANGE_STATES: tuple[object, ...] = (
    *(None, "nowhere", "A", "B", 3, [], 1.5),
    *(Foreign.A, Foreign.X, Plain.A, Plain.C, Texts.A, Texts.C),
)
ANSWERS: tuple[object, ...] = (
    *(True, True, True, False, False, 1, 0, 2, None, "", "True", 1.0, 0.0, [], [True]),
    *(float("nan"), Equivocal()),
)
ERRORS: tuple[tuple[type[BaseException], tuple[object, ...]], ...] = (
    (ValueError, ("a plain error",)),
    (KeyError, ("key",)),
    (AttributeError, ("no such thing",)),
    (StopIteration, ()),
    (KeyboardInterrupt, ()),
    (SystemExit, (3,)),
    (GeneratorExit, ("late",)),
    (Odd, ("odd",)),
    (transitions.MachineError, ("forged",)),
    (RecursionError, ("deep",)),
)

Act = tuple[str, object]
"""What a callback does at one call: answer, raise, fire an event, or set the state."""


@dataclass
class Recipe:
    """A machine and what is done to it, as plain data."""

    kind: str
    states: list[dict[str, object]] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    options: dict[str, object] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    script: list[Act] = field(default_factory=list)


def draw(chance: random.Random) -> Recipe:
    """A recipe from a source of chance: `random`'s, or one of hypothesis, which can shrink it."""
    recipe = Recipe(kind=chance.choice(list(KINDS)))
    count = chance.randint(2, len(NAMES))
    values = KINDS[recipe.kind][:count]
    for value in values:
        state: dict[str, object] = {"name": value, "final": chance.random() < 0.2}
        if chance.random() < 0.3:
            state["ignore_invalid_triggers"] = chance.choice([True, False, None])
        _some(chance, state, ("on_enter", "on_exit"), likely=0.3)
        recipe.states.append(state)
    for event in (*EVENTS, *chance.choices(EVENTS, k=chance.randint(0, 7))):
        recipe.rows.append(_row(chance, event, NAMES[:count]))
    _some(
        chance,
        recipe.options,
        (
            *("prepare_event", "before_state_change", "after_state_change"),
            *("finalize_event", "on_exception", "on_final"),
        ),
        likely=0.2,
    )
    if chance.random() < 0.4:
        recipe.options["ignore_invalid_triggers"] = chance.choice([True, False, None])
    recipe.options["name"] = chance.choice([None, "m", "a name: "])
    for name in METHODS + FUNCTIONS:
        recipe.acts[name] = [_act(chance) for _ in range(chance.randint(1, 3))]
    for _ in range(chance.randint(4, 12)):
        strange = chance.random() < 0.12
        recipe.script.append(
            ("set", chance.choice([*STRANGE_STATES, *values]))
            if strange
            else ("fire", chance.choice(EVENTS))
        )
    return recipe


def _row(chance: random.Random, event: str, names: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {
        "trigger": event,
        "source": chance.choice([*names, *names, "*", list(names[:2])]),
        "dest": chance.choice([*names, *names, "=", None]),
    }
    _some(chance, row, ("conditions", "unless"), likely=0.4)
    _some(chance, row, ("prepare", "before", "after"), likely=0.25)
    row["counted"] = chance.random() < 0.5
    return row


def _some(
    chance: random.Random, into: dict[str, object], keys: Sequence[str], *, likely: float
) -> None:
    for key in keys:
        if chance.random() < likely:
            into[key] = [
                chance.choice(METHODS + FUNCTIONS) for _ in range(chance.choice([1, 1, 1, 2, 3]))
            ]


def _act(chance: random.Random) -> Act:
    roll = chance.random()
    if roll < 0.8:
        return "answer", chance.choice(ANSWERS)
    if roll < 0.9:
        return "raise", chance.choice(ERRORS)
    if roll < 0.98:
        return "fire", chance.choice(EVENTS)
    return "set", chance.choice(STRANGE_STATES)


Count: TypeAlias = "itertools.count[int]"


def shown(counts: Iterable[Count]) -> list[int]:
    """How far each has come: a count shows its next number, and is not advanced by that."""
    return [int(repr(one)[len("count(") : -1]) for one in counts]


class Moment(NamedTuple):
    """One step of the script, as it looks from outside."""

    what: str
    value: object
    outcome: tuple[str, object, str]
    seen: list[tuple[str, str]]
    state: str
    counted: list[int]
    said: list[tuple[int, str]]


class Player:
    """The model: its methods write down that they were called, then act as the recipe says."""

    __slots__ = ("calls", "engine", "recipe", "seen", "state", "turns")

    current: Player
    """Whoever plays at the moment: callables that are no methods have nobody else to ask."""

    def __init__(self, recipe: Recipe, engine: Callable[[str, Player], object]) -> None:
        self.recipe = recipe
        self.engine = engine
        self.state: object = recipe.states[0]["name"]
        self.seen: list[tuple[str, str]] = []
        self.turns = dict.fromkeys(recipe.acts, 0)
        self.calls = 0

    def act(self, name: str) -> object:
        self.calls += 1
        self.seen.append((name, repr(self.state)))
        if self.calls > CALLS_MAX:
            return True
        acts, turn = self.recipe.acts[name], self.turns[name]
        self.turns[name] = turn + 1
        what, value = acts[turn % len(acts)]
        return self.perform(what, value)

    def perform(self, what: str, value: object) -> object:
        if what == "raise":
            kind, arguments = cast("tuple[type[BaseException], tuple[object, ...]]", value)
            raise kind(*arguments)
        if what == "fire":
            return self.engine(str(value), self)
        if what == "set":
            self.state = value
            return True
        return value

    def play(self, said: list[tuple[int, str]], counts: Sequence[Count]) -> Iterator[Moment]:
        """Each step of the script; `said` is where the log's lines arrive."""
        Player.current = self
        before = shown(counts)
        for what, value in self.recipe.script:
            self.seen, self.calls = [], 0
            said.clear()
            try:
                outcome = ("returned", self.perform(what, value), "")
            except BaseException as error:  # noqa: BLE001 - the other engine must raise it too
                outcome = ("raised", type(error).__name__, str(error))
            counted = [now - then for now, then in zip(shown(counts), before, strict=True)]
            yield Moment(what, value, outcome, self.seen, repr(self.state), counted, said[:])


def _method(name: str) -> Callable[[Player], object]:
    return lambda self: self.act(name)


def _function(name: str) -> Callable[[], object]:
    return lambda: Player.current.act(name)


for _name in METHODS:
    setattr(Player, _name, _method(_name))
CALLABLES = {name: _function(name) for name in FUNCTIONS}


def _resolved(entry: dict[str, object]) -> dict[str, object]:
    """The entry with callables where it names functions, and names where it names methods."""
    return {
        key: [CALLABLES.get(name, name) for name in value]
        if isinstance(value, list) and key not in ("source", "dest")
        else value
        for key, value in entry.items()
    }


def _counted(row: dict[str, object], counts: list[Count]) -> dict[str, object]:
    """The row with a tally as its last `before` callback, as the door gives it one."""
    row = dict(row)
    if row.pop("counted"):
        counts.append(itertools.count())
        row["before"] = [*cast("list[object]", row.get("before", [])), counts[-1].__next__]
    return row


def machine_of(recipe: Recipe, counts: list[Count]) -> transitions.Machine:
    """The stock machine that a recipe describes; each tally of a row joins `counts`."""
    return transitions.Machine(
        model=None,
        states=[_resolved(state) for state in recipe.states],
        initial=cast("str | enum.Enum", recipe.states[0]["name"]),
        transitions=[_counted(_resolved(row), counts) for row in recipe.rows],
        auto_transitions=False,
        **_resolved(recipe.options),  # type: ignore[arg-type]
    )


@contextmanager
def listening(into: list[tuple[int, str]]) -> Iterator[None]:
    """What the library's logger says from WARNING on. Below it, the sealed engine is silent."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: into.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    before = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.WARNING)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.level, LOGGER.propagate = before


def play(recipe: Recipe) -> tuple[list[Moment], list[Moment]]:
    """What the recipe looks like on stock, and on the sealed engine."""
    counts: list[Count] = []
    machine = machine_of(recipe, counts)
    functions = compile_events(machine, Player)

    def stock(event: str, player: Player) -> object:
        return machine.events[event].trigger(player)

    def sealed(event: str, player: Player) -> object:
        return functions[event](player)

    said: list[tuple[int, str]] = []
    with listening(said):
        return (
            list(Player(recipe, stock).play(said, counts)),
            list(Player(recipe, sealed).play(said, counts)),
        )


def difference(recipe: Recipe) -> str:
    """The first step at which the engines differ, in full; an empty text if there is none."""
    stock, sealed = play(recipe)
    if repr(stock) == repr(sealed):  # repr, because an answer may be unequal to itself
        return ""
    number = next(
        n for n, (a, b) in enumerate(zip(stock, sealed, strict=True)) if repr(a) != repr(b)
    )
    return (
        f"step {number} differs\n  stock:  {stock[number]}\n  sealed: {sealed[number]}\n"
        f"{pprint.pformat(recipe, width=100)}"
    )


def recipe_of(seed: int, number: int) -> Recipe:
    """Machine `number` of the run with that seed: each can be played again by itself."""
    return draw(random.Random(f"{seed}:{number}"))


def run(machines: int, seed: int, *, progress: bool = False) -> list[str]:
    """Play so many machines; returns what differed."""
    found, began = [], time.monotonic()
    for number in range(machines):
        text = difference(recipe_of(seed, number))
        if text:
            found.append(f"machine {number} of seed {seed}: {text}")
        if progress and number % 100 == 99:
            rate = (number + 1) / (time.monotonic() - began)
            print(
                f"\r{number + 1} of {machines} machines, {rate:.0f} a second, {len(found)} differ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    if progress:
        print(file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 1 if any machine differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine.differential",
        description="Random machines on the sealed engine and on stock transitions, side by side.",
    )
    parser.add_argument("--machines", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="play this one machine")
    options = parser.parse_args(arguments)
    if options.only is not None:
        text = difference(recipe_of(options.seed, options.only))
        print(text or "no difference")
        return 1 if text else 0
    found = run(options.machines, options.seed, progress=sys.stderr.isatty())
    for text in found[:3]:
        print(text, file=sys.stderr)
    print(f"{options.machines} machines, seed {options.seed}: {len(found)} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
