"""What a child answers when all processes are asked: the words of a `gathering.Question`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Final

from server.observing import Observer
from server.ops.frames import LANES_MAX
from server.ops.spelling import told
from server.processes.channel import LINE_BYTES_MAX, Message, argument, encoded, integer, text
from server.server import Server

LOG = logging.getLogger("interlock.processes")

STACKS_CHARACTERS_MAX: Final = 1 << 17
TARGET_CHARACTERS_MAX: Final = 1000
"""Of what strangers send, so much is passed on to where it is listed."""

Argument = Mapping[str, object]


class Answers:
    """One server's answers. Threads: the one of its channel."""

    def __init__(self, server: Server, observer: Observer) -> None:
        self._server = server
        self._observer = observer
        self._words: Mapping[str, Callable[[Argument], object]] = {
            "snapshot": self._snapshot,
            "frame": self._frame,
            "connections": self._connections,
            "stacks": self._stacks,
            "resize": self._resize,
            "dump": self._dump,
        }

    def to(self, order: Message) -> Message:
        """The message that answers one which asks to tell. Its value is None where there is no
        answer: whoever asked must not wait for it.
        """
        word, value = self._words.get(text(order, "what")), None
        if word is not None:
            try:
                value = word(argument(order, "argument"))
            except Exception:
                # The channel has the parent's orders to take, whatever is wrong here.
                LOG.exception("a question could not be answered")
        found = {"says": "told", "id": integer(order, "id"), "value": value}
        if len(encoded(found)) > LINE_BYTES_MAX:
            LOG.error("an answer is longer than %d bytes: it is not sent", LINE_BYTES_MAX)
            return {**found, "value": None}
        return found

    def _snapshot(self, _: Argument) -> object:
        return {"snapshot": told(self._observer.snapshot())}

    def _frame(self, _: Argument) -> object:
        lanes = [asdict(one) for one in islice(self._observer.lanes(), LANES_MAX)]
        return {"snapshot": told(self._observer.snapshot()), "lanes": lanes}

    def _connections(self, given: Argument) -> object:
        page = self._observer.page(text(given, "state"), integer(given, "page"))
        shown = asdict(page)
        for one in shown["connections"]:
            one["request"] = one["request"] and one["request"][:TARGET_CHARACTERS_MAX]
        return shown

    def _stacks(self, _: Argument) -> object:
        return self._observer.stacks()[:STACKS_CHARACTERS_MAX]

    def _resize(self, given: Argument) -> object:
        threads = integer(given, "threads")
        return threads > 0 and self._server.resize(threads)

    def _dump(self, given: Argument) -> object:
        file = self._server.dump(text(given, "reason"))
        return None if file is None else str(file)
