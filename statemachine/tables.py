"""The spec's tables, as they were when its classes were generated: a start need not work them out.

`python -m statemachine generate`, which takes no spec with findings, writes them beside the
classes, with the size and the checksum of each file that they come from. A process that finds
these files in its spec folder has its machines without reading TOML, and without checking what has
been checked. Where a byte differs there are no tables: then the spec is loaded and checked.

Left out is what is for a composed model or a reader alone: the composition, its bounds, what words
mean in it, and every property that is not held against objects which live.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from statemachine.model import (
    Arrow,
    Equal,
    Joint,
    Ledger,
    MachineSpec,
    NeverTogether,
    Place,
    State,
    System,
    Vocabulary,
    Word,
)

FOLDER: Final = Path(__file__).parent / "_generated"
NAME: Final = "tables.json"


def spec_folder() -> Path:
    """The folder with the spec that belongs to this code.

    In the wheel it is beside this file, in a checkout at the top. The environment's INTERLOCK_SPEC
    names another one: for tests, and for who tries a change of the spec before making it.
    """
    other = os.environ.get("INTERLOCK_SPEC")
    if other:
        return Path(other)
    installed = Path(__file__).parent / "_spec"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "spec"


def source_of(folder: Path) -> dict[str, str]:
    """The size and the checksum of each of a folder's TOML files, by name. Raises OSError.

    A checksum will do: it is for who forgets to generate, not for who could write the tables, too.
    """
    found = {}
    for file in sorted(folder.glob("*.toml")):
        content = file.read_bytes()
        found[file.name] = f"{len(content)} {zlib.crc32(content):08x}"
    return found


def said_of(system: System, source: Mapping[str, str], digest: str) -> dict[str, object]:
    """What is written of a system, as JSON has it: `tables` reads it."""
    words = system.vocabulary
    kinds = {"guards": words.guards, "effects": words.effects, "conditions": words.conditions}
    return {
        "source": dict(source),
        "digest": digest,
        "name": system.name,
        "machines": {
            name: {**one._asdict(), "arrows": list(one.arrows), "states": list(one.states.values())}
            for name, one in system.machines.items()
        },
        "words": {
            kind: [one._replace(conditions=(), effects=()) for one in known.values()]
            for kind, known in kinds.items()
        },
        "deadlines": dict(words.deadlines),
        "rates": dict(words.rates),
        "joints": list(system.joints),
        "equal": [one for one in system.properties if isinstance(one, Equal)],
        "never": [one for one in system.properties if isinstance(one, NeverTogether)],
        "ledger": system.ledger and list(system.ledger),
    }


def tables(folder: Path | None = None, generated: Path = FOLDER) -> System | None:
    """The system of a spec folder, unless other files than the folder's were generated from.

    It is sound, and lacks what was left out.
    """
    root = spec_folder() if folder is None else folder
    try:
        said = json.loads((generated / NAME).read_bytes())
        if said["source"] != source_of(root):
            return None
    except (OSError, ValueError):
        return None
    machines = {
        name: MachineSpec(
            **{
                **one,
                "final": tuple(one["final"]),
                "arrows": tuple(Arrow(*row) for row in one["arrows"]),
                "states": {row[0]: State(*row) for row in one["states"]},
            }
        )
        for name, one in said["machines"].items()
    }
    words = {
        kind: {
            name: Word(name, machine, method, means, free=free)
            for name, machine, method, means, _, _, free in rows
        }
        for kind, rows in said["words"].items()
    }
    equal = [Equal(name, text, _places(a), _places(b)) for name, text, a, b in said["equal"]]
    never = [NeverTogether(name, text, _places(all_)) for name, text, all_ in said["never"]]
    joints = [Joint(name, under, _lists(some), why) for name, under, some, why in said["joints"]]
    return System(
        name=said["name"],
        folder=str(root),
        machines=machines,
        vocabulary=Vocabulary(**words, deadlines=said["deadlines"], rates=said["rates"]),
        joints=tuple(joints),
        properties=(*equal, *never),
        bounds={},
        ledger=said["ledger"] and _ledger(*said["ledger"]),
        known_digest=said["digest"],
    )


def _places(rows: list[list[str]]) -> tuple[Place, ...]:
    return tuple(Place(*row) for row in rows)


def _lists(rows: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _ledger(
    machine: str, states: list[str], accepted: list[str], settled: dict[str, list[str]]
) -> Ledger:
    terms = {term: tuple(arrows) for term, arrows in settled.items()}
    return Ledger(machine, tuple(states), tuple(accepted), terms)
