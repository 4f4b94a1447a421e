"""Our reader against h11: every disagreement is in the table, with its verdict."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http1.against_h11 import judge, ours, theirs
from tests.http1.disagreements import TABLE, verdict_on
from tests.http1.generate import Author
from tests.http1.test_corpus import BOTH, Case

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

UNUSUAL = [
    b"GET / HTTP/1.9\r\n\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    POST + b"X: y\r\n" * 100 + b"\r\n",
    POST + b"Content-Length: 1048577\r\n\r\n" + b"x" * 1_048_577,
    CHUNKED + b"1;" + b"x" * 1100 + b"\r\na\r\n0\r\n\r\n",
    CHUNKED + b"100001\r\n" + b"x" * 0x100001 + b"\r\n0\r\n\r\n",
]
"""For the rows that few messages meet."""


def assert_listed(wire: bytes) -> None:
    judged = judge(wire)
    if judged is not None:
        found, row = judged
        assert row is not None, f"{found.by}: {found.word}\n{found.ours}\n{found.theirs}"


@pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in BOTH])
def test_each_file_of_the_corpus(case: Case) -> None:
    assert_listed(case.wire)


@given(st.randoms(use_true_random=False), st.sampled_from((0.0, 0.02, 0.1, 0.3)))
def test_any_connection(draw: random.Random, oddness: float) -> None:
    assert_listed(Author(draw, oddness=oddness).connection())


def test_many_connections_and_each_row_of_the_table() -> None:
    author = Author(random.Random(7))
    wires = [author.connection() for _ in range(6000)] + [one.wire for one in BOTH] + UNUSUAL
    met: Counter[str] = Counter()
    for wire in wires:
        judged = judge(wire)
        if judged is None:
            met["agree"] += 1
        else:
            found, row = judged
            assert row is not None, f"{found.by}: {found.word}\n{wire!r}"
            met[row.word] += 1
    assert {row.word for row in TABLE} - set(met) == set()
    assert met["agree"] > len(wires) / 2


def test_what_both_take_is_compared_to_the_byte() -> None:
    last = b"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    wire = CHUNKED + b"3;x\r\nabc\r\n0\r\nT: u\r\n\r\n" + last + b"GET"
    we, they = ours(wire), theirs(wire)
    assert we.requests == they.requests
    assert [one.end for one in we.requests] == [wire.index(b"GET /2"), len(wire) - 3]
    assert (we.requests[0].content, we.requests[0].trailers) == (b"abc", [(b"t", b"u")])


def test_an_unlisted_disagreement_has_no_row() -> None:
    assert verdict_on("both", "end") is None
    assert verdict_on("we", "a message that nobody wrote") is None
    assert verdict_on("they", "request line ends in a bare LF") is None


def test_a_section_is_named_for_each_verdict() -> None:
    assert all(row.section[:5] in ("9110-", "9112-") and row.why for row in TABLE)
    assert {row.by for row in TABLE} == {"we", "they", "both"}
    assert {row.right for row in TABLE} == {"ours", "either"}
    assert len({(row.by, row.word) for row in TABLE}) == len(TABLE)
