"""The reference of the commands, from their own parsers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from unittest import mock

from docs._ext.options import with_options
from server import cli
from server.simulation import command as simulation
from statemachine import System
from statemachine import __main__ as statemachine

COMMANDS: Final[tuple[Callable[[], argparse.ArgumentParser], ...]] = (
    simulation._parser,
    statemachine._parser,
)
"""The commands beside the server's own."""

COLUMNS: Final = "96"
"""How wide a command's own text is."""

SIGNALS: Final = """\
| signal | does |
|---|---|
| SIGINT, SIGTERM | drains: what was accepted is answered, then the server stops |
| a second one | cuts off what is left |
| SIGUSR1 | writes the last arrows that were taken to a file, which the log names |
| SIGHUP | opens the log files again, where there are any: [Logs](../logging.md#rotation) |
"""


def command_line(_top: Path, _system: System) -> str:
    """The page of the commands."""
    lines = [
        "# Command line",
        "",
        "```text",
        cli.DESCRIPTION.rstrip(),
        "",
        cli.EXAMPLES.rstrip(),
        "```",
        "",
        "## Signals",
        "",
        SIGNALS,
        "## Options",
        "",
        "[Configuration](configuration.md) says more of each: its unit, and what other servers do.",
        "",
        "| option | value | default | means |",
        "|---|---|---|---|",
        *map(_option, cli.make_parser()._actions),
        "",
    ]
    for parser in COMMANDS:
        lines += _command(parser(), "##")
    return "\n".join(lines)


def _option(action: argparse.Action) -> str:
    """An option's row; those of Config lead to their place in the reference."""
    text, _, default = (action.help or "").rpartition(" (default: ")
    name = action.option_strings[-1]
    shown = f"[`{name}`](configuration.md#{name})" if text else f"`{name}`"
    value = f"`{action.metavar}`".replace("|", "\\|") if action.metavar else ""
    means = with_options(text or action.help or "")
    return f"| {shown} | {value} | {default[:-1].replace('%%', '%') if text else ''} | {means} |"


def _command(parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    yield from [f"{level} `{parser.prog}`", "", "```text", _help(parser), "```", ""]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _command(one, f"{level}#")


def _help(parser: argparse.ArgumentParser) -> str:
    """What the command says of itself."""
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}):
        return parser.format_help().rstrip()
