"""Bugs of the pipe, the reservoir and the futures, seeded one at a time."""

from __future__ import annotations

from tests.interleavings.bugs import Bug
from tests.interleavings.world import Patch

PIPE, FUTURES = "server/net/pipe.py", "server/thread_pool.py"

BUGS = (
    Bug(
        "room-taken-for-granted",
        "A writer that was woken once takes it that there is room now.",
        ("pipe: r60 m50 f0 ooe/99 ooe/99", "pipe: r1000 m50 f0 ooooe/99"),
        Patch(
            PIPE,
            "            while not self._put_slice(whole[begin : begin + size], tell):\n",
            "            if not self._put_slice(whole[begin : begin + size], tell):\n",
        ),
    ),
    Bug(
        "abandoned-and-untold",
        "A writer that waits for room is not told that nobody reads any more.",
        ("pipe: r1000 m50 f0 oooe/1",),
        Patch(
            PIPE,
            "            self._forget_file_locked()\n        self._let_writer_go()\n",
            "            self._forget_file_locked()\n",
        ),
    ),
    Bug(
        "emptiness-peeked",
        "Whether the pipe is empty is looked at before the lock is taken: nobody tells the reader.",
        ("pipe: r1000 m100 f0 ooooe/99",),
        Patch(
            PIPE,
            "        size = len(piece)\n        with self._lock:\n",
            "        size = len(piece)\n        was_empty = self._is_empty_locked()\n"
            "        with self._lock:\n",
        ),
        Patch(
            PIPE,
            "            was_empty, begin = self._is_empty_locked(), self._begun_bytes\n",
            "            begin = self._begun_bytes\n",
        ),
    ),
    Bug(
        "told-too-early",
        "The reader is told before the piece is in.",
        ("pipe: r1000 m100 f0 ooooe/99",),
        Patch(
            PIPE,
            "        size = len(piece)\n        with self._lock:\n",
            "        size = len(piece)\n        if self._is_empty_locked():\n            tell()\n"
            "        with self._lock:\n",
        ),
        Patch(
            PIPE,
            "        if was_empty:\n            tell()\n        return True\n",
            "        return True\n",
        ),
    ),
    Bug(
        "file-looked-up-late",
        "A writer asks which file is the pipe's when the reader may have abandoned it.",
        ("pipe: r150 m50 f80 oooe/1",),
        Patch(
            PIPE,
            "            was_empty = self._write(file, piece, begin)\n",
            "            was_empty = self._write(self._file, piece, begin)\n",
        ),
    ),
    Bug(
        "room-kept",
        "What an abandoned pipe held is given back by nobody.",
        ("pipe: r1000 m100 f0 ooe/1",),
        Patch(
            PIPE,
            "                self._sending_bytes = len(self._memory.popleft())\n"
            "                self._forget_sent_locked()\n",
            "                self._memory.popleft()\n",
        ),
    ),
    Bug(
        "cancelled-and-run",
        "A call is run without a look whether its future was cancelled.",
        ("futures: 1 sscw", "futures: 1 sc"),
        Patch(
            FUTURES,
            "        if not self.future.set_running_or_notify_cancel():\n            return\n",
            "        self.future.set_running_or_notify_cancel()\n",
        ),
    ),
    Bug(
        "dropped-futures",
        "Futures of calls that a shutdown withdraws are told nothing.",
        ("futures: 1 ssd",),
        Patch(
            FUTURES,
            "            if future.cancel():\n"
            "                future.set_running_or_notify_cancel()\n",
            "",
        ),
    ),
    Bug(
        "withdrawn-and-running",
        "A shutdown marks futures that it withdraws as running, and not as cancelled.",
        ("futures: 1 ssd", "futures: 2 sssd"),
        Patch(
            FUTURES,
            "            if future.cancel():\n"
            "                future.set_running_or_notify_cancel()\n",
            "            future.set_running_or_notify_cancel()\n",
        ),
    ),
)
