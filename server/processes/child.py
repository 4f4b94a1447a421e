"""A child: one server in a process of its own, on a socket that it was given.

It is told what to serve by its first message. From then on a thread, "channel", takes orders; the
main thread starts the server, says so, runs it, and has the last word. When the parent is gone the
channel ends: then the child drains like after any order, and if that should not end, the thread
ends the process. So nobody serves on without a parent.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace

from server.error_log import install
from server.errors import ConfigError, InterlockError
from server.ground import Ground
from server.observing import Observer
from server.ops.spelling import told
from server.processes.answers import Answers
from server.processes.board import Board
from server.processes.channel import (
    RECEIVE_BYTES,
    Decoder,
    Message,
    argument,
    encoded,
    integer,
    text,
)
from server.processes.company import Company
from server.processes.gathering import Gathered, Question, Then
from server.processes.settings import understood
from server.processes.sharing import SharedSocket
from server.server import Server
from server.supervisor import Mailbox, Note
from statemachine import Binder, Engine, Hook, StateMachineError, System
from statemachine._generated import ServerState
from statemachine.noting import Log

LOG = logging.getLogger("interlock.processes")

LEAVING = frozenset({ServerState.DRAINING, ServerState.CUTTING})

WONDERS_MAX = 256
"""Questions that may be open: more than workers and viewers wait for at once. The oldest go."""

GRACE_SECONDS = 5.0
"""How much longer than its own patience a child may take to end when its parent is gone."""


class Channel:
    """The child's end. Threads: `say` and `wonder` from any, `orders` and `hear` from one."""

    def __init__(self, there: socket.socket) -> None:
        self._socket = there
        self._decoder = Decoder()
        self._lock = threading.Lock()  # one message after the other
        self._ids = itertools.count(1)
        self._wonders: OrderedDict[int, tuple[dict[int, object], Then]] = OrderedDict()

    def say(self, message: Message) -> None:
        """Tell the parent. One that is gone hears nothing; that it is gone is found elsewhere."""
        try:
            with self._lock:
                self._socket.sendall(encoded(message))
        except OSError as error:
            LOG.debug("the parent was not told %s: %s", message["says"], error)

    def close(self) -> None:
        """The last word has been said."""
        self._socket.close()

    def wonder(self, question: Question, then: Then) -> None:
        """Let all processes be asked; `then` is called on the channel's thread, or if the parent is
        gone or too busy, never.
        """
        id_ = next(self._ids)
        self._wonders[id_] = {}, then
        while len(self._wonders) > WONDERS_MAX:
            self._wonders.popitem(last=False)
        given = dict(question.argument)
        self.say({"says": "wonders", "id": id_, "what": question.what, "argument": given})

    def hear(self, message: Message) -> None:
        """An answer to what was asked, or the end of the answers."""
        id_ = integer(message, "id")
        answers, then = self._wonders.get(id_, ({}, None))
        if "facts" not in message:
            answers[integer(message, "number")] = message.get("value")
        elif then is not None:
            self._wonders.pop(id_, None)
            try:
                then(Gathered(argument(message, "facts"), answers))
            except Exception:
                LOG.exception("what the processes have answered could not be told")

    def orders(self) -> Iterator[Message]:
        """Each message as it comes, until the parent is gone."""
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                yield from self._decoder.feed(data)
        except OSError as error:
            LOG.debug("the channel has failed: %s", error)


class Listened:
    """A mailbox whose owner says when it is told to stop. Threads: as those of a Mailbox."""

    def __init__(self, mailbox: Mailbox, told: Callable[[], None]) -> None:
        self.put = mailbox.put
        self._mailbox = mailbox
        self._told = told

    def get(self, *, timeout: float) -> Note:
        """The next note. Raises queue.Empty when the time is over."""
        note = self._mailbox.get(timeout=timeout)
        if note is Note.STOP:
            self._told()
        return note


class Counting:
    """Makes binders that count the ledger's arrows on a board too."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __call__(
        self,
        system: System,
        *,
        engine: Engine,
        hook: Hook | None,
        tallies: Mapping[str, Callable[[], object]],
        log: Log | None,
    ) -> Binder:
        """See `server.ground.MakeBinder`."""
        assert system.ledger is not None
        seen = self._board.tallies(system.ledger)
        # The board first: it never shows less than the server has told of itself.
        both = {arrow: _both(seen.get(arrow), one) for arrow, one in tallies.items()}
        return Binder(system, engine=engine, hook=hook, tallies=both, log=log)


def _both(one: Callable[[], object] | None, other: Callable[[], object]) -> Callable[[], object]:
    if one is None:
        return other

    def tally() -> None:
        one()
        other()

    return tally


def main(channel: int, listening: int, board: int) -> int:
    """Serve as the parent says, on these descriptors; returns the exit status."""
    for descriptor in (channel, listening, board):
        os.set_inheritable(descriptor, False)  # to processes that the application starts
    # The parent passes on what the terminal or an operator asks of all.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    there = Channel(socket.socket(fileno=channel))
    orders = there.orders()
    first = next(orders, None)
    if first is None:
        return 1  # the parent is gone already
    try:
        return _serve(first, there, orders, (listening, board))
    except (InterlockError, StateMachineError) as error:
        status = 2 if isinstance(error, ConfigError) else 1
        there.say({"says": "failed", "status": status, "why": str(error)})
        there.close()
        return status


def _serve(
    first: Message, there: Channel, orders: Iterator[Message], given: tuple[int, int]
) -> int:
    number = integer(first, "number")
    settings = first.get("settings")
    config = understood(settings if isinstance(settings, dict) else {})
    # It is the parent who listens for orders.
    trace = config.trace and f"{config.trace}.{number}"
    config = replace(config, processes=1, trace=trace, ctl_socket="")
    install(config, number=number)  # `logging.shutdown` closes it
    listening, board = given
    usual = Ground()

    def is_leaving() -> bool:
        return server.lifecycle.state in LEAVING

    ground = Ground(
        listen=lambda *_: SharedSocket(listening, is_leaving),
        binder=Counting(Board(board)),
        mailbox=lambda: Listened(usual.mailbox(), lambda: there.say({"says": "stopping"})),
    )
    seen: list[Observer] = []

    def company(own: Observer) -> Company:
        seen.append(own)
        return Company(own.system, there.wonder, own.phase)

    server = Server(config, ground=ground, company=company)
    answers = Answers(server, *seen)
    signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
    signal.signal(signal.SIGUSR1, lambda *_: server.request_dump())
    acts = {
        "stop": lambda _: server.request_stop(),
        "dump": lambda _: server.request_dump(),
        "tell": lambda order: there.say(answers.to(order)),
        "hear": there.hear,
    }
    threading.Thread(target=_obey, args=(server, acts, orders), name="channel", daemon=True).start()
    server.start()
    there.say({"says": "ready"})
    status = server.run()
    there.say(
        {
            "says": "ended",
            "status": status,
            "account": asdict(server.account),
            "snapshot": told(server.snapshot()),
        }
    )
    return status


def _obey(
    server: Server, acts: Mapping[str, Callable[[Message], None]], orders: Iterator[Message]
) -> None:
    """On the channel's thread: do as the parent says, and as it would want when it is gone."""
    for order in orders:
        if act := acts.get(text(order, "asks")):
            act(order)
    LOG.warning("the parent is gone: draining")
    server.request_stop()
    config = server.config
    patience = config.lame_duck_seconds + config.drain_seconds_max + config.cut_seconds_max
    threading.Event().wait(patience + GRACE_SECONDS)
    LOG.critical("the drain does not end: the process ends without it")
    logging.shutdown()  # what was said is in a queue, and nothing else writes it down now
    os._exit(1)
