"""Interlock: a multi-threaded HTTP/1.1 server whose states come from a spec."""

from server.thread_pool import ThreadPool

__version__ = "0.1.0"
__all__ = ["ThreadPool", "__version__"]
