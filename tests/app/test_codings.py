"""Which content coding a client likes best: RFC 9110 12.5.3, by its rules and against a model."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.codings import CODINGS, IDENTITY, ranked

ALL = tuple(CODINGS.values())


@pytest.mark.rfc("9110-12.5.3")
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", ["identity"]),  # "does not want any content coding"; and where the field is absent
        ("gzip", ["gzip", "identity"]),
        ("compress, gzip", ["gzip", "identity"]),
        ("*", ["br", "zstd", "gzip", "identity"]),
        ("compress;q=0.5, gzip;q=1.0", ["gzip", "identity"]),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", ["gzip", "identity"]),
        ("gzip, deflate, br, zstd", ["br", "zstd", "gzip", "identity"]),  # what browsers send
        ("gzip;q=0.5, br;q=0.4", ["gzip", "br", "identity"]),
        ("identity, gzip;q=0.5", ["identity", "gzip"]),
        ("identity;q=0.001, gzip;q=0.001", ["gzip", "identity"]),
        ("gzip;q=0", ["identity"]),
        ("br, *;q=0", ["br"]),
        ("identity;q=0", []),
        ("*;q=0", []),
        ("*;q=0, identity", ["identity"]),
        ("*;q=0, identity;q=0.1, gzip;q=0.2", ["gzip", "identity"]),
        ("identity;q=0, gzip", ["gzip"]),
        ("*;q=0.5, gzip;q=0", ["br", "zstd", "identity"]),
        ("deflate", ["identity"]),
    ],
)
def test_ranked(accept: str, expected: list[str]) -> None:
    assert list(ranked(accept, ALL)) == expected


@pytest.mark.rfc("9110-8.4.1")
def test_codings_are_compared_without_case() -> None:
    assert ranked("GZIP;Q=0.5, Br", ALL) == ("br", "gzip", "identity")


@pytest.mark.rfc("9110-8.4.1.3")
def test_x_gzip_is_gzip() -> None:
    assert ranked("x-gzip", ALL) == ("gzip", "identity")


@pytest.mark.rfc("9110-12.4.2")
@pytest.mark.parametrize(
    ("weight", "counts"),
    [
        ("q=1", True),
        ("q=1.", True),
        ("q=1.000", True),
        ("q=0.001", True),
        ("q=0.", False),  # a weight, and it is 0
        ("q=0.000", False),
        ("q=0.0001", False),  # from here on no weights: the member says nothing
        ("q=1.001", False),
        ("q=2", False),
        ("q=-1", False),
        ("q=.5", False),
        ("q=1.0000", False),
        ("q=nan", False),
        ("q= 1", False),
        ("q", False),
        ("level=9", False),
        ("q=1;x=y", False),
    ],
)
def test_weights(weight: str, counts: bool) -> None:
    assert ("gzip" in ranked(f"gzip;{weight}", ALL)) is counts
    assert ("gzip" in ranked(f"gzip \t; {weight}", ALL)) is counts


@pytest.mark.rfc("9110-5.6.1.2")
def test_empty_members_are_passed_over() -> None:
    assert ranked(", ,gzip,,", ALL) == ("gzip", "identity")


def test_only_what_is_there() -> None:
    assert ranked("br, gzip", ("gzip",)) == ("gzip", "identity")
    assert ranked("br, gzip", ()) == ("identity",)
    assert ranked("br, identity;q=0", ("gzip",)) == ()


# --- any field, against a model ---------------------------------------------------------------

weights = st.integers(0, 1000)
fields = st.dictionaries(
    st.sampled_from([*ALL, "identity", "*", "deflate"]), st.none() | weights, max_size=6
)


def written(field: dict[str, int | None]) -> str:
    members = (
        name if weight is None else f"{name};q={weight // 1000}.{weight % 1000:03}"
        for name, weight in field.items()
    )
    return ", ".join(members)


@given(field=fields, available=st.sets(st.sampled_from(ALL)))
def test_any_field_ranks_as_the_rules_say(
    field: dict[str, int | None], available: set[str]
) -> None:
    def liking(coding: str) -> Fraction:
        """0: not acceptable; identity by default: acceptable, and less than anything named."""
        for name in (coding, "*"):
            if name in field:
                weight = field[name]
                return Fraction(1000 if weight is None else weight)
        return Fraction(1, 2) if coding == IDENTITY else Fraction(0)

    ours = [one for one in ALL if one in available]
    best_first = ranked(written(field), tuple(ours))
    assert set(best_first) == {one for one in [*ours, IDENTITY] if liking(one)}
    # The order of all of them says that of any, so that the shelf may go by it.
    of_all = ranked(written(field), ALL)
    assert best_first == tuple(one for one in of_all if one in {*ours, IDENTITY})
    for better, worse in itertools.pairwise(best_first):
        order = [*ours, IDENTITY]
        assert (liking(better), -order.index(better)) > (liking(worse), -order.index(worse))


@given(st.text(max_size=40))
def test_no_value_is_a_mistake(accept: str) -> None:
    assert set(ranked(accept, ALL)) <= {*ALL, IDENTITY}
