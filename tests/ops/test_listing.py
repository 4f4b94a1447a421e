"""What the kernel says of a connection is read where it lies."""

from __future__ import annotations

import struct

from server.ops.listing import Tcp, tcp_of


def test_the_kernel_s_figures_are_read_where_they_lie() -> None:
    numbers = list(range(1000, 1024))
    data = struct.pack("8B24I", 8, *[255] * 7, *numbers)
    assert tcp_of(data) == Tcp("CLOSE_WAIT", 1015 / 1e6, 1016 / 1e6, 1004, 1006, 1023)
    assert tcp_of(data + bytes(100)) == tcp_of(data)


def test_a_state_of_a_later_kernel_is_told_by_its_number() -> None:
    told = tcp_of(struct.pack("8B24I", 77, *[0] * 31))
    assert told is not None
    assert told.state == "77"


def test_what_is_too_short_says_nothing() -> None:
    assert tcp_of(bytes(103)) is None
    assert tcp_of(None) is None
