"""Preconditions by the letter of RFC 9110 section 13, and the validators they are about."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.conditional import Validators, evaluate, parse_http_date
from server.app.dispatch import make_app
from server.app.folder import OpenFile
from server.app.representation import Representation, validators
from server.clock import imf_fixdate
from server.config import Config
from server.http1.messages import Field, Fields, Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]
NOW = 784_111_777  # Sun, 06 Nov 1994 08:49:37 GMT
STRONG = Validators('"a,b"', NOW - 100)
WEAK = Validators('W/"a,b"', NOW - 100)
EARLIER, SAME, LATER = (imf_fixdate(NOW + offset).decode() for offset in (-101, -100, -99))


def status(have: Validators, *fields: Field) -> int:
    return evaluate(Fields(fields), have, now=NOW)


@pytest.mark.rfc("9110-13.1.1")
@pytest.mark.parametrize(
    ("value", "strong", "weak"),
    [
        ('"a,b"', 200, 412),
        ("*", 200, 200),
        (' "x" ,, "a,b",', 200, 412),
        ('W/"a,b"', 412, 412),  # the strong comparison: a weak tag equals none
        ('"x"', 412, 412),
        ("", 412, 412),
        ('"a,b', 412, 412),
        ('"a,b" "x"', 412, 412),
        ('"x", *', 412, 412),
    ],
)
def test_if_match(value: str, strong: int, weak: int) -> None:
    assert status(STRONG, ("If-Match", value)) == strong
    assert status(WEAK, ("If-Match", value)) == weak


@pytest.mark.rfc("9110-13.1.2")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a,b"', 304),
        ('W/"a,b"', 304),  # the weak comparison
        ("*", 304),
        ('"x","a,b"', 304),
        ('"x", "y"', 200),
        ('w/"a,b"', 200),  # W is case-sensitive
        ("a,b", 200),
        ('"a,b', 200),
        ('"a,b" x', 200),
    ],
)
def test_if_none_match(value: str, expected: int) -> None:
    assert status(STRONG, ("if-none-match", value)) == expected
    assert status(WEAK, ("IF-NONE-MATCH", value)) == expected


def test_a_tag_may_stand_on_the_second_line() -> None:
    assert status(STRONG, ("If-None-Match", '"x"'), ("If-None-Match", '"a,b"')) == 304


@pytest.mark.rfc("9110-13.1.3")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (EARLIER, 200),
        (SAME, 304),
        (LATER, 304),
        ("yesterday", 200),
        (f"{LATER}, {LATER}", 200),
        ("", 200),
    ],
)
def test_if_modified_since(value: str, expected: int) -> None:
    assert status(STRONG, ("If-Modified-Since", value)) == expected


@pytest.mark.rfc("9110-13.1.4")
@pytest.mark.parametrize(
    ("value", "expected"), [(EARLIER, 412), (SAME, 200), (LATER, 200), ("yesterday", 200)]
)
def test_if_unmodified_since(value: str, expected: int) -> None:
    assert status(STRONG, ("If-Unmodified-Since", value)) == expected


def test_a_date_twice_is_ignored() -> None:
    assert status(STRONG, *[("If-Modified-Since", LATER)] * 2) == 200
    assert status(STRONG, *[("If-Unmodified-Since", EARLIER)] * 2) == 200


@pytest.mark.rfc("9110-13.2.2")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # If-Unmodified-Since is ignored beside If-Match, If-Modified-Since beside If-None-Match.
        ([("If-Match", "*"), ("If-Unmodified-Since", EARLIER)], 200),
        ([("If-None-Match", '"x"'), ("If-Modified-Since", LATER)], 200),
        ([("If-None-Match", "malformed"), ("If-Modified-Since", LATER)], 200),
        # The first pair comes first.
        ([("If-None-Match", "*"), ("If-Match", '"x"')], 412),
        ([("If-None-Match", "*"), ("If-Match", "*")], 304),
        ([("If-Modified-Since", LATER), ("If-Unmodified-Since", EARLIER)], 412),
        ([("If-Range", '"x"')], 200),
        ([], 200),
    ],
)
def test_precedence(fields: list[Field], expected: int) -> None:
    assert status(STRONG, *fields) == expected


@pytest.mark.rfc("9110-5.6.7")
@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_dates_of_the_rfc(text: str) -> None:
    assert parse_http_date(text, now=NOW) == NOW


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("Sunday, 06-Nov-44 08:49:37 GMT", 2044),  # 50 years ahead to the day
        ("Monday, 07-Nov-44 08:49:37 GMT", 1944),  # more
        ("Sunday, 06-Nov-94 08:49:37 GMT", 1994),
        ("Sunday, 06-Nov-00 08:49:37 GMT", 2000),
    ],
)
def test_a_year_of_two_digits(text: str, year: int) -> None:
    read = parse_http_date(text, now=NOW)
    assert read is not None
    assert imf_fixdate(read).split()[3] == b"%d" % year


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "784111777",
        "",
    ],
)
def test_no_dates(text: str) -> None:
    assert parse_http_date(text, now=NOW) is None


def test_a_leap_second() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", now=NOW) == 1_483_228_800


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_what_we_write_we_read(second: int) -> None:
    assert parse_http_date(imf_fixdate(second).decode(), now=NOW) == second


@given(st.lists(st.sampled_from(['"', "a", ",", " ", "W/", "*", '"a,b"', "\xff"]), max_size=12))
def test_any_list_is_read(pieces: list[str]) -> None:
    value = "".join(pieces)
    assert status(STRONG, ("If-Match", value)) in {200, 412}
    assert status(STRONG, ("If-None-Match", value)) in {200, 304}


def test_a_long_hostile_list_costs_little() -> None:
    assert status(STRONG, *[("If-None-Match", "," * 8000 + '"' + " \t" * 40)] * 8) == 200


@pytest.mark.rfc("9110-8.8.1")
@pytest.mark.parametrize(
    ("age_seconds", "weak"), [(0, True), (1.9, True), (2.1, False), (1e6, False), (-50, True)]
)
def test_a_young_files_tag_is_weak(age_seconds: float, weak: bool) -> None:
    file = OpenFile(-1, 5, int((NOW - age_seconds) * 1e9))
    assert validators(Representation(file, "text/plain"), now=NOW).etag.startswith("W/") is weak


@pytest.mark.rfc("9110-8.8.2.1")
def test_a_date_in_the_future_is_not_told() -> None:
    file = OpenFile(-1, 5, (NOW + 999) * 10**9)
    assert validators(Representation(file, "text/plain"), now=NOW).modified == NOW


@pytest.fixture
def app(tmp_path: Path) -> App:
    for name, size in (("index.html", 10), ("large.bin", 100_000)):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (NOW - 100, NOW - 100))
    return make_app(Config(root=tmp_path), ManualClock(wall=NOW))


@pytest.mark.parametrize("target", ["/", "/index.html", "/large.bin"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.rfc("9110-15.4.5")
def test_not_modified(app: App, target: str, method: str) -> None:
    before = descriptors()
    first = app(request(target, method=method))
    etag, modified = field(first, "etag"), field(first, "last-modified")
    content_of(first)
    assert (first.status, modified) == (200, SAME)
    assert etag is not None
    again = app(request(target, ("If-None-Match", etag), method=method))
    assert (again.status, again.content, again.fields) == (304, b"", (("ETag", etag),))
    assert app(request(target, ("If-Modified-Since", SAME))).status == 304
    assert app(request(target, ("If-Match", '"other"'))).status == 412
    assert descriptors() == before


def test_a_change_changes_the_tag(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(b"x" * 10)
    app = make_app(Config(root=tmp_path, static_cache_seconds_max=0), ManualClock(wall=NOW))
    tags = {field(app(request("/")), "etag")}
    (tmp_path / "index.html").write_bytes(b"y" * 10)
    os.utime(tmp_path / "index.html", ns=(0, (NOW - 100) * 10**9 + 1))
    tags.add(field(app(request("/")), "etag"))
    (tmp_path / "index.html").write_bytes(b"y" * 11)
    os.utime(tmp_path / "index.html", ns=(0, (NOW - 100) * 10**9 + 1))
    tags.add(field(app(request("/")), "etag"))
    assert len(tags) == 3


@pytest.mark.rfc("9110-13.2.1")
def test_preconditions_count_for_200_only(app: App) -> None:
    for target, expected in (("/nope", 404), ("/%zz", 400)):
        assert app(request(target, ("If-None-Match", "*"))).status == expected
    assert app(request("/", ("If-None-Match", "*"), method="OPTIONS")).status == 204
    assert app(request("/", ("If-Match", '"x"'), method="POST")).status == 405
