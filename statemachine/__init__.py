"""State machines from a declarative spec: loaded, checked, sealed, drawn.

This package knows no HTTP, no sockets and no threads. `load_system` reads `spec/`, `check` lints
it, and `tables` has what both came to before. A `Binder` turns a generated class into one whose
events are real `transitions` machines, sealed or stock.
"""

import importlib
from typing import TYPE_CHECKING

from statemachine.errors import (
    GuardRefused,
    IllegalEvent,
    SealError,
    SpecError,
    StateMachineError,
    TransitionError,
    Unbound,
)
from statemachine.machine import Binder, Engine, Hook
from statemachine.model import Arrow, MachineSpec, Model, State, System
from statemachine.model import Ledger as LedgerSpec
from statemachine.tables import spec_folder, tables

if TYPE_CHECKING:
    from statemachine.checks import Finding, check
    from statemachine.loader import load_machine, load_system

__all__ = [
    "Arrow",
    "Binder",
    "Engine",
    "Finding",
    "GuardRefused",
    "Hook",
    "IllegalEvent",
    "LedgerSpec",
    "MachineSpec",
    "Model",
    "SealError",
    "SpecError",
    "State",
    "StateMachineError",
    "System",
    "TransitionError",
    "Unbound",
    "check",
    "load_machine",
    "load_system",
    "spec_folder",
    "tables",
]

if not TYPE_CHECKING:
    _LATE = {
        **dict.fromkeys(("Finding", "check"), "statemachine.checks"),
        **dict.fromkeys(("load_machine", "load_system"), "statemachine.loader"),
    }

    def __getattr__(name: str) -> object:
        # Who finds the tables of its spec neither reads it anew nor checks it.
        if name in _LATE:
            return getattr(importlib.import_module(_LATE[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
