"""Whether a class has its spec's states, answers its words, and leaves the events to the binder."""

from __future__ import annotations

from collections.abc import Iterable

from statemachine.errors import SealError, SpecError, listed
from statemachine.model import MachineSpec, Model, System


def require_words(spec: MachineSpec, model: type[Model], named: Iterable[str]) -> None:
    """Raises SealError for a guard or effect that the class lacks, or an event that it has.

    `named` are the methods that the machine's callbacks name.
    """
    declared = next((c for c in model.__mro__ if "declared_by_spec" in vars(c)), Model)
    names: set[str] = set(getattr(declared, "declared_by_spec", ()))
    for name in sorted(names.union(named)):
        if not callable(getattr(model, name, None)):
            raise SealError(
                f"{spec.name}: {model.__name__} has no method {name}, which the spec names"
            )
        if getattr(model, name) is vars(declared).get(name):
            raise SealError(f"{spec.name}: {model.__name__} inherits {name} and does not answer it")
    generated = next((c for c in model.__mro__ if "machine_name" in vars(c)), Model)
    for name in spec.events:
        if getattr(model, name, None) is not vars(generated).get(name):
            raise SealError(
                f"{spec.name}: {model.__name__} has a method {name} of its own, which is an event"
            )


def fitting(system: System, model: type[Model]) -> MachineSpec:
    """The class's machine. Raises SpecError if the class was generated from another spec."""
    name, told = model.machine_name, "run `python -m statemachine generate`"
    if name not in system.machines:
        raise SpecError("system.toml", "machines", f"lacks '{name}', expected as the code has it")
    spec, known = system.machines[name], {state.name for state in model.State}
    for state in spec.states:
        if state not in known:
            expected = f"expected those of the code, {listed(known)}: {told}"
            raise SpecError(spec.file, f"state {state}", f"is one that the code lacks, {expected}")
    if missing := known - spec.states.keys():
        expected = f"expected as the code has them: {told}"
        raise SpecError(spec.file, "table states", f"lacks {listed(missing)}, {expected}")
    return spec
