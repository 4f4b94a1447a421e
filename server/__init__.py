"""Interlock: a multi-threaded HTTP/1.1 server whose states come from a spec."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Server", "ThreadPool", "__version__", "serve"]

if TYPE_CHECKING:
    from server.api import Server, serve
    from server.thread_pool import ThreadPool
else:

    def __getattr__(name: str) -> object:
        # Who wants the pool alone does not wait for the server, nor the server for the pool.
        if name in ("Server", "serve"):
            return getattr(importlib.import_module("server.api"), name)
        if name == "ThreadPool":
            return importlib.import_module("server.thread_pool").ThreadPool
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
