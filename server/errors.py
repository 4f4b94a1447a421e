"""Errors that cross rooms. Each is raised where it is known and answered in one place."""

from __future__ import annotations


class InterlockError(Exception):
    """The root of the server's own errors."""


class ConfigError(InterlockError):
    """A setting cannot be used.

    The message is one line: which option, its value, what was expected.
    """


class StartError(InterlockError):
    """The environment does not let the server start: the port is taken, the root is missing."""


class ProtocolError(InterlockError):
    """The peer broke HTTP/1.1, or asked for more than a limit allows.

    `status` is the answer that RFC 9110 names for it; the connection ends after that answer.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ContentError(InterlockError):
    """A response's content is not what its head promised; the connection must be cut."""
