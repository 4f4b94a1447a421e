"""What the pool takes from `threading`, so that a scheduler under test can slip beneath it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Lock(AbstractContextManager[object], Protocol):
    """A lock that any thread may release, like `threading.Lock`.

    To release it unlocked raises RuntimeError.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class Thread(Protocol):
    """A thread, like `threading.Thread`."""

    def start(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...
    def is_alive(self) -> bool: ...


class Threading(Protocol):
    """The names that the pool uses of the module `threading`."""

    def Lock(self) -> Lock: ...  # noqa: N802 - the name that `threading` gives it
    def Thread(  # noqa: N802 - the name that `threading` gives it
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> Thread: ...
    def get_ident(self) -> int: ...


class SystemThreading:
    """The operating system's threads."""

    Lock = staticmethod(threading.Lock)

    def Thread(  # noqa: N802 - see Threading
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> Thread:
        return threading.Thread(target=target, name=name, daemon=daemon)

    def get_ident(self) -> int:
        return threading.get_ident()
