"""The world that a parent stands in: real processes, signals, and one selector for all of it.

A child is a fresh interpreter, never a fork of this one: a program that embeds the server may have
threads, whose locks a fork would copy as they are, and new code is only loaded by who has loaded
nothing yet. It inherits three descriptors: the listening socket, its end of the channel, and its
board. It stands in a process group of its own, so that a terminal's Ctrl-C comes to the parent
alone, which passes it on in its own way.

Signals wake the selector through `signal.set_wakeup_fd`, which also says which one it was: so none
is lost between a look at what has come and the wait for more.

What is sent to a child that does not read waits here, up to OUTBOX_BYTES_MAX: the parent waits for
nobody.

Threads: the main one of the parent's process, which alone may have signal handlers; `put` any.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from server.clock import Clock
from server.errors import StartError
from server.processes.board import Board
from server.processes.channel import RECEIVE_BYTES, Decoder, Message, encoded
from server.processes.world import Asked, Exited, News, Told

LOG = logging.getLogger("interlock.processes")

ASKED: Final[Mapping[int, Asked]] = {
    signal.SIGINT: Asked.STOP,
    signal.SIGTERM: Asked.STOP,
    signal.SIGHUP: Asked.RESTART,
    signal.SIGUSR1: Asked.DUMP,
}

BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from server.processes.child import main; sys.exit(main(*map(int, sys.argv[2:])))"
)
"""What a child runs. Its path is the parent's: the code that it finds is where the parent's is."""

NO_SIGNAL: Final = b"\0"
"""What rings the bell for something else: signals have numbers from 1 on."""

LOOK_SECONDS: Final = 1.0
"""How often, at least, it is looked whether a child is over, should its signal have been missed."""


OUTBOX_BYTES_MAX: Final = 16 << 20
"""What may wait for a child to read it. Beyond it a child is told no more of what it asks, and is
asked no more: what it must know is told."""

DROPPED: Final = frozenset({"tell", "hear"})


@dataclass(slots=True)
class Child:
    """A process, the parent's end of its channel, and its board."""

    popen: subprocess.Popen[bytes]
    channel: socket.socket
    board: Board
    decoder: Decoder = field(default_factory=Decoder)
    outbox: bytearray = field(default_factory=bytearray)
    exited: bool = False


class Station:
    """Children on one listening socket. `settings` are what each is told to serve with."""

    def __init__(
        self, listening: socket.socket, settings: Mapping[str, object], clock: Clock
    ) -> None:
        self.monotonic = clock.monotonic
        self._listening = listening
        self._settings = settings
        self._folder = _folder()
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._hammer = socket.socketpair()
        self._bell.setblocking(False)
        self._hammer.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._post = queue.SimpleQueue[News]()

    # --- children ---------------------------------------------------------------------------

    def spawn(self, number: int) -> None:
        """See `World`."""
        board = Board.made()
        here, there = socket.socketpair()
        inherited = [there.fileno(), self._listening.fileno(), board.descriptor]
        try:
            popen = subprocess.Popen(  # noqa: S603 - our own interpreter, and words of ours
                [
                    *(sys.executable, *_options(), "-c", BOOT, json.dumps(sys.path)),
                    *map(str, inherited),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=inherited,
                process_group=0,
                cwd=self._folder,
            )
        except OSError:
            here.close()
            board.close()
            raise
        finally:
            there.close()
        here.setblocking(False)
        self._children[number] = Child(popen, here, board)
        self._selector.register(here, selectors.EVENT_READ, number)
        self.send(number, {"asks": "serve", "number": number, "settings": self._settings})

    def send(self, number: int, message: Message) -> None:
        """See `World`."""
        child = self._children.get(number)
        if child is None:
            return
        data = encoded(message)
        if message["asks"] in DROPPED and len(child.outbox) + len(data) > OUTBOX_BYTES_MAX:
            LOG.warning("process %d does not read what it is told", number)
            return
        child.outbox += data
        self._flush(number, child)

    def _flush(self, number: int, child: Child) -> None:
        """Send what the child takes, and be told when it takes more."""
        try:
            while child.outbox:
                del child.outbox[: child.channel.send(child.outbox)]
        except BlockingIOError:
            pass
        except OSError as error:
            LOG.debug("process %d does not hear any more: %s", number, error)
            child.outbox.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.outbox else 0)
        with contextlib.suppress(KeyError):  # its end was read
            if self._selector.get_key(child.channel).events != events:
                self._selector.modify(child.channel, events, number)

    def kill(self, number: int) -> None:
        """See `World`."""
        if child := self._children.get(number):
            child.popen.kill()

    def counts(self, number: int) -> Mapping[str, int]:
        """See `World`."""
        child = self._children.get(number)
        return {} if child is None else child.board.counts()

    def forget(self, number: int) -> None:
        """See `World`."""
        if child := self._children.pop(number, None):
            with contextlib.suppress(KeyError):  # its end was read
                self._selector.unregister(child.channel)
            child.channel.close()
            child.board.close()

    def stop_listening(self) -> None:
        """See `World`."""
        self._listening.close()

    # --- news -------------------------------------------------------------------------------

    def wait(self, until: float | None) -> Sequence[News]:
        """See `World`."""
        seconds = LOOK_SECONDS if until is None else min(until - self.monotonic(), LOOK_SECONDS)
        news: list[News] = []
        for key, events in self._selector.select(max(seconds, 0.0)):
            if key.data is None:
                news += self._asked()
                continue
            if events & selectors.EVENT_WRITE:
                self._flush(key.data, self._children[key.data])
            if events & selectors.EVENT_READ:
                news += self._told(key.data)
        for number, child in self._children.items():
            # Whoever is over has said all that it will: it is read before its end is told.
            if not child.exited and (status := child.popen.poll()) is not None:
                child.exited = True
                news += self._told(number)
                news.append(Exited(number, status))
        return news

    def put(self, news: News) -> bool:
        """Let this be news to the parent, from any thread. False: it has ended."""
        self._post.put(news)
        try:
            self._hammer.send(NO_SIGNAL)
        except BlockingIOError:
            return True  # the bell rings already
        except OSError:
            return False
        return True

    def _asked(self) -> Iterator[News]:
        with contextlib.suppress(BlockingIOError):
            while True:
                for number in self._bell.recv(RECEIVE_BYTES):
                    if asked := ASKED.get(number):
                        yield asked
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._post.get_nowait()

    def _told(self, number: int) -> list[News]:
        child, news = self._children[number], list[News]()
        with contextlib.suppress(BlockingIOError, ConnectionResetError, KeyError):
            while data := child.channel.recv(RECEIVE_BYTES):
                news += [Told(number, message) for message in child.decoder.feed(data)]
            self._selector.unregister(child.channel)
        return news

    # --- signals ----------------------------------------------------------------------------

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have the signals; whoever had them before has them again afterwards.

        Raises StartError on another thread than the main one.
        """
        if threading.current_thread() is not threading.main_thread():
            raise StartError("several processes can only be run from the main thread")
        numbers = (*ASKED, signal.SIGCHLD)
        before = [signal.signal(number, _do_nothing) for number in numbers]
        bell = signal.set_wakeup_fd(self._hammer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(bell)
            for number, handler in zip(numbers, before, strict=True):
                # None: what was there was not installed from Python, and cannot be put back by it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            self.close()

    def close(self) -> None:
        """Give back all that is open; `open` does so at its end."""
        for number in list(self._children):
            self.forget(number)
        self._listening.close()
        self._selector.close()
        self._bell.close()
        self._hammer.close()


def _do_nothing(*_: object) -> None:
    """A handler: without one, no signal would ring the bell."""


def _options() -> Iterator[str]:
    """The interpreter's own options, such as `-W error` and `-X dev`, for a child to have too."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-") or word[:2] in ("-m", "-c"):
            return
        yield word
        if word in ("-W", "-X"):
            yield next(words)


def _folder() -> str:
    """The present folder by the name by which it was entered.

    Where that is a link to a release, it may lead to the next release by the time a child is to be
    replaced; `os.getcwd` has the name of the present one.
    """
    here, entered = os.getcwd(), os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if entered and os.path.samefile(here, entered):
            return entered
    return here
