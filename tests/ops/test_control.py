"""The control socket: who is heard, what is told, and what becomes of a socket that was left."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.errors import StartError
from server.ops.command import ask
from server.ops.control import Control, NotDone


def echo(argument: str) -> str:
    if not argument:
        raise NotDone("nothing to echo")
    return argument


def fail(argument: str) -> str:
    raise ZeroDivisionError(argument)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ctl")


@pytest.fixture
def control(path: str) -> Iterator[Control]:
    one = Control(path, {"echo": echo, "fail": fail})
    one.open()
    thread = threading.Thread(target=one.serve)
    thread.start()
    yield one
    one.ring()
    thread.join()
    one.close()
    assert not os.path.exists(path)


@pytest.mark.usefixtures("control")
def test_an_order_is_carried_out_and_answered(path: str) -> None:
    assert ask(path, "echo  one two ") == (0, "one two")
    assert ask(path, "echo") == (1, "nothing to echo")
    assert ask(path, "fail") == (1, "the order failed, and the log says why")
    assert ask(path, "nonsense") == (2, "'nonsense' is no order, expected one of echo, fail")


@pytest.mark.usefixtures("control")
def test_nobody_else_can_reach_it(path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not say who asks")
@pytest.mark.usefixtures("control")
def test_another_user_is_not_heard(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ops.control._CREDENTIALS", Foreign())
    assert ask(path, "echo x") == (1, "only the user who runs the server is heard")


class Foreign:
    """Credentials of a peer that is neither root nor us."""

    size = 12

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return (1, os.geteuid() + 1, 1)


@pytest.mark.usefixtures("control")
def test_a_client_that_goes_or_says_too_much_keeps_nobody_waiting(path: str) -> None:
    for said in (b"", b"echo x", b"e" * 2000):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
            one.sendall(said)
            one.shutdown(socket.SHUT_WR)
    assert ask(path, "echo y") == (0, "y")


@pytest.mark.usefixtures("control")
def test_a_socket_that_is_listened_at_is_left_alone(path: str) -> None:
    other = Control(path, {})
    with pytest.raises(StartError, match="another server listens there"):
        other.open()
    other.close()
    assert ask(path, "echo y") == (0, "y")


def test_a_socket_that_was_left_behind_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    one = Control(path, {})
    one.open()
    one.close()
    assert not os.path.exists(path)


def test_a_file_is_no_socket(path: str) -> None:
    Path(path).write_text("mine")
    one = Control(path, {})
    with pytest.raises(StartError, match="there is a file that is no socket"):
        one.open()
    one.close()
    assert Path(path).read_text() == "mine"


def test_a_place_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none" / "ctl"), str(tmp_path / ("x" * 200))):
        one = Control(path, {})
        with pytest.raises(StartError, match=r"^--ctl-socket [^\n]+$"):
            one.open()
        one.close()


def test_a_successor_s_socket_is_not_removed(path: str) -> None:
    one, other = Control(path, {}), Control(path, {})
    one.open()
    os.unlink(path)
    other.open()
    one.close()
    assert os.path.exists(path)
    other.close()
    assert not os.path.exists(path)
