"""Formulas of z3 that are made of many others.

`z3.And` and `z3.Or` look at the sort of each part and cast it to what it is already, which takes
longer than all else. What is joined here are truths of one context.
"""

from __future__ import annotations

from collections.abc import Sequence

import z3


def every_of(parts: Sequence[z3.BoolRef], context: z3.Context) -> z3.BoolRef:
    """All of them: without any, true."""
    if len(parts) == 1:
        return parts[0]
    return z3.BoolRef(z3.Z3_mk_and(context.ref(), len(parts), _array(parts)), context)


def some_of(parts: Sequence[z3.BoolRef], context: z3.Context) -> z3.BoolRef:
    """One of them at least: without any, false."""
    if len(parts) == 1:
        return parts[0]
    return z3.BoolRef(z3.Z3_mk_or(context.ref(), len(parts), _array(parts)), context)


def _array(parts: Sequence[z3.BoolRef]) -> object:
    return (z3.Ast * len(parts))(*[one.as_ast() for one in parts])
