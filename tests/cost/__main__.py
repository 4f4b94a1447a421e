"""Measures all scenes and pins what they cost on this Python: `python -m tests.cost`."""

from __future__ import annotations

from tests.cost.measure import SCENES, version
from tests.cost.pins import PLACE, moved, read, written

if __name__ == "__main__":
    pins = read() if PLACE.exists() else {}
    before = pins.get(version(), {})
    after = {name: scene() for name, scene in SCENES.items()}
    for name, cost in after.items():
        for line in moved(cost, before.get(name, {})):
            print(f"{name}: {line}")
    PLACE.write_text(written({**pins, version(): after}), encoding="utf-8")
