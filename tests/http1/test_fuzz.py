"""A short run of the fuzzer, the same each time, and proof that its oracles see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.errors import ProtocolError
from server.http1 import chunked, framing, reader
from server.http1.buffer import Buffer
from server.http1.events import ContentPiece
from server.http1.messages import NO_FIELDS, RequestHead
from server.http1.reader import RequestReader
from statemachine._generated import ChunkedState
from tests.http1.fuzz import Report, fuzz, judge

TAKE_WHOLE = RequestReader.take_whole


def short(report: Report) -> bool:
    return report.executions < 3000


def test_a_short_run_finds_nothing() -> None:
    report = fuzz(seed=20_240_701, goes_on=short)
    assert not report.findings, str(report)
    assert report.executions == 3000
    assert len(report.pool) > report.began_with


def test_a_run_is_its_seeds() -> None:
    one, other = (fuzz(seed=3, goes_on=lambda report: report.executions < 600) for _ in range(2))
    assert one.pool == other.pool


def takes_any_coding(values: list[str]) -> None:
    """Content-Length and chunked by whatever name: the classic of request smuggling."""


def refuses_in_pieces_only(first: str) -> None:
    raise ProtocolError("this head came in pieces")


def stumbles(text: str) -> object:
    raise KeyError(text)


def searches_all_again(buffer: Buffer) -> bytes | None:
    buffer.searched_bytes += 10 * len(buffer)
    return None


def waits_for_ever(buffer: Buffer, bytes_max: int) -> bytes | None:
    return None


def takes_no_fields(reader: RequestReader, data: bytes) -> tuple[RequestHead, bytes] | None:
    whole = TAKE_WHOLE(reader, data)
    return None if whole is None else (replace(whole[0], fields=NO_FIELDS), whole[1])


def takes_no_content(reader: RequestReader, data: bytes) -> tuple[RequestHead, bytes] | None:
    whole = TAKE_WHOLE(reader, data)
    return None if whole is None else (whole[0], b"")


@pytest.mark.parametrize(
    ("place", "name", "fault", "kind"),
    [
        (framing, "check_codings", takes_any_coding, "h11"),
        (reader, "check_first_byte", refuses_in_pieces_only, "split"),
        (chunked, "check_trailers", stumbles, "KeyError escaped"),
        (Buffer, "unsearched_head", searches_all_again, "searched too much"),
        (Buffer, "take_line", waits_for_ever, "kept too much"),
        (RequestReader, "take_whole", takes_no_fields, "shortcut"),
        (RequestReader, "take_whole", takes_no_content, "shortcut"),
    ],
)
def test_each_oracle_sees_its_fault(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, fault: object, kind: str
) -> None:
    monkeypatch.setattr(place, name, fault)
    report = fuzz(seed=5, goes_on=lambda report: report.executions < 2000)
    assert kind in {one.kind for one in report.findings}


def test_a_reader_that_never_ends_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chunked.STEPS, ChunkedState.DATA, lambda _: ContentPiece(b"x"))
    report = fuzz(seed=5, goes_on=lambda report: report.executions < 500)
    assert "AssertionError escaped" in {one.kind for one in report.findings}


def test_a_finding_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "check_trailers", stumbles)
    finding = next(
        one
        for one in fuzz(seed=5, goes_on=lambda report: report.executions < 2000).findings
        if one.kind == "KeyError escaped"
    )
    assert len(finding.wire) < 80
    assert judge(finding.wire, [])[1] is not None
