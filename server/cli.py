"""The command line: every field of Config is an option.

Exit status: 0 drained and stopped, 1 the environment did not allow it or the stop was forced, 2 the
command line was wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Sequence

import server
from server.config import CHOICES, Config, option, parser_of
from server.errors import ConfigError, InterlockError
from server.server import Server
from statemachine import StateMachineError

DESCRIPTION = """\
Interlock: a multi-threaded HTTP/1.1 server whose connections and workers are state machines.

Serves the pages below --root, or the WSGI application --app. SIGINT or SIGTERM drains: what has
been accepted is answered, then the server stops. A second signal cuts off what is left.
"""

EXAMPLES = """\
examples:
  python -m server                              serve html/ on http://127.0.0.1:7878 with 4 threads
  python -m server --port 0 --threads 8         on a free port, with 8 threads
  python -m server --threads -                  read the number of threads from standard input
  python -m server --root ~/site --access-log - another folder, requests logged to stdout
  python -m server --app shop.wsgi:application  a WSGI application (PEP 3333), and no pages
  python -m server --mount /docs=build/html     one more folder, below a path of its own

exit status: 0 drained and stopped, 1 could not start or was forced to stop, 2 wrong command line
"""

METAVARS = {
    "int": "N",
    "float": "SECONDS",
    "Path": "DIR",
    "tuple[Mount, ...]": "/PREFIX=DIR",
    "app": "MODULE:CALLABLE",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal stops it; returns the exit status."""
    parser = make_parser()
    options = vars(parser.parse_args(arguments))
    try:
        if options["threads"] == "-":
            options["threads"] = _threads_from_input()
        config = Config.of({name: _value(name, text) for name, text in options.items()})
    except ConfigError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        return _serve(config)
    except (InterlockError, StateMachineError) as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def make_parser() -> argparse.ArgumentParser:
    """The options, from Config's fields: name, default and meaning."""
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"interlock {server.__version__}")
    for one in dataclasses.fields(Config):
        parser.add_argument(
            option(one.name),
            dest=one.name,
            action="append" if one.metadata.get("repeat") else "store",
            default=argparse.SUPPRESS if one.name != "threads" else str(Config().threads),
            metavar=_metavar(one),
            help=f"{one.metadata['means']} (default: {_shown_default(one)})",
        )
    return parser


def _metavar(one: dataclasses.Field[object]) -> str:
    if one.name in CHOICES:
        return "|".join(CHOICES[one.name])
    if one.name.endswith("_bytes_max"):
        return "BYTES"
    return METAVARS.get(one.name) or METAVARS.get(str(one.type), one.name.upper())


def _shown_default(one: dataclasses.Field[object]) -> str:
    value = getattr(Config(), one.name)
    if value in ((), ""):
        return "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("%", "%%") if one.name != "root" else "the pages that come with Interlock"


def _value(name: str, text: object) -> object:
    """An option's text as its field's type. Raises ConfigError."""
    one = next(field for field in dataclasses.fields(Config) if field.name == name)
    parse = parser_of(one)
    if isinstance(text, list):
        return tuple(parse(each) for each in text)
    try:
        return parse(str(text))
    except (TypeError, ValueError):
        what = "whole number" if parse is int else "number"
        least = one.metadata.get("least", 0)
        message = f"{option(name)} is {text!r}, expected a {what}, {least:g} or more"
        raise ConfigError(message) from None


def _threads_from_input() -> str:
    """The number of threads, as a person or a pipe gives it: one line."""
    if sys.stdin.isatty():
        print("How many worker threads? ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line.strip():
        raise ConfigError("--threads -: standard input gave no number of threads")
    return line.strip()


def _serve(config: Config) -> int:
    one = Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: one.request_stop())
    one.start()
    threads = f"{config.threads} thread{'' if config.threads == 1 else 's'}"
    print(
        f"Interlock {server.__version__} serves {config.app or config.root} on {one.url} "
        f"with {threads} (pid {os.getpid()})",
        flush=True,
    )
    return one.run()
