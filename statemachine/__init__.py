"""State machines from a declarative spec: loaded, checked, sealed, drawn.

This package knows no HTTP, no sockets and no threads. `load_system` reads `spec/`, `check` lints
it, a `Binder` turns a generated class into one whose events are real `transitions` machines, sealed
or stock.
"""

from statemachine.checks import Finding, check
from statemachine.errors import (
    GuardRefused,
    IllegalEvent,
    SealError,
    SpecError,
    StateMachineError,
    TransitionError,
    Unbound,
)
from statemachine.loader import load_machine, load_system, spec_folder
from statemachine.machine import Binder, Engine, Hook
from statemachine.model import Arrow, MachineSpec, Model, State, System
from statemachine.model import Ledger as LedgerSpec

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
]
