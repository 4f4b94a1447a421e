"""Requests as a handler is given them, made without a reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.http1.messages import (
    Field,
    Fields,
    FileRegion,
    Parts,
    Request,
    RequestHead,
    Response,
    pieces_of,
)


def request(target: str, *fields: Field, method: str = "GET") -> Request:
    path, _, query = target.partition("?")
    head = RequestHead(method, target, path, query, "localhost", 1, Fields(fields))
    return Request(head, peer=("127.0.0.1", 51324), local=("127.0.0.1", 7878))


def content_of(response: Response) -> bytes:
    """The content as it would be sent; regions are closed, as their sender must."""
    content = response.content
    assert isinstance(content, bytes | FileRegion | Parts)
    return b"".join(map(_sent, pieces_of(content)))


def _sent(piece: bytes | FileRegion) -> bytes:
    if isinstance(piece, bytes):
        return piece
    try:
        return os.pread(piece.descriptor, piece.size, piece.offset)
    finally:
        piece.close()


def field(response: Response, name: str) -> str | None:
    return Fields(response.fields).get(name)


def descriptors() -> set[str]:
    """What this process has open, to see that nothing is left so. Skips where /proc is missing."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to count descriptors")
    return {f"{one.name} {one.readlink()}" for one in folder.iterdir() if one.exists()}
