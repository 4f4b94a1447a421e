"""Requests as a handler is given them, made without a reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.http1.messages import Field, Fields, FileRegion, Request, RequestHead, Response


def request(target: str, *fields: Field, method: str = "GET") -> Request:
    path, _, query = target.partition("?")
    head = RequestHead(method, target, path, query, "localhost", 1, Fields(fields))
    return Request(head, peer=("127.0.0.1", 51324), local=("127.0.0.1", 7878))


def content_of(response: Response) -> bytes:
    """The content as it would be sent; a region is closed, as its sender must."""
    content = response.content
    if isinstance(content, bytes):
        return content
    assert isinstance(content, FileRegion)
    try:
        return os.pread(content.descriptor, content.size, content.offset)
    finally:
        content.close()


def field(response: Response, name: str) -> str | None:
    return Fields(response.fields).get(name)


def descriptors() -> set[str]:
    """What this process has open, to see that nothing is left so. Skips where /proc is missing."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to count descriptors")
    return {f"{one.name} {one.readlink()}" for one in folder.iterdir() if one.exists()}
