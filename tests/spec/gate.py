"""A tiny composed spec: a gate, and any number of guests who pass it while it is open."""

from __future__ import annotations

from pathlib import Path

from statemachine import System, load_system

GATE = """\
name = "gate"
means = "A gate."
initial = "OPEN"
final = ["SHUT"]
driven_by = "main"
transitions = [
  { id = "G1", from = "OPEN", on = "closed", to = "SHUT", sync = "close", why = "It is late." },
]

[states]
OPEN = { means = "Who is let in may go in.", owner = "main" }
SHUT = { means = "Nobody goes in." }
"""

GUEST = """\
name = "guest"
means = "Somebody who goes in, and out again."
initial = "WAITING"
final = ["GONE"]
driven_by = "main"
transitions = [
  { id = "U1", from = "WAITING", on = "entered", to = "INSIDE", why = "The gate is open." },
  { id = "U2", from = "INSIDE", on = "left", to = "GONE", why = "It has seen everything." },
  { id = "U3", from = "WAITING", on = "sent_away", to = "GONE", sync = "close", \
why = "It is late." },
]

[states]
WAITING = { means = "In front of the gate.", owner = "main" }
INSIDE = { means = "Behind it.", owner = "main" }
GONE = { means = "Nobody knows where." }
"""

VOCABULARY = """\
[guards]

[effects]

[conditions]

[deadlines]
"""

SYSTEM = """\
name = "garden"
machines = ["gate", "guest"]
joint = [
  { id = "close", under = "the keeper", arrows = ["G1", "U3"], why = "Somebody comes too late." },
]
properties = [
  { id = "shut_is_empty", kind = "never", together = ["gate.SHUT", "guest.INSIDE"], \
english = "Nobody is shut in." },
  { id = "quiet", kind = "always", hold = [{ is_not = ["gate.alarm"] }], \
english = "The alarm is never heard." },
  { id = "counted", kind = "always", hold = [{ ledger = "balances" }], \
english = "Who went in is inside, or has left." },
]

[ledger]
machine = "guest"
open = ["INSIDE"]
accepted = ["U1"]

[ledger.settled]
left = ["U2"]

[bounds]
quick = { gate = 1, guest = 2 }
"""

COMPOSITION = """\
single = ["gate"]
queue = "guest"

steps = [
  { id = "arrive", by = "keeper", do = [{ make = "guest" }], awaits = "peer", why = "Comes." },
  { id = "stamp", by = "keeper", when = [{ is = ["guest.WAITING"] }], \
do = [{ mark = "guest.stamped" }], why = "It has paid." },
  { id = "enter", by = "keeper", arrows = ["U1"], \
when = [{ is = ["gate.OPEN"] }, { is = ["guest.stamped"] }], why = "It may." },
  { id = "leave", by = "keeper", arrows = ["U2"], awaits = "peer", why = "It likes to." },
  { id = "sound", by = "keeper", when = [{ is = ["guest.INSIDE"] }, \
{ is_not = ["guest.stamped"] }], do = [{ mark = "gate.alarm" }], why = "It has not paid." },
  { id = "close", by = "keeper", arrows = ["G1", "U3"], when = [{ nobody = ["guest.INSIDE"] }], \
why = "It is late." },
]

[many]
guest = []

[actors]
keeper = { owner = "main", means = "Who keeps the gate." }

[marks]
"guest.stamped" = "It has paid."
"gate.alarm" = "It is heard."

[rest]
late = [{ is = ["gate.SHUT"] }]
"""

PAID = """\
invariants = [
  { id = "inside_has_paid", given = [{ is = ["guest.INSIDE"] }], \
hold = [{ is = ["guest.stamped"] }], english = "Who is inside has paid." },
]
"""
"""What must be known for `quiet` to follow."""

Edit = tuple[str, str, str]


def load_garden(folder: Path, *edits: Edit, invariants: str | None = PAID) -> System:
    """The garden with some texts replaced, each of which must be there just once."""
    files = {
        "gate.toml": GATE,
        "guest.toml": GUEST,
        "vocabulary.toml": VOCABULARY,
        "system.toml": SYSTEM,
        "composition.toml": COMPOSITION,
    }
    if invariants is not None:
        files["invariants.toml"] = invariants
    for file, old, new in edits:
        assert files[file].count(old) == 1, f"{old!r} is {files[file].count(old)} times in {file}"
        files[file] = files[file].replace(old, new)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return load_system(folder)
