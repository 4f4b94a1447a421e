"""Replay: whether a trace is one that the spec allows.

Checked for every row: the object was in the state that the arrow leads from; a joint step is taken
whole, by one thread, with nobody else's arrow under the same lock in between, and by objects that
belong together; no property of kind `always` or `never` breaks; accepted = settled + open. At the
end the trace is held against what the process said of itself: how often each arrow was taken, and
which objects were left.

In a trace that does not begin with the process, or has lost rows, objects are found where their
first arrow leads from, and `always` is not checked: the other half may be out of sight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from statemachine.errors import StateMachineError
from statemachine.ground import Bond, Ground, whose
from statemachine.model import BIRTH_STEP, NeverTogether, Place
from statemachine.noting import LINKED, LOST, NAMED, Row
from statemachine.tracefile import Ending

CODES = BIRTH_STEP - 1
"""The bits of a row's number that are not its birth's: `&` is quicker than `%`."""


class IllegalTrace(StateMachineError):
    """The spec does not allow what was recorded: at which row, of which object, and why.

    `birth` is that of the object, or None where the fault is the whole trace's.
    """

    def __init__(self, row: int, birth: int | None, says: str) -> None:
        super().__init__(f"row {row}: {says}")
        self.row = row
        self.birth = birth
        self.says = says


@dataclass(slots=True)
class _JointStep:
    """A joint step that has begun: who took which of its arrows, by group."""

    name: str
    row: int
    thread: int
    taken: dict[int, tuple[int, int]] = field(default_factory=dict)


class Replay:
    """Judges one trace, row by row. `whole`: it begins with the process and has lost nothing.

    `places` is where each object is, by its birth, in the ground's numbers; `counts` how often each
    arrow was taken; `partners` who belongs to whom by a joint step. `inherited` are the entries of
    the ledger that were open already where an object was first seen.
    """

    def __init__(self, ground: Ground, *, whole: bool) -> None:
        self.ground = ground
        self.whole = whole
        self.places: dict[int, int] = {}
        self.counts = [0] * len(ground.arrows)
        self.partners: dict[int, int] = {}
        self.rows = 0
        self.lost = 0
        self.inherited = 0
        self._watched = list(ground.watched)
        self._nevers = [list(nevers) for nevers in ground.nevers]
        self._found: Counter[int] = Counter()
        self._since = list(self.counts)
        self._imbalance = [0] * len(ground.equations)
        self._gap = 0
        self._steps: dict[str, _JointStep] = {}
        # Whether joint steps may be looked at as pairs, and the half that has come of one.
        self._is_quiet = whole
        self._half: tuple[int, int, int, int] | None = None
        self._groups = {joint.id: len(joint.groups) for joint in ground.system.joints}
        # By lock: the thread of the last arrow under it and the last that is of a joint step, until
        # it is certain that no joint step is under way; then None.
        self._before: dict[str, tuple[int, int | None] | None] = {}
        self._unjudged: list[tuple[int, int]] = []
        self._times: dict[int, float] = {}

    def feed(self, first: int, rows: Iterable[Row]) -> None:
        """Judge the next rows. Raises IllegalTrace for the first that is not allowed."""
        ground, places, counts, times = self.ground, self.places, self.counts, self._times
        source, target, watched = ground.source, ground.target, self._watched
        known, place_of, number = len(source), places.get, first - 1
        for number, (code, thread, seconds) in enumerate(rows, first):
            arrow = code & CODES
            if arrow >= known:
                self._hear(number, arrow)
                continue
            birth = code - arrow
            if place_of(birth) != source[arrow]:
                self._begin(number, birth, arrow)
            if seconds != times.get(thread):
                self._tick(number, birth, arrow, thread, seconds)
            places[birth] = target[arrow]
            counts[arrow] += 1
            if watched[arrow]:
                self._watch(number, birth, arrow, thread)
        self.rows = number + 1

    def named(self, birth: int, arrow: int) -> str:
        """An arrow and who took it."""
        return whose(self.ground.arrows[arrow], birth // BIRTH_STEP)

    def _wrong(self, row: int, birth: int, arrow: int, says: str) -> IllegalTrace:
        return IllegalTrace(row, birth, f"{self.named(birth, arrow)}: {says}")

    def _begin(self, row: int, birth: int, arrow: int) -> None:
        """An object that is not where the arrow leads from: it may not have moved before."""
        ground, place = self.ground, self.places.get(birth)
        was = ground.source[arrow]
        if place is None and (ground.begins[arrow] or not self.whole):
            self._found[was] += 1
            self.inherited += was in ground.open
            for number, side in enumerate(ground.sides):
                self._imbalance[number] += side.get(ground.places[was], 0)
            return
        initial = ground.system.machines[ground.machine(arrow)].initial
        present = initial if place is None else ground.places[place]
        raise self._wrong(row, birth, arrow, f"the object was in {present}")

    def _hear(self, row: int, code: int) -> None:
        """A row that is no arrow. After a loss nothing is known of any object."""
        if code in (LINKED, NAMED):
            return
        if code != LOST:
            raise IllegalTrace(row, None, f"{code} is no arrow's number")
        self.lost += 1
        self.whole = self._is_quiet = False
        self._half = None
        for known in (self.places, self.partners, self._steps, self._found, self._times):
            known.clear()
        self._unjudged.clear()
        self._before.clear()
        self._since = list(self.counts)

    # --- more than one object ---------------------------------------------------------------

    def _watch(self, row: int, birth: int, arrow: int, thread: int) -> None:
        """Look at an arrow, or first wait for the other half of its joint step.

        Nearly all joint steps are two arrows, one after the other, that disturb nothing else.
        """
        half = self._half
        if half is not None:
            self._half = None
            bond = self.ground.quick.get((half[2], arrow))
            if bond is not None and thread == half[3]:
                self._tie(row, (half[1], half[2]), (birth, arrow), bond)
                return
            self._look(*half)
        elif self._is_quiet and not self._steps:
            if self.ground.idle[arrow]:
                return
            if self.ground.halves[arrow]:
                self._half = row, birth, arrow, thread
                return
        self._look(row, birth, arrow, thread)

    def _look(self, row: int, birth: int, arrow: int, thread: int) -> None:
        ground = self.ground
        self._gap += ground.gaps[arrow]
        for number, shift in ground.shifts[arrow]:
            self._imbalance[number] += shift
        if ground.domains[arrow] is not None:
            self._join(row, birth, arrow, thread)
        if self._steps:
            self._unjudged.append((birth, arrow))
            return
        for one in self._unjudged:
            self._judge(row, *one)
        self._unjudged.clear()
        self._judge(row, birth, arrow)

    def _join(self, row: int, birth: int, arrow: int, thread: int) -> None:
        """Begin a joint step, go on with it, or find that it was broken into."""
        ground = self.ground
        domain, sync = ground.domains[arrow] or "", ground.arrows[arrow].sync
        if not self.whole and not self._is_aligned(domain, arrow, thread):
            return
        step = self._steps.get(domain)
        if step is None:
            if sync is not None:
                self._steps[domain] = step = _JointStep(sync, row, thread)
                step.taken[ground.joints_of[arrow][sync]] = birth, arrow
            return
        group = ground.joints_of[arrow].get(step.name)
        if group is not None and group not in step.taken and thread == step.thread:
            step.taken[group] = birth, arrow
            if len(step.taken) == self._groups[step.name]:
                del self._steps[domain]
                self._bind(row, step)
        elif sync is not None or thread != step.thread:
            raise self._wrong(row, birth, arrow, f"it breaks into {self._begun(step)}")

    def _is_aligned(self, domain: str, arrow: int, thread: int) -> bool:
        """Whether it is certain which arrows are first halves, where the beginning is out of sight.

        It is as soon as another thread has the lock, or two arrows of joint steps follow each other
        that cannot be of one: then the second of them begins one.
        """
        before = self._before.get(domain, (thread, None))
        if before is None:
            return True
        its_thread, half = before
        starts = self.ground.arrows[arrow].sync is not None
        if its_thread != thread or (starts and half is not None and self._differ(half, arrow)):
            self._before[domain] = None
            return True
        self._before[domain] = thread, arrow if starts else half
        return False

    def _differ(self, one: int, other: int) -> bool:
        """Whether no joint step has both arrows."""
        joints = self.ground.joints_of
        return not any(
            joints[other].get(name, group) != group for name, group in joints[one].items()
        )

    def _begun(self, step: _JointStep) -> str:
        halves = ", ".join(self.named(*one) for one in step.taken.values())
        return f"the joint step {step.name} that {halves} began in row {step.row}"

    def _bind(self, row: int, step: _JointStep) -> None:
        """A joint step is whole: its two objects are each other's from now on, or have been."""
        if len(step.taken) != 2:
            return
        first, second = step.taken.values()
        self._tie(row, first, second, self.ground.bonds[first[1], second[1]])

    def _tie(self, row: int, first: tuple[int, int], second: tuple[int, int], bond: Bond) -> None:
        """Tie the two objects of a joint step together, or find that they have been, and part."""
        (one, a), (other, b) = first, second
        partners = self.partners
        if bond is Bond.BINDS:
            partners[one], partners[other] = other, one
        elif bond is Bond.PARTS:
            found = partners.pop(one, None), partners.pop(other, None)
            if found != (other, one) and (self.whole or found != (None, None)):
                says = f"and {self.named(other, b)}: they do not belong together"
                raise self._wrong(row, one, a, says)

    def _judge(self, row: int, birth: int, arrow: int) -> None:
        """The properties and the ledger, as far as the arrow can have touched them."""
        ground = self.ground
        for never in self._nevers[arrow]:
            if all(self.occupancy(place) > 0 for place in never.places):
                raise self._wrong(row, birth, arrow, f"{never.id}: {never.english}")
        for never in ground.nevers[arrow]:
            self._arm(never)
        if not self.whole:
            return
        for number, _ in ground.shifts[arrow]:
            if self._imbalance[number]:
                equation = ground.equations[number]
                raise self._wrong(row, birth, arrow, f"{equation.id}: {equation.english}")
        if self._gap:
            says = f"the ledger is out of balance, by {self._gap}"
            raise self._wrong(row, birth, arrow, says)

    def _arm(self, never: NeverTogether) -> None:
        """An object is in the first of the places: look at whoever enters the others, too."""
        self._is_quiet = False
        for place in never.places[1:]:
            for arrow in self.ground.into(place):
                self._watched[arrow] = True
                if never not in self._nevers[arrow]:
                    self._nevers[arrow].append(never)

    def occupancy(self, place: Place) -> int:
        """How many of the objects that have moved are in a state."""
        ground = self.ground
        came, went = ground.into(place), ground.out_of(place)
        found = self._found[ground.places.index(place)]
        now, then = self.counts, self._since
        return found + sum(now[n] - then[n] for n in came) - sum(now[n] - then[n] for n in went)

    def _tick(self, row: int, birth: int, arrow: int, thread: int, seconds: float) -> None:
        if seconds < self._times.get(thread, 0.0):
            raise self._wrong(row, birth, arrow, "its thread's clock went back")
        self._times[thread] = seconds

    # --- the end ----------------------------------------------------------------------------

    def close(self, ending: Ending | None) -> None:
        """Judge the end. Raises IllegalTrace where the process said something else of itself."""
        half, self._half = self._half, None
        if half is not None:
            self._look(*half)
        if ending is None or not self.whole:
            return
        if ending.taken is not None:
            for step in self._steps.values():
                raise IllegalTrace(self.rows, None, f"{self._begun(step)} was never whole")
            for number, arrow in enumerate(self.ground.arrows):
                said, found = ending.taken.get(arrow.id, 0), self.counts[number]
                if said != found:
                    says = f"{arrow.id} was taken {said} times by its own count, and {found} here"
                    raise IllegalTrace(self.rows, None, says)
        found_living = self.living()
        for machine, said in (ending.living or {}).items():
            found = found_living[machine]
            if said != found:
                says = f"{said} objects of {machine} lived when it ended, and {found} do here"
                raise IllegalTrace(self.rows, None, says)

    def living(self) -> Counter[str]:
        """By machine, how many of the objects that have moved are in no final state."""
        machines, places = self.ground.system.machines, self.ground.places
        found: Counter[str] = Counter()
        for number, count in Counter(self.places.values()).items():
            place = places[number]
            if place.state not in machines[place.machine].final:
                found[place.machine] += count
        return found

    def taken(self) -> dict[str, int]:
        """How often each arrow was taken, in the spec's order."""
        return {arrow.id: self.counts[n] for n, arrow in enumerate(self.ground.arrows)}


def account(ground: Ground, replay: Replay) -> str:
    """The ledger as the trace has it, or an empty text where the spec has none."""
    ledger, taken = ground.system.ledger, replay.taken()
    if ledger is None:
        return ""
    accepted = sum(taken[arrow] for arrow in ledger.accepted)
    terms = {term: sum(taken[arrow] for arrow in arrows) for term, arrows in ledger.settled.items()}
    still_open = accepted + replay.inherited - sum(terms.values())
    left = f"accepted {accepted}" + (f" + open before {replay.inherited}" * bool(replay.inherited))
    right = " + ".join(f"{term.replace('_', '-')} {count}" for term, count in terms.items())
    return f"ledger: {left} = {right}" + (f" + open {still_open}" * bool(still_open))
