"""Conditional requests: whether what the client has is what we would send (RFC 9110 section 13).

The conditions are evaluated for a GET or HEAD whose answer would be 200, and for nothing else
(13.2.1). `evaluate` follows the numbered steps of 13.2.2 up to the fifth, which is If-Range's.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from server.clock import DAYS, MONTHS
from server.http1.messages import Fields


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one representation from another (RFC 9110 8.8).

    `etag` is a whole entity tag, with its quotes; `modified` the Last-Modified date, POSIX seconds.
    """

    etag: str
    modified: int


def evaluate(fields: Fields, have: Validators, *, now: float) -> Literal[200, 304, 412]:
    """The status that the preconditions of a GET or HEAD lead to. `now` is in POSIX seconds."""
    # 1. and 2. A condition is false: 412.
    if match := fields.all("if-match"):
        if not _lists(match, have.etag, weakly=False):
            return 412
    else:
        date = _only_date(fields.all("if-unmodified-since"), now)
        if date is not None and have.modified > date:
            return 412
    # 3. and 4. The client has it already: 304. If-Modified-Since counts without If-None-Match only.
    if none_match := fields.all("if-none-match"):
        return 304 if _lists(none_match, have.etag, weakly=True) else 200
    date = _only_date(fields.all("if-modified-since"), now)
    return 304 if date is not None and have.modified <= date else 200


def range_counts(fields: Fields, have: Validators, *, now: float) -> bool:
    """Whether If-Range lets a Range field count (13.1.5): it is not there, or its one validator is
    that of what we have, by the strong comparison.
    """
    values = fields.all("if-range")
    if not values:
        return True
    if '"' in values[0][:3]:  # 13.1.5: how a recipient tells an entity tag from a date
        return len(values) == 1 and not have.etag.startswith("W/") and values[0] == have.etag
    # A date is as strong as our own tag: while the file may change within the second (8.8.2.2), we
    # cannot know that it did not, and the client is to get the whole.
    date = _only_date(values, now)
    return date == have.modified and not have.etag.startswith("W/")


# RFC 9110 8.8.3: entity-tag = [ weak ] opaque-tag ; opaque-tag = DQUOTE *etagc DQUOTE
#                 etagc = %x21 / %x23-7E / obs-text. A comma is an etagc: lists are not split at it.
_TAG: Final = re.compile(r'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)')
_LIST_END: Final = re.compile(r"[ \t,]*\Z")


def _lists(values: list[str], etag: str, *, weakly: bool) -> bool:
    """Whether the field lists `etag`, by the weak or the strong comparison of RFC 9110 8.8.3.2.

    `*` lists whatever exists. A malformed list lists nothing.
    """
    text = ", ".join(values)
    if text.strip(" \t") == "*":
        return True
    tags = list(_tags(text))
    if None in tags:
        return False
    if weakly:
        return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags if tag}
    return not etag.startswith("W/") and etag in tags


def _tags(text: str) -> Iterator[str | None]:
    at = 0
    while found := _TAG.match(text, at):
        yield found[1]
        at = found.end()
    if not _LIST_END.match(text, at):
        yield None


# RFC 9110 5.6.7: HTTP-date = IMF-fixdate / obs-date, of which a recipient accepts all three forms.
_TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DAY: Final = f"(?:{'|'.join(DAYS)})"
_MONTH: Final = f"(?P<month>{'|'.join(MONTHS)})"
_LONG_DAY: Final = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_FORMS: Final = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"{_DAY} {_MONTH} (?P<day>\d\d| \d) {_TIME} (?P<year>\d{{4}})",
    )
)


def parse_http_date(text: str, *, now: float) -> int | None:
    """The POSIX seconds of an HTTP-date, or None where `text` is none (RFC 9110 5.6.7).

    `now`, in POSIX seconds, says which century a year of two digits is in.
    """
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if found is None:
        return None
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    if hour > 23 or minute > 59 or second > 60:  # 60 is a leap second
        return None
    month, day, year = MONTHS.index(found["month"]) + 1, int(found["day"]), int(found["year"])
    if len(found["year"]) == 2:
        year = _year_in_full(year, month, day, now)
    try:
        date = dt.date(year, month, day)
    except ValueError:
        return None
    days = date.toordinal() - dt.date(1970, 1, 1).toordinal()
    return days * 86_400 + hour * 3600 + minute * 60 + second


def _year_in_full(two_digits: int, month: int, day: int, now: float) -> int:
    # RFC 9110 5.6.7: what appears to be more than 50 years in the future is the most recent year
    # in the past with these last two digits.
    today = time.gmtime(now)
    year = today.tm_year - today.tm_year % 100 + 100 + two_digits
    while (year, month, day) > (today.tm_year + 50, today.tm_mon, today.tm_mday):
        year -= 100
    return year


def _only_date(values: list[str], now: float) -> int | None:
    """The field's date; None, so that it is ignored, where it is absent, a list, or no date."""
    return parse_http_date(values[0], now=now) if len(values) == 1 else None
