"""The process in which all tests are loaded: it forks a child for each task.

Loading and collecting takes seconds, and is done once. The process is pytest's own, stopped where
it would run its tests; the children are copies of it at that moment.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import types
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants.child import (
    OPTIONS,
    Cold,
    Functions,
    Player,
    Task,
    Told,
    by_names,
    enter,
    plant,
    reported,
)
from tests.mutants.mutant import TOP
from tests.mutants.recording import record


class Warm:
    """The parent's handle. Raises RuntimeError if the tests cannot be collected."""

    def __init__(self, files: Sequence[str], place: Path) -> None:
        self._socket, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(files, place, theirs)
        theirs.close()
        self.tests: list[str] = self._receive()

    def _receive(self) -> list[str]:
        with self._socket.makefile("rb") as file:
            try:
                return list(pickle.load(file))
            except EOFError:
                raise RuntimeError("the tests cannot be collected: run pytest on them") from None

    def begin(self, task: Task, descriptor: int) -> None:
        """Fork a child for the task, which tells what it does to the descriptor."""
        body = pickle.dumps(task)
        socket.send_fds(self._socket, [len(body).to_bytes(8, "big")], [descriptor])
        self._socket.sendall(body)

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        os.waitpid(self.pid, 0)


def _serve(files: Sequence[str], place: Path, channel: socket.socket) -> None:
    os.chdir(TOP)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    pytest.main([*files, *OPTIONS, f"--basetemp={place}"], plugins=[_Server(channel)])
    os._exit(0)


class _Server:
    """A plugin of pytest that serves tasks in place of running tests."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            os._exit(2)
        self._channel.sendall(pickle.dumps([item.nodeid for item in session.items]))
        functions = loaded()
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
        while True:
            head, descriptors, _, _ = socket.recv_fds(self._channel, 8, 1)
            if not head:
                os._exit(0)
            task = pickle.loads(_exactly(self._channel, int.from_bytes(head, "big")))
            (descriptor,) = descriptors
            if os.fork() == 0:
                self._channel.close()
                _play(task, session, functions, enter(descriptor))
            os.close(descriptor)


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        parts.append(channel.recv(size))
        size -= len(parts[-1])
    return b"".join(parts)


def _play(task: Task, session: pytest.Session, functions: Functions, told: Told) -> None:
    with reported(told):
        items = by_names(task.tests)(session.items)
        if task.mutant is None:
            record(items, told)
        else:
            try:
                plant(task.mutant, functions)
            except Cold:
                told.last("cold")
            player = Player(told, list)
            session.config.pluginmanager.register(player)
            player.play(items)


def loaded() -> Functions:
    """Every function of ours that is loaded."""
    found: dict[tuple[str, str, int], list[types.FunctionType]] = {}
    ours = (f"{TOP}/server/", f"{TOP}/statemachine/")
    for one in gc.get_objects():
        if isinstance(one, types.FunctionType):
            code = one.__code__
            if code.co_filename.startswith(ours):
                key = code.co_filename, code.co_qualname, code.co_firstlineno
                found.setdefault(key, []).append(one)
    return found
