"""The patterns against the rules: every byte where a rule is a set, another parser where one is at
hand.
"""

from __future__ import annotations

import ipaddress
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.http1 import grammar

EVERY_BYTE = [chr(i) for i in range(256)]

# tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
#       / DIGIT / ALPHA
TCHAR = set("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)
VCHAR = {chr(i) for i in range(0x21, 0x7F)}
FIELD_BYTES = VCHAR | {chr(i) for i in range(0x80, 0x100)} | {" ", "\t"}
UNRESERVED = set(string.ascii_letters + string.digits + "-._~")
SUB_DELIMS = set("!$&'()*+,;=")
PCHAR = UNRESERVED | SUB_DELIMS | set(":@")


def taken(pattern: re.Pattern[str], before: str = "", after: str = "") -> set[str]:
    """The bytes that the pattern takes between `before` and `after`."""
    return {one for one in EVERY_BYTE if pattern.fullmatch(before + one + after)}


@pytest.mark.rfc("9110-5.6.2")
def test_token() -> None:
    assert taken(grammar.TOKEN) == TCHAR
    assert not grammar.TOKEN.fullmatch("")
    assert set(EVERY_BYTE) - taken(grammar.NOT_TCHAR) == TCHAR


@pytest.mark.rfc("9110-5.5")
def test_field_value() -> None:
    assert taken(grammar.FIELD_VALUE) == FIELD_BYTES
    assert grammar.FIELD_VALUE.fullmatch("")
    assert set(EVERY_BYTE) - taken(grammar.NOT_FIELD_VALUE) == FIELD_BYTES
    assert taken(grammar.FIELD_LINE, "X: a", "b") == FIELD_BYTES
    assert taken(grammar.FIELD_LINE, "X", "Y: a") == TCHAR | {":"}


@pytest.mark.rfc("9112-3.2.1")
def test_origin_form() -> None:
    path = PCHAR | set("/|^[]")
    assert taken(grammar.ORIGIN_FORM, "/", "x") == path | {"?"}
    assert taken(grammar.ORIGIN_FORM, "/?", "x") == path | set("?%\\`{}")
    assert not grammar.ORIGIN_FORM.fullmatch("")
    assert taken(grammar.ORIGIN_FORM) == {"/"}
    assert {one for one in EVERY_BYTE if grammar.ORIGIN_FORM.fullmatch(f"/%a{one}")} == set(
        string.hexdigits
    )


@pytest.mark.rfc("9112-2.3")
def test_http_version() -> None:
    assert taken(grammar.HTTP_VERSION, "HTTP/1.") == set(string.digits)
    assert taken(grammar.HTTP_VERSION, "HTTP/", ".1") == set(string.digits)


@pytest.mark.rfc("9112-7.1")
def test_chunk_size() -> None:
    assert taken(grammar.CHUNK_LINE) == set(string.hexdigits)
    assert taken(grammar.CHUNK_LINE, "1", "1") == set(string.hexdigits) | {";"}  # 1;1: extension


@pytest.mark.rfc("9112-7.1.1")
def test_chunk_extension() -> None:
    assert taken(grammar.CHUNK_LINE, "1;a", "b") == TCHAR | set(";=")
    quoted = FIELD_BYTES - set('"\\')
    # A backslash quotes what follows it: here the closing quote, so that the string is open.
    assert taken(grammar.CHUNK_LINE, '1;a="', '"') == quoted
    assert taken(grammar.CHUNK_LINE, '1;a="\\', '"') == FIELD_BYTES


@pytest.mark.rfc("9110-8.6")
def test_content_length() -> None:
    assert taken(grammar.CONTENT_LENGTH) == set(string.digits)
    assert grammar.CONTENT_LENGTH.fullmatch("9" * 18)
    assert int("9" * 18) < 2**63
    assert not grammar.CONTENT_LENGTH.fullmatch("9" * 19)
    assert int("f" * grammar.CHUNK_SIZE_DIGITS_MAX, 16) < 2**63


@given(st.ip_addresses(v=6).map(str) | st.text("0123456789abcdefF:.", max_size=20))
@example("::")
@example("1::")
@example("::1.2.3.4")
@example("1:2:3:4:5:6:7::")
@example("::2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:1.2.3.4")
@example("1:2:3:4:5:6:7:1.2.3.4")
@example("::256.0.0.1")
def test_ipv6_is_what_the_standard_library_takes(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        valid = False
    else:
        valid = True
    assert bool(grammar.HOST.fullmatch(f"[{text}]")) == valid


@pytest.mark.rfc("9110-7.2")
def test_host() -> None:
    assert taken(grammar.HOST) == UNRESERVED | SUB_DELIMS | {":"}  # ":" is an empty host and port
    assert taken(grammar.HOST, "a:") == set(string.digits)


@pytest.mark.parametrize(
    ("pattern", "before", "again"),
    [
        (grammar.HEAD, "GET / HTTP/1.1\r\n", "a: b\r\n"),
        (grammar.HEAD, "GET /", "a"),
        (grammar.CHUNK_LINE, "1", ';a="b"'),
        (grammar.CHUNK_LINE, "1", " \t"),
        (grammar.CHUNK_LINE, '1;a="', "\\"),
        (grammar.TRANSFER_CODING, "a", ";b=c"),
        (grammar.TRANSFER_CODING, "a", " "),
        (grammar.ORIGIN_FORM, "/", "%41"),
        (grammar.ORIGIN_FORM, "/", "a%"),
        (grammar.ABSOLUTE_FORM, "http://a/", "%41"),
        (grammar.HOST, "", "a%41"),
        (grammar.HOST, "[", "1:"),
    ],
)
def test_no_pattern_goes_back_for_long(pattern: re.Pattern[str], before: str, again: str) -> None:
    """A byte at the end that fits nothing: a pattern that goes back would take hours over this."""
    assert not pattern.fullmatch(before + again * 100_000 + "\x00")


def test_no_group_is_possessive() -> None:
    """Python 3.11.2, Debian 12's, matches possessive groups wrongly: it took broken chunks."""
    patterns = [one for one in vars(grammar).values() if isinstance(one, re.Pattern)]
    assert patterns
    for one in patterns:
        outside_classes = re.sub(r"\[(?:\\.|[^]\\])*\]", "[]", one.pattern)
        assert not re.search(r"\)[*+?]\+|\)\{[0-9,]+\}\+", outside_classes), one.pattern
