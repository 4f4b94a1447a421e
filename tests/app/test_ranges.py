"""Which bytes a Range field selects: the grammar to the letter, any set against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.app.ranges import PARTS_MAX, Selection, Span, select

WHOLE, NOTHING = Selection.WHOLE, Selection.NOTHING
SIZE = 10_000  # the length that RFC 9110's own examples are about


def spans(*pairs: tuple[int, int]) -> tuple[Span, ...]:
    return tuple(Span(first, last - first + 1) for first, last in pairs)


@pytest.mark.rfc("9110-14.1.2")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-499", spans((0, 499))),
        ("bytes=500-999", spans((500, 999))),
        ("bytes=-500", spans((9500, 9999))),
        ("bytes=9500-", spans((9500, 9999))),
        ("bytes=0-0,-1", spans((0, 0), (9999, 9999))),
        ("bytes=0-999, 4500-5499, -1000", spans((0, 999), (4500, 5499), (9000, 9999))),
        ("bytes=500-600,601-999", spans((500, 999))),
        ("bytes=500-700,601-999", spans((500, 999))),
        ("bytes=0-99999", spans((0, 9999))),  # a last-pos beyond the end is the end
        ("bytes=-99999", spans((0, 9999))),  # a suffix longer than the file is the file
        ("bytes=9999-", spans((9999, 9999))),
        ("bytes=0000-0000000000000000000000000000", spans((0, 0))),
    ],
)
def test_ranges(value: str, expected: tuple[Span, ...]) -> None:
    assert select(value, SIZE) == expected


@pytest.mark.rfc("9110-14.1.1")
@pytest.mark.parametrize("value", ["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=-000"])
def test_nothing_is_satisfiable(value: str) -> None:
    assert select(value, SIZE) is NOTHING
    # One that is makes the set so.
    assert select(f"{value}, 5-6", SIZE) == spans((5, 6))


@pytest.mark.rfc("9110-14.2")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1,2-1",
        f"bytes=1{'0' * 30}-1{'0' * 29}",
        "bytes=a-b",
        "bytes=0-1;2-3",
        "bytes= 0-1",
        "bytes =0-1",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes=--1",
        "bytes=-1-",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=\u0661-2",
        "bytes=0-1,x",
        "octets=0-1",
        "items=0-1",
        " bytes=0-1",
        "0-1",
    ],
)
def test_what_is_no_set_of_byte_ranges_is_ignored(value: str) -> None:
    assert select(value, SIZE) is WHOLE


@pytest.mark.rfc("9110-14.1")
def test_a_unit_is_compared_without_case() -> None:
    assert select("Bytes=0-1", SIZE) == select("BYTES=0-1", SIZE) == spans((0, 1))


@pytest.mark.rfc("9110-5.6.1.2")
@pytest.mark.parametrize("value", ["bytes=,0-1", "bytes=0-1,", "bytes= ,\t,0-1 ,,", "bytes=0-1 \t"])
def test_empty_members_of_the_list_are_passed_over(value: str) -> None:
    assert select(value, SIZE) == spans((0, 1))


@pytest.mark.rfc("9110-14.1.2")
def test_numerals_of_any_length() -> None:
    long = "9" * 8000
    assert select(f"bytes=0-{long}", SIZE) == spans((0, 9999))
    assert select(f"bytes=-{long}", SIZE) == spans((0, 9999))
    assert select(f"bytes={long}-", SIZE) is NOTHING
    assert select(f"bytes={long}-{long}", SIZE) is NOTHING
    assert select(f"bytes={'0' * 8000}1-2", SIZE) == spans((1, 2))


@pytest.mark.rfc("9110-14.2")
@pytest.mark.parametrize("value", ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=7-"])
def test_without_content_a_range_is_ignored(value: str) -> None:
    assert select(value, 0) is WHOLE


@pytest.mark.rfc("9110-17.15")
def test_an_egregious_set_is_ignored() -> None:
    apart = [f"{2 * n}-{2 * n}" for n in range(PARTS_MAX)]
    assert select("bytes=" + ",".join(apart), SIZE) == spans(
        *((2 * n, 2 * n) for n in range(PARTS_MAX))
    )
    assert select("bytes=" + ",".join([*apart, "900-901"]), SIZE) is WHOLE
    # What is coalesced is counted once; what asks for more than there is, is ignored.
    assert select("bytes=" + ",".join(f"{n}-{n}" for n in range(100)), SIZE) == spans((0, 99))
    assert select("bytes=0-,0-", SIZE) is WHOLE
    assert select("bytes=0-5000,4000-", SIZE) is WHOLE
    assert select("bytes=0-4999,5000-", SIZE) == spans((0, 9999))


@pytest.mark.rfc("9110-15.3.7.2")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=50-59,0-9", spans((50, 59), (0, 9))),
        ("bytes=50-59,0-9,55-64", spans((50, 64), (0, 9))),
        ("bytes=0-9,50-59,5-14", spans((0, 14), (50, 59))),
        ("bytes=20-29,0-9,10-19", spans((0, 29))),
        ("bytes=90-99,20000-,0-9", spans((90, 99), (0, 9))),
        ("bytes=0-9,11-19", spans((0, 9), (11, 19))),
    ],
)
def test_the_order_asked_for_is_kept(value: str, expected: tuple[Span, ...]) -> None:
    assert select(value, SIZE) == expected


# --- any set, against a model that lists positions one by one ---------------------------------


def positions(spec: str, size: int) -> list[int]:
    first, _, last = spec.partition("-")
    if not first:
        return list(range(size))[-int(last) :] if int(last) else []
    return [at for at in range(size) if int(first) <= at <= (int(last) if last else size)]


specs = st.one_of(
    st.tuples(st.integers(0, 40), st.integers(0, 30)).map(lambda one: f"{one[0]}-{sum(one)}"),
    st.integers(0, 40).map(lambda first: f"{first}-"),
    st.integers(0, 40).map(lambda size: f"-{size}"),
)


@given(asked=st.lists(specs, min_size=1, max_size=40), size=st.integers(1, 60))
@example(asked=["0-0", "2-2", "1-1"], size=10)
def test_any_set_selects_what_its_members_do(asked: list[str], size: int) -> None:
    each = [positions(spec, size) for spec in asked]
    wanted = sorted({at for one in each for at in one})
    selected = select("bytes=" + ",".join(asked), size)
    runs = sum(1 for at in wanted if at - 1 not in wanted)
    if not wanted:
        assert selected is NOTHING
    elif sum(map(len, each)) > size or runs > PARTS_MAX:
        assert selected is WHOLE
    else:
        assert isinstance(selected, tuple)
        got = [list(range(one.first, one.first + one.size)) for one in selected]
        assert sorted(at for one in got for at in one) == wanted  # each byte once
        assert len(got) == runs  # neither overlapping nor touching
        # In the order in which the members that they consist of were asked for.
        places = [next(n for n, one in enumerate(each) if set(one) & set(run)) for run in got]
        assert places == sorted(places)


@given(st.text(alphabet="bytes=0123456789-, \t", max_size=30), st.integers(0, 30))
def test_no_value_is_a_mistake(value: str, size: int) -> None:
    selected = select(value, size)
    if isinstance(selected, tuple):
        assert selected
        assert len(selected) <= PARTS_MAX
        assert all(one.size > 0 and one.first >= 0 for one in selected)
        assert sum(one.size for one in selected) <= size
        assert max(one.first + one.size for one in selected) <= size
