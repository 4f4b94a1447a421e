"""The corpus: what is on the wire beside what it means, whole and in every pair of pieces.

tests/corpus/README.md says how a file and its expectation look.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Config
from server.http1.events import ENDED_BETWEEN, ENDED_WITHIN
from server.http1.head import KEPT_BYTES_MAX, KEPT_HEADS_MAX, kept_heads
from server.http1.messages import Field, Fields, RequestHead
from statemachine._generated import RequestState
from tests.http1.talk import ENGINES_HERE, SMALL, Bound, Told, bound_to, read, split_at

CORPUS = Path(__file__).parent.parent / "corpus"

Json = dict[str, object]


@dataclass(frozen=True)
class Case:
    name: str
    wire: bytes
    expected: Json


def cases(kind: str) -> list[Case]:
    return [
        Case(
            f"{kind}/{path.stem}",
            path.read_bytes(),
            json.loads(path.with_suffix(".json").read_text()),
        )
        for path in sorted((CORPUS / kind).glob("*.http"))
    ]


VALID, INVALID = cases("valid"), cases("invalid")
BOTH = VALID + INVALID


def params(some: list[Case]) -> list[object]:
    return [
        pytest.param(one, id=one.name, marks=pytest.mark.rfc(one.expected["rfc"])) for one in some
    ]


def told(expected: Json) -> Told:
    """A request of an expectation file; what it leaves out is as most requests have it."""
    target = cast("str", expected["target"])
    head = RequestHead(
        method=cast("str", expected["method"]),
        target=target,
        path=cast("str", expected.get("path", target)),
        query=cast("str", expected.get("query", "")),
        authority=cast("str", expected.get("authority", "a")),
        minor=cast("int", expected.get("minor", 1)),
        fields=fields(expected["fields"]),
        content_length=cast("int | None", expected.get("content_length")),
        chunked=cast("bool", expected.get("chunked", False)),
        persists=cast("bool", expected.get("persists", True)),
        expects_continue=cast("bool", expected.get("expects_continue", False)),
    )
    content = cast("str", expected.get("content", "")).encode("latin-1")
    whole = cast("bool", expected.get("whole", True))
    return Told(head, content, fields(expected.get("trailers", [])), whole)


def fields(lines: object) -> Fields:
    return Fields(tuple(cast("Field", tuple(line)) for line in cast("list[list[str]]", lines)))


def test_the_corpus_is_all_there() -> None:
    for kind, least in (("valid", 60), ("invalid", 120)):
        wires = {path.stem for path in (CORPUS / kind).glob("*.http")}
        expectations = {path.stem for path in (CORPUS / kind).glob("*.json")}
        assert wires == expectations
        assert len(wires) >= least
    assert all(one.expected["why"] for one in BOTH)


@pytest.mark.parametrize("case", params(VALID))
def test_valid(case: Case, bound: Bound) -> None:
    outcome = read([case.wire], bound=bound)
    assert outcome.message == ""
    assert outcome.requests == [told(one) for one in cast("list[Json]", case.expected["requests"])]
    within = case.expected.get("end", "between") == "within"
    assert outcome.ended == (ENDED_WITHIN if within else ENDED_BETWEEN)
    assert outcome.state is (RequestState.INCOMPLETE if within else RequestState.ENDED)


@pytest.mark.parametrize("case", params(INVALID))
def test_invalid(case: Case, bound: Bound) -> None:
    outcome = read([case.wire], bound=bound)
    assert (outcome.status, outcome.state) == (case.expected["status"], RequestState.REFUSED)
    assert cast("str", case.expected["message"]) in outcome.message
    assert outcome.message.isprintable()


@pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in BOTH])
def test_every_split_makes_no_difference(case: Case, bound: Bound) -> None:
    whole = read([case.wire], bound=bound).without_message()
    for cut in range(1, len(case.wire)):
        pieces = split_at(case.wire, [cut])
        assert read(pieces, bound=bound).without_message() == whole, f"split at {cut}"


@pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in BOTH])
def test_byte_by_byte_makes_no_difference(case: Case, bound: Bound) -> None:
    whole = read([case.wire], bound=bound).without_message()
    assert (
        read(split_at(case.wire, range(1, len(case.wire))), bound=bound).without_message() == whole
    )


def test_a_head_that_is_taken_whole_makes_no_difference(bound: Bound) -> None:
    taken = 0
    for case in BOTH:
        for pieces in ([case.wire], *(split_at(case.wire, cuts(case.wire)) for cuts in CUTS)):
            outcome = read(pieces, bound=bound)
            assert outcome == read(pieces, bound=bound, shortcut=False), case.name
            taken += outcome.taken_whole
    assert taken >= 150  # else little was compared


def head_ends(wire: bytes) -> list[int]:
    return [one.end() for one in re.finditer(rb"\r\n\r\n", wire)]


def request_starts(wire: bytes) -> list[int]:
    return [one.start() for one in re.finditer(rb"[A-Z]{3,16} [!-~]+ HTTP/1", wire)]


CUTS = (head_ends, request_starts)
"""Where requests are cut: each head by itself, and each whole request."""


def test_heads_that_are_kept_make_no_difference(bound: Bound) -> None:
    kept = kept_heads(SMALL)
    for _ in range(2):  # the second time, what can be kept is
        for case in BOTH:
            assert read([case.wire], bound=bound, whole_head=kept) == read([case.wire], bound=bound)


def test_what_is_kept_is_shared_and_bounded(bound: Bound) -> None:
    kept = kept_heads(Config())

    def head_of(wire: bytes) -> RequestHead:
        return read([wire], bound=bound, config=Config(), whole_head=kept).requests[0].head

    wire = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    first = head_of(wire % 0)
    assert head_of(wire % 0) is first
    assert first.notes == {}
    for number in range(1, KEPT_HEADS_MAX + 1):
        head_of(wire % number)
    assert head_of(wire % 0) is not first
    assert head_of(wire % 1).fields is head_of(wire % 2).fields
    # What is none takes nobody's place.
    known = head_of(wire % 1)
    for number in range(2 * KEPT_HEADS_MAX):
        for bad in (b"%d", b"GET /%d HTTP/1.1\r\nHost a\r\n\r\n", b"GE T /%d HTTP/1.1\r\n\r\n"):
            assert kept(bad % number) is None
    assert head_of(wire % 1) is known
    long = wire.replace(b"a\r", b"a\r\nX: %b\r" % (b"x" * KEPT_BYTES_MAX)) % 0
    assert head_of(long) is not head_of(long)
    assert head_of(long).notes is None


def test_what_is_kept_of_a_section_is_for_its_version_alone(bound: Bound) -> None:
    """The same section, without a Host: HTTP/1.0 may, HTTP/1.1 may not."""
    kept = kept_heads(SMALL)
    for minor, status in (0, None), (1, 400), (0, None):
        wire = b"GET / HTTP/1.%d\r\nX: y\r\n\r\n" % minor
        assert read([wire], bound=bound, whole_head=kept).status == status
    for method, status in (b"GET", None), (b"POST", 411), (b"HEAD", None):
        wire = method + b" / HTTP/1.0\r\nX: y\r\n\r\n"
        assert read([wire], bound=bound, whole_head=kept).status == status


@given(st.data())
def test_any_split_makes_no_difference(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(BOTH))
    cuts = data.draw(st.lists(st.integers(0, len(case.wire))))
    bound = bound_to(data.draw(st.sampled_from(ENGINES_HERE)))
    whole = read([case.wire], bound=bound).without_message()
    assert read(split_at(case.wire, cuts), bound=bound).without_message() == whole


@given(st.data())
def test_a_spoilt_byte_makes_no_difference_to_that(data: st.DataObject) -> None:
    """Near misses: a file of the corpus with one byte changed, dropped or doubled, whole and
    split.
    """
    wire = bytearray(data.draw(st.sampled_from([one.wire for one in BOTH if one.wire])))
    place = data.draw(st.integers(0, len(wire) - 1))
    put = data.draw(st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b":", b"0", b"\xff", b"\r\n"]))
    wire[place : place + data.draw(st.integers(0, 1))] = put
    spoilt = bytes(wire)
    cuts = data.draw(st.lists(st.integers(0, len(spoilt))))
    whole = read([spoilt]).without_message()
    assert read(split_at(spoilt, cuts)).without_message() == whole
    assert read(split_at(spoilt, range(len(spoilt)))).without_message() == whole
