"""A small composed system for tests to break: a desk, its bell, and errands that wait for it.

With one desk and so many errands it has few states, which can be counted by hand.
"""

from __future__ import annotations

from pathlib import Path

from statemachine import System, load_system
from tests.spec.edits import Edit, write_edited

DESK = """\
name = "desk"
means = "A desk."
initial = "FREE"
final = ["SHUT"]
driven_by = "main"
transitions = [
  { id = "D1", from = "FREE", on = "begun", to = "TAKEN", when = "somebody_waits", \
sync = "serve", why = "One at a time." },
  { id = "D2", from = "TAKEN", on = "done", to = "FREE", sync = "finish", why = "Next." },
  { id = "D3", from = "FREE", on = "shut", to = "SHUT", unless = "somebody_waits", why = "Late." },
]

[states]
FREE = { means = "Serves nobody.", owner = "main" }
TAKEN = { means = "Serves one.", owner = "main", requires = "serves" }
SHUT = { means = "Gone home." }
"""

ERRAND = """\
name = "errand"
means = "Somebody who wants something."
initial = "WAITING"
final = ["SERVED", "GONE"]
driven_by = "main"
transitions = [
  { id = "E1", from = "WAITING", on = "called", to = "AT_DESK", sync = "serve", why = "Its turn." },
  { id = "E2", from = "AT_DESK", on = "served", to = "SERVED", sync = "finish", why = "Done." },
  { id = "E3", from = "WAITING", on = "left", to = "GONE", environment = true, why = "No time." },
]

[states]
WAITING = { means = "In the queue.", owner = "main", waits_for = "desk" }
AT_DESK = { means = "Is served.", owner = "main" }
SERVED = { means = "Has it." }
GONE = { means = "Left." }
"""

VOCABULARY = """\
[guards]
somebody_waits = { machine = "desk", python = "waits", model = [{ queue = "not_empty" }], \
means = "The queue is not empty." }

[effects]

[conditions]
serves = { machine = "desk", python = "serves", model = [{ link = "desk.errand", \
not_to = "none" }], means = "It serves one." }

[deadlines]
"""

SYSTEM = """\
name = "office"
machines = ["desk", "errand"]
joint = [
  { id = "serve", under = "the clerk", arrows = ["D1", "E1"], why = "Both at once." },
  { id = "finish", under = "the clerk", arrows = ["D2", "E2"], why = "Both at once." },
]
properties = [
  { id = "at_the_desk", kind = "always", equal = [["desk.TAKEN"], ["errand.AT_DESK"]], \
english = "Who is served is at the desk." },
  { id = "shut_serves_none", kind = "never", together = ["desk.SHUT", "errand.AT_DESK"], \
english = "Nobody is served in the dark." },
  { id = "queue_waits", kind = "always", given = [{ queued = "errand" }], \
hold = [{ is = ["errand.WAITING"] }], english = "The queue waits." },
  { id = "in_bounds", kind = "always", hold = [{ queue = "within" }], english = "It is short." },
  { id = "one_hand", kind = "always", one_owner = "errand", english = "One hand at a time." },
  { id = "moves_on", kind = "always", moves = true, english = "Or all are home." },
  { id = "turn_comes", kind = "leads_to", from = "errand.WAITING", to = ["errand.AT_DESK", \
"errand.GONE"], english = "Who waits is served, or leaves." },
  { id = "is_served", kind = "sometimes", arrow = "E2", english = "Somebody is served." },
]

[bounds]
one = { errand = 1, queue = 1, evenings = 1, losses = 0, seats = 0, leads_to = 1 }
two = { errand = 2, queue = 2, evenings = 1, leads_to = 1 }

[pinned]
one = 4
"""

COMPOSITION = """\
single = ["desk"]
queue = "errand"
steps = [
  { id = "come", by = "street", when = [{ is = ["desk.FREE", "desk.TAKEN"] }, \
{ queue = "has_room" }], do = [{ make = "errand" }, { push = "errand" }], awaits = "peer", \
why = "Somebody comes." },
  { id = "serve", by = "clerk", arrows = ["D1", "E1"], do = [{ pop = "errand" }, \
{ set = "desk.errand", to = "errand" }], why = "The first of the queue." },
  { id = "finish", by = "clerk", arrows = ["D2", "E2"], when = [{ link = "desk.errand", \
to = "errand" }], do = [{ clear = "desk.errand" }], why = "It takes what it takes." },
  { id = "leave", by = "street", arrows = ["E3"], when = [{ is_not = ["errand.is_patient"] }], \
do = [{ remove = "errand" }], awaits = "peer", costs = "losses", why = "It cannot wait." },
  { id = "sit", by = "street", when = [{ is = ["errand.WAITING"] }], \
do = [{ mark = "errand.is_patient" }], awaits = "peer", costs = "seats", why = "It can wait." },
  { id = "shut", by = "clerk", arrows = ["D3"], awaits = "operator", costs = "evenings", \
why = "It is evening." },
]

[many]
errand = []

[actors]
clerk = { owner = "main", means = "Who sits there." }
street = { owner = "main", means = "Whoever comes in." }

[links]
"desk.errand" = { to = "errand", means = "Whom it serves." }

[marks]
"errand.is_patient" = "It has sat down."

[rest]
quiet = [{ queue = "empty" }, { is_not = ["desk.TAKEN"] }]
"""

FILES = {
    "desk.toml": DESK,
    "errand.toml": ERRAND,
    "vocabulary.toml": VOCABULARY,
    "system.toml": SYSTEM,
    "composition.toml": COMPOSITION,
}


def write_desk(folder: Path, *edits: Edit) -> Path:
    """The desk's spec with some texts replaced, each of which must be there just once."""
    return write_edited(folder, FILES, edits)


def load_desk(folder: Path, *edits: Edit) -> System:
    return load_system(write_desk(folder, *edits))
