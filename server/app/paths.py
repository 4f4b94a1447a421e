"""A target's path as the names of folders and a file, decoded once, and never twice.

What passes is harmless by its form: every name is a single component that no file system gives a
meaning of its own. `..` in any spelling, a separator that was percent-encoded, a backslash and,
unless they are served, hidden names are refused here; links, which only the file system knows, are
refused in `folder`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from server.app.errors import Refused
from server.config import Dotfiles

Names = tuple[str, ...]
"""The decoded segments of a path. The last is empty where the path ends with a slash."""

# RFC 3986 2.1: pct-encoded = "%" HEXDIG HEXDIG
_BAD_ENCODING: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

# No file is called so: what separates names, here or elsewhere, and what ends a string in C.
_IN_NO_NAME: Final = re.compile(r"[/\\\0]")

WELL_KNOWN: Final = ".well-known"
"""The one name with a leading dot that is public by definition (RFC 8615), at the root only."""


def names_of(path: str, dotfiles: Dotfiles = "hidden") -> Names:
    """Split and decode the path of a request target.

    `dotfiles` says whether names that begin with a dot may be ours. Raises Refused: 400 for a text
    that is no path, 404 for a path that can name no file of ours.
    """
    if not path.startswith("/") or _BAD_ENCODING.search(path):
        raise Refused(400, "The path is not a valid one.")
    segments = path[1:].split("/")
    names = tuple(map(_decoded, segments)) if "%" in path or not path.isascii() else (*segments,)
    for depth, name in enumerate(names):
        # An empty name is a path of its own (RFC 3986 3.3) that no file answers to. To merge
        # slashes would serve a page under two paths, and `//host/` in a Location is another host.
        empty = not name and depth < len(names) - 1
        if empty or _IN_NO_NAME.search(name) or (name[:1] == "." and _hides(name, depth, dotfiles)):
            raise Refused(404, "There is nothing at this path.")
    return names


def _hides(name: str, depth: int, dotfiles: Dotfiles) -> bool:
    """Whether a name with a leading dot, `depth` folders below the root, names nothing of ours."""
    if dotfiles == "served":
        return name in {".", ".."}
    return depth > 0 or name != WELL_KNOWN


def path_of(names: Names) -> str:
    """The one normal spelling of a path: what need not be percent-encoded is not."""
    return "/" + "/".join(quote(name, safe="!$&'()*+,;=:@") for name in names)


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
    except UnicodeError as error:
        raise Refused(404, "There is nothing at this path: it is not UTF-8.") from error
