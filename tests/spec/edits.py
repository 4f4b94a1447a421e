"""Small specs for tests, written down with some of their texts replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

Edit = tuple[str, str, str]
"""A file, the text in it that goes, and the text that comes."""


def write_edited(folder: Path, sources: Mapping[str, str], edits: Iterable[Edit]) -> Path:
    """The files with some texts replaced, each of which must be there just once."""
    files = dict(sources)
    for file, old, new in edits:
        assert files[file].count(old) == 1, f"{old!r} is {files[file].count(old)} times in {file}"
        files[file] = files[file].replace(old, new)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder
