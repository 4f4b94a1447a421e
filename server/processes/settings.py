"""A Config as text that another process, of another version perhaps, makes a Config of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from server.config import Config, Mount, option, parser_of
from server.errors import ConfigError


def told(config: Config) -> dict[str, object]:
    """The settings that differ from the defaults, as the command line would have them."""
    usual = Config()
    return {
        one.name: _told(getattr(config, one.name))
        for one in dataclasses.fields(config)
        if getattr(config, one.name) != getattr(usual, one.name)
    }


def _told(value: object) -> object:
    if isinstance(value, tuple):
        return [_told(one) for one in value]
    return f"{value.prefix}={value.folder}" if isinstance(value, Mount) else str(value)


def understood(settings: Mapping[str, object]) -> Config:
    """The Config of these settings. Raises ConfigError, also for one that this code has not."""
    known = {one.name: parser_of(one) for one in dataclasses.fields(Config)}
    found: dict[str, object] = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"{option(name)} is an option of another version, not of this one")
        parse = known[name]
        try:
            found[name] = tuple(map(parse, value)) if isinstance(value, list) else parse(str(value))
        except ValueError:
            raise ConfigError(f"{option(name)} is {value!r}, which this version refuses") from None
    return Config.of(found)
