"""A small sound spec for tests to break: a lamp, and the hand that switches it."""

from __future__ import annotations

from pathlib import Path

from statemachine import System, load_system
from tests.spec.edits import Edit, write_edited

LAMP = """\
# A lamp.
#
#   DARK --switched--> LIT --fell--> BROKEN
#     \\--switched/no power------------^

name = "lamp"
means = "A lamp, lit or not."
initial = "DARK"
final = ["BROKEN"]
driven_by = "main"
transitions = [
  { id = "T1", from = "DARK", on = "switched", to = "LIT", when = "has_power", \
do = "glow", sync = "press", why = "There is power." },
  { id = "T2", from = "DARK", on = "switched", to = "BROKEN", unless = "has_power", why = "None." },
  { id = "T3", from = "LIT", on = "fell", to = "BROKEN", environment = true, why = "It fell." },
]

[states]
DARK = { means = "No light.", owner = "main" }
LIT = { means = "Light.", owner = "main", waits_for = "peer", \
deadline = "lit_seconds_max", then = "fell", requires = "is_warm" }
BROKEN = { means = "No light ever again.", forbids = "is_warm" }
"""

HAND = """\
name = "hand"
means = "A hand at the switch."
initial = "RESTING"
final = ["DONE"]
driven_by = "owner"
transitions = [
  { id = "H1", from = "RESTING", on = "pressed", to = "DONE", sync = "press", why = "It pressed." },
]

[states]
RESTING = { means = "Not on the switch.", owner = "main" }
DONE = { means = "It has pressed." }
"""

VOCABULARY = """\
[guards]
has_power = { machine = "lamp", python = "has_power", means = "There is power." }

[effects]
glow = { machine = "lamp", python = "glow", means = "Begin to glow." }

[conditions]
is_warm = { machine = "lamp", python = "is_warm", means = "The lamp is warm." }

[deadlines]
lit_seconds_max = { means = "From the switch to the fall." }
"""

SYSTEM = """\
name = "room"
machines = ["lamp", "hand"]
joint = [
  { id = "press", under = "the hand", arrows = ["T1", "H1"], why = "One press, one light." },
]
properties = [
  { id = "pressed", kind = "always", equal = [["lamp.LIT"], ["hand.DONE"]], \
english = "Lit by hand." },
  { id = "apart", kind = "never", together = ["lamp.BROKEN", "hand.RESTING"], english = "Not so." },
  { id = "ends", kind = "leads_to", from = "lamp.LIT", to = ["lamp.BROKEN"], \
english = "It falls." },
  { id = "shines", kind = "sometimes", arrow = "T1", english = "It is lit in some run." },
]

[bounds]
quick = { lamp = 1, hand = 2 }
"""

LEDGER = """\
[ledger]
machine = "lamp"
open = ["LIT"]
accepted = ["T1"]

[ledger.settled]
fallen = ["T3"]
"""
"""A sound one, for the system: what was lit has fallen, or is still lit."""

FILES = {
    "lamp.toml": LAMP,
    "hand.toml": HAND,
    "vocabulary.toml": VOCABULARY,
    "system.toml": SYSTEM,
}


def write_lamp(folder: Path, *edits: Edit) -> Path:
    """The lamp's spec with some texts replaced, each of which must be there just once."""
    return write_edited(folder, FILES, edits)


def load_lamp(folder: Path, *edits: Edit) -> System:
    return load_system(write_lamp(folder, *edits))
