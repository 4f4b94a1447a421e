"""A folder that is served below a path of its own: `--mount /docs=build/html`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from server.errors import ConfigError

# Segments of unreserved characters (RFC 3986 2.3), which are spelled one way only in a path; none
# hidden but the one that is public by definition (RFC 8615).
_PREFIX: Final = re.compile(r"(?=/)(?:/\.well-known)?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder whose files are served below `prefix`: a path without a slash at its end.

    Raises ConfigError for a prefix that is none.
    """

    prefix: str
    folder: Path

    @classmethod
    def of(cls, text: str) -> Self:
        """A mount as the command line names it. Raises ConfigError."""
        prefix, equals, folder = text.partition("=")
        if not equals or not folder:
            raise ConfigError(f"--mount is {text!r}, expected /PREFIX=DIR")
        return cls(prefix, Path(folder))

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigError(
                f"--mount has the prefix {self.prefix!r}, expected a path like /docs or /a/b, of "
                "letters, digits and - . _ ~, without a slash at its end"
            )


def check_prefixes(mounts: tuple[Mount, ...]) -> None:
    """Raises ConfigError where two mounts have one prefix."""
    prefixes = [mount.prefix for mount in mounts]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise ConfigError(f"--mount names the prefix {prefix} twice, expected it once")
