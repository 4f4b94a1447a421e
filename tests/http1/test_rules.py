"""The decisions by themselves, without a reader: fields, target, framing, persistence, head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ContentError, ProtocolError
from server.http1 import grammar
from server.http1.fields import (
    WRITER_OWNED,
    check_field_line,
    check_response_value,
    fields_of,
    lowered_response_name,
)
from server.http1.framing import CHUNKED, NO_BODY, FixedLength, framing_of
from server.http1.head import check_request_line
from server.http1.messages import Field, Fields, Response
from server.http1.persistence import asks_to_persist
from server.http1.target import HOST_BYTES_MAX, host_of, is_host, target_of
from tests.http1.talk import bound_to, read, refusal
from tests.http1.test_reader import requests

# --- fields ---------------------------------------------------------------------------------

NAMES = st.sampled_from(["A", "a", "B", "bb", "BB", "C"])


@given(st.lists(st.tuples(NAMES, st.text("xyz ,", max_size=4)), max_size=8))
def test_fields_answer_like_a_scan_of_their_lines(lines: list[Field]) -> None:
    fields = Fields(tuple(lines))
    for name in ("a", "b", "bb", "c", "d"):
        scan = [value for have, value in lines if have.lower() == name]
        assert fields.all(name) == scan
        assert fields.get(name) == (scan[0] if scan else None)
        members = [one.strip() for value in scan for one in value.split(",")]
        assert fields.elements(name) == [one for one in members if one]
    assert list(fields) == lines
    assert len(fields) == len(lines)


def test_a_look_up_is_no_part_of_the_value() -> None:
    asked, fresh = Fields((("A", "1"),)), Fields((("A", "1"),))
    assert asked.get("a") == "1"
    assert (asked, hash(asked), repr(asked)) == (fresh, hash(fresh), repr(fresh))


@pytest.mark.rfc("9110-5.6.1")
def test_a_list_may_have_empty_members() -> None:
    fields = Fields((("X", ", a ,,\tb"), ("x", ""), ("X", "c")))
    assert fields.elements("x") == ["a", "b", "c"]


@pytest.mark.rfc("9112-5.1")
def test_whitespace_around_a_value_is_no_part_of_it() -> None:
    section = "A:  b\t\r\nB: c d \t \r\nC:\r\nD:   \r\n"
    assert fields_of(section).lines == (("A", "b"), ("B", "c d"), ("C", ""), ("D", ""))


@given(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\n"), min_size=1))
def test_a_line_is_refused_with_a_reason_or_matches(line: str) -> None:
    if grammar.FIELD_LINE.fullmatch(line):
        check_field_line(line)
        return
    with pytest.raises(ProtocolError, match=r"field|whitespace") as caught:
        check_field_line(line)
    assert caught.value.status == 400
    assert str(caught.value).isprintable()


@given(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\n"), min_size=1))
def test_a_request_line_is_refused_or_matches(line: str) -> None:
    error = refusal(lambda: check_request_line(line))
    if error is None:
        assert grammar.HEAD.fullmatch(line + "\r\n\r\n")
        return
    assert error.status in {400, 501, 505}
    assert str(error).isprintable()


@given(requests())
def test_what_the_pattern_takes_no_line_check_refuses(
    drawn: tuple[bytes, tuple[str, str, list[Field], bytes]],
) -> None:
    head = drawn[0].partition(b"\r\n\r\n")[0].decode("latin-1")
    assert grammar.HEAD.fullmatch(head + "\r\n\r\n")
    first, *rest = head.split("\r\n")
    check_request_line(first)
    for line in rest:
        check_field_line(line)


@pytest.mark.parametrize("name", sorted(WRITER_OWNED))
def test_the_writers_own_fields_are_refused(name: str) -> None:
    with pytest.raises(ContentError, match="the writer's own"):
        lowered_response_name(name.title())


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "a\0", "\N{KELVIN SIGN}"])
def test_a_response_field_name_is_a_token(name: str) -> None:
    with pytest.raises(ContentError, match="not a token"):
        lowered_response_name(name)


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\n", "\r", "\0", "\x7f", "\u0100", "☃"])
def test_a_response_value_stays_within_its_line(value: str) -> None:
    with pytest.raises(ContentError, match="Some-Name contains byte 0x"):
        check_response_value(("Some-Name", value))


# --- target ---------------------------------------------------------------------------------


@pytest.mark.rfc("9110-7.2")
def test_a_host_is_as_long_as_a_name_may_be() -> None:
    assert is_host("a" * 255 + ":65535")
    assert not is_host("a" * (HOST_BYTES_MAX + 1))


@pytest.mark.rfc("9112-3.2.2")
def test_host_is_checked_even_where_the_target_overrides_it() -> None:
    outcome = read([b"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"])
    assert (outcome.status, outcome.message) == (400, "Host is not a valid host")


def test_host_may_be_missing_in_http_1_0_only() -> None:
    assert host_of(Fields(), minor=0) == ""
    with pytest.raises(ProtocolError, match="without Host"):
        host_of(Fields(), minor=1)


@given(
    st.sampled_from(["GET", "OPTIONS", "CONNECT"]),
    st.text([chr(i) for i in range(0x21, 0x7F)], min_size=1, max_size=30)
    | st.text("/:?#%@[]a0*", min_size=1, max_size=12)
    | st.text("/:?#%@[]a0*", max_size=12).map("http://".__add__),
)
def test_a_target_of_visible_bytes_has_a_form_or_is_refused(method: str, text: str) -> None:
    error = refusal(lambda: target_of(method, text))
    if error is not None:
        assert error.status == 400
        return
    target = target_of(method, text)
    if method == "CONNECT":
        assert (target.path, target.query, target.authority) == ("", "", text)
        return
    assert target.path[0] in "/*"
    assert "#" not in text
    mark = "?" if target.query or text.endswith("?") else ""
    assert text.endswith(mark + target.query)


# --- framing --------------------------------------------------------------------------------


@pytest.mark.rfc("9112-6.3")
@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        ((), NO_BODY),
        ((("Content-Length", "0"),), FixedLength(0)),
        ((("content-length", "007"),), FixedLength(7)),
        ((("Transfer-Encoding", "chunked"),), CHUNKED),
        ((("transfer-encoding", "CHUNKED"),), CHUNKED),
    ],
)
def test_framing(lines: tuple[Field, ...], framing: object) -> None:
    assert framing_of(Fields(lines), minor=1) == framing


@given(st.text(st.characters(max_codepoint=0xFF), max_size=6))
def test_content_length_is_decimal_or_refused(value: str) -> None:
    fields = Fields((("Content-Length", value),))
    error = refusal(lambda: framing_of(fields, minor=1))
    if error is not None:
        assert error.status == 400
        assert not (value.isascii() and value.isdigit())
        return
    assert framing_of(fields, minor=1) == FixedLength(int(value))
    assert set(value) <= set("0123456789")


CODINGS = st.sampled_from(["chunked", "Chunked", "gzip", "identity", "", "chunked;a=b", "x y", '"'])


@pytest.mark.rfc("9112-6.1")
@given(st.lists(CODINGS, min_size=1, max_size=3), st.booleans())
def test_chunked_is_the_one_transfer_coding(codings: list[str], one_line: bool) -> None:
    values = [", ".join(codings)] if one_line else codings
    fields = Fields(tuple(("Transfer-Encoding", value) for value in values))
    if [one.lower() for one in codings] == ["chunked"]:
        assert framing_of(fields, minor=1) is CHUNKED
        return
    with pytest.raises(ProtocolError) as caught:
        framing_of(fields, minor=1)
    well_formed = set(codings) <= {"chunked", "Chunked", "gzip", "identity"}
    at_end_only = "chunked" not in [one.lower() for one in codings[:-1]]
    assert caught.value.status == (501 if well_formed and at_end_only else 400)


# --- persistence ----------------------------------------------------------------------------


@pytest.mark.rfc("9112-9.3")
@pytest.mark.parametrize(
    ("values", "minor", "expected"),
    [
        ([], 1, True),
        ([], 0, False),
        (["close"], 1, False),
        (["keep-alive"], 0, True),
        (["Keep-Alive, close"], 0, False),
        (["x", " CLOSE "], 1, False),
        (["keep-alive-not"], 0, False),
        ([""], 1, True),
        ([""], 0, False),
    ],
)
def test_persistence(values: list[str], minor: int, expected: bool) -> None:
    fields = Fields(tuple(("Connection", value) for value in values))
    assert asks_to_persist(fields, minor=minor) is expected


def test_a_connection_persists_if_all_agree() -> None:
    (asks,) = read([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]).requests
    (ends,) = read([b"GET / HTTP/1.0\r\n\r\n"]).requests
    gladly, last = Response(204), Response(204, persists=False)
    for head, response, allowed, expected in (
        (asks.head, gladly, True, True),
        (asks.head, gladly, False, False),
        (asks.head, last, True, False),
        (ends.head, gladly, True, False),
        (None, gladly, True, False),
    ):
        writer = bound_to("sealed").writer(head)
        writer.head_of(response, date=b"", persists=allowed)
        assert writer.persists is expected
