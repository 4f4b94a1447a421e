"""Content codings: in which of the forms that lie on the disk a file is sent (RFC 9110 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

IDENTITY: Final = "identity"

CODINGS: Final = {".br": "br", ".zst": "zstd", ".gz": "gzip"}
"""The coding of a file's coded form, by what follows the file's name in its own. The order is ours
among codings that the client likes alike: the smallest first, in most cases."""

LEAST: Final = 0.000_1
"""Less than any weight that a client can give, and more than a refusal."""

# RFC 9110 12.5.3: Accept-Encoding = #( codings [ weight ] )
#                  codings = content-coding / "identity" / "*", each of them a token
# 12.4.2: weight = OWS ";" OWS "q=" qvalue
#         qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
_MEMBER: Final = re.compile(
    r"(?P<coding>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*;[ \t]*[Qq]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_ALIASES: Final = {"x-gzip": "gzip"}  # 8.4.1.3


@lru_cache(maxsize=256)  # browsers send a few values, and a file has one of eight sets of forms
def ranked(accept: str, available: tuple[str, ...]) -> tuple[str, ...]:
    """The codings that may be sent, the best first: of `available`, in our order, and `identity`.

    `accept` is the Accept-Encoding field's value, empty where there is none: any coding would be
    acceptable then, but who does not ask for one may know none. A member that is none by the
    grammar is passed over. An empty answer says that `identity` was refused, and nothing is left.
    """
    weights = _weights(accept)
    others = weights.get("*")
    given = {coding: weights.get(coding, others or 0.0) for coding in available}
    # Acceptable unless refused; and where nothing is said of it, liked least (12.5.3, rule 2).
    given[IDENTITY] = weights.get(IDENTITY, LEAST if others is None else others)
    # The sort is stable: alike in weight, they stay in our order.
    best_first = sorted(given, key=lambda coding: -given[coding])
    return tuple(coding for coding in best_first if given[coding] > 0)


def _weights(accept: str) -> dict[str, float]:
    """The weight of each coding that the field names, lower case; the first one counts."""
    weights: dict[str, float] = {}
    for member in accept.split(","):
        found = _MEMBER.fullmatch(member.strip(" \t"))
        if found is not None:
            coding = found["coding"].lower()
            weights.setdefault(_ALIASES.get(coding, coding), float(found["weight"] or 1))
    return weights
