"""Byte ranges: which parts of a representation a Range field asks for (RFC 9110 section 14).

No range costs more than it asks for: ranges that overlap or touch become one, and a set that is
more than a client has use for is answered with the whole (14.2 and 17.15 allow to ignore it).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

PARTS_MAX: Final = 16  # Apache 200, Go unbounded; readers of PDF, who ask for most, ask for a few


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes from `first`: at least one, and all of them within the representation."""

    first: int
    size: int

    def content_range(self, complete_size: int) -> str:
        """The Content-Range of these bytes (RFC 9110 14.4)."""
        return f"bytes {self.first}-{self.first + self.size - 1}/{complete_size}"


class Selection(enum.Enum):
    """What a Range field comes to, where it does not come to spans."""

    WHOLE = "The field is ignored: the answer is what it would be without it."
    NOTHING = "No range-spec is satisfiable (14.1.1): 416."


# RFC 9110 14.1.1: ranges-specifier = range-unit "=" range-set ; range-set = 1#range-spec
# A range unit's name is compared without case (14.1).
_UNIT: Final = re.compile("bytes=", re.IGNORECASE)
# range-spec = int-range / suffix-range / other-range, of which byte ranges are the first two.
# int-range = first-pos "-" [ last-pos ] ; suffix-range = "-" suffix-length, all of them 1*DIGIT
_RANGE_SPEC: Final = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")


def select(value: str, size: int) -> tuple[Span, ...] | Selection:
    """What a Range field's value selects of a representation of `size` bytes, in the order asked.

    1. No set of byte ranges by the grammar, or no bytes to take ranges of: WHOLE (14.2).
    2. None of the ranges overlaps the representation: NOTHING.
    3. Together they ask for more than there is, or for too many parts: WHOLE. Such a set is a
       mistake or an attack, and the whole is the answer that any client understands.
    """
    members = _members(value)
    if members is None or size == 0:
        return Selection.WHOLE
    spans = [span for member in members if (span := _span(member, size)) is not None]
    if not spans:
        return Selection.NOTHING
    if sum(span.size for span in spans) > size:
        return Selection.WHOLE
    spans = _coalesced(spans)
    return tuple(spans) if len(spans) <= PARTS_MAX else Selection.WHOLE


def _members(value: str) -> list[re.Match[str]] | None:
    """The range-specs of a valid ranges-specifier for bytes; None for anything else."""
    unit = _UNIT.match(value)
    if unit is None:
        return None
    members = []
    # 5.6.1.2: a list may have empty members, and whitespace around its commas only.
    for place, member in enumerate(value[unit.end() :].split(",")):
        spec = member.strip(" \t") if place else member.rstrip(" \t")
        if not spec.strip(" \t"):
            continue
        found = _RANGE_SPEC.fullmatch(spec)
        if found is None or _is_backwards(found):
            return None
        members.append(found)
    return members or None


def _is_backwards(found: re.Match[str]) -> bool:
    """An int-range is invalid if its last-pos is less than its first-pos (14.1.1)."""
    if not found[2]:
        return False
    first, last = found[1].lstrip("0"), found[2].lstrip("0")
    return (len(first), first) > (len(last), last)


def _span(found: re.Match[str], size: int) -> Span | None:
    """What a range-spec takes of `size` bytes; None where it is not satisfiable (14.1.2)."""
    if found[3]:
        suffix = _at_most(found[3], size)
        return Span(size - suffix, suffix) if suffix else None
    first = _at_most(found[1], size)
    last = _at_most(found[2], size - 1) if found[2] else size - 1
    return Span(first, last - first + 1) if first < size else None


def _at_most(digits: str, most: int) -> int:
    # 14.1.2 demands to anticipate numerals of any length. `int` raises beyond 4300 digits.
    digits = digits.lstrip("0")
    return min(int(digits or "0"), most) if len(digits) < 20 else most


def _coalesced(spans: list[Span]) -> list[Span]:
    """Ranges that overlap or touch as one, in the place of the first of them (15.3.7.2)."""
    merged: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(spans), key=lambda one: one[1].first):
        if merged and span.first <= merged[-1][1].first + merged[-1][1].size:
            before, last = merged.pop()
            end = max(last.first + last.size, span.first + span.size)
            merged.append((min(before, place), Span(last.first, end - last.first)))
        else:
            merged.append((place, span))
    return [span for _, span in sorted(merged, key=lambda one: one[0])]
