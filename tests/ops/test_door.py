"""The door in front of the operator's pages: who is let in, and what the others are told."""

from __future__ import annotations

import pytest

from server.http1.messages import Fields, Request, RequestHead
from server.ops.addresses import is_loopback
from server.ops.door import Door


def asked(host: str = "127.0.0.1:7878", method: str = "GET", **fields: str) -> Request:
    lines = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Request(RequestHead(method, "/-/live", "/-/live", "", host, 1, Fields(lines)))


def told(door: Door, request: Request) -> int:
    """The status of the refusal; 200 where there is none."""
    refusal = door.refusal(request)
    assert refusal is None or ("Cache-Control", "no-store") in refusal.fields
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7878", "[::1]:7878", "localhost", "LocalHost:1", "10.0.0.7:9"]
)
def test_an_address_and_localhost_are_ours(host: str) -> None:
    assert told(Door(), asked(host)) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "1270.0.0.1"]
)
@pytest.mark.rfc("9110-7.4")
def test_another_name_is_misdirected(host: str) -> None:
    assert told(Door(), asked(host)) == (200 if host == "[::1" else 421)


def test_a_name_that_was_given_is_ours() -> None:
    door = Door(["Ops.Example"])
    assert told(door, asked("ops.example:9000")) == 200
    assert told(door, asked("other.example:9000")) == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_only_reading_is_allowed(method: str) -> None:
    refusal = Door().refusal(asked(method=method))
    assert refusal is not None
    assert (refusal.status, dict(refusal.fields)["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X_Forwarded_For", "X_Real_IP"])
def test_who_comes_by_a_proxy_needs_a_token(name: str) -> None:
    forwarded = {name: "203.0.113.7"}
    assert told(Door(), asked(**forwarded)) == 403
    door = Door(token=b"open")
    assert told(door, asked(**forwarded)) == 401
    assert told(door, asked(**forwarded, Authorization="Bearer open")) == 200


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ("Bearer open", 200),
        ("bearer  open", 200),
        ("Bearer opens", 401),
        ("Bearer ope", 401),
        ("Bearer ", 401),
        ("Basic open", 401),
        ("open", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_a_token_is_compared_whole(shown: str, status: int) -> None:
    assert told(Door(token=b"open"), asked(Authorization=shown)) == status
    assert told(Door(token=b"open"), asked()) == 401


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert [is_loopback(one) for one in ("127.0.0.1", "127.9.9.9", "::1")] == [True] * 3
    assert [is_loopback(one) for one in ("0.0.0.0", "::", "10.0.0.1", "localhost")] == [False] * 4
