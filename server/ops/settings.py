"""What the Config says of the operator's pages, held against what is safe."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.config import Config
from server.errors import ConfigError, StartError
from server.ops.addresses import is_address, is_loopback

if TYPE_CHECKING:
    from server.ops.door import Door

_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>\d{1,5})")

# RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


def own_address(config: Config) -> tuple[str, int] | None:
    """Host and port of the listener that the pages have for themselves; None if they have none.

    Raises ConfigError.
    """
    text = config.ops_bind
    if text in ("", "off"):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise ConfigError(f"--ops-bind is {text!r}, expected HOST:PORT, [ADDRESS]:PORT or off")
    return (found["six"] or found["host"], int(found["port"]))


def door_of(config: Config) -> Door:
    """The door that the Config asks for. Raises ConfigError, and StartError for a token file that
    cannot be read.
    """
    from server.ops.door import Door  # noqa: PLC0415 - before somebody asks there is none

    own = own_address(config)
    hosts = [config.host if own is None else own[0], *config.ops_hosts]
    return Door((one for one in hosts if not is_address(one)), _token(config.ops_token_file))


def check_reach(config: Config, address: tuple[str, int]) -> None:
    """Refuse to serve the pages to other machines without a token. Raises ConfigError."""
    if config.ops_token_file:
        return
    try:
        # As it is asked when the address is bound.
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return  # nor can it be bound, and that is told then
    if not is_loopback(str(found[0][4][0])):
        raise ConfigError(
            f"--ops-bind {config.ops_bind} can be reached from other machines, and needs "
            "--ops-token-file"
        )


def _token(file: str) -> bytes | None:
    if not file:
        return None
    try:
        token = Path(file).read_bytes().strip()
    except OSError as error:
        raise StartError(f"--ops-token-file {file}: cannot be read: {error.strerror}") from None
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"--ops-token-file {file}: expected one token of letters, digits and - . _ ~ + /"
        )
    return token
