"""The command line: every field of Config is an option.

Exit status: 0 drained and stopped, 1 the environment did not allow it or the stop was forced, 2 the
command line was wrong, 3 drained, and the ledger of requests does not balance.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Sequence

import server
from server import error_log
from server.config import CHOICES, Config, option, parser_of
from server.errors import ConfigError, InterlockError
from server.log_file import LogFile, file_stream, opened
from server.net.access_log import STANDARD_OUTPUT, tell_lost
from server.operating import tell_where
from server.server import Server
from statemachine import SpecError, StateMachineError
from statemachine.ahead import IS_COMPILED

DESCRIPTION = """\
Interlock: a multi-threaded HTTP/1.1 server whose connections and workers are state machines.

Serves the pages below --root, or the WSGI application --app. SIGINT or SIGTERM drains: what has
been accepted is answered, then the server stops. A second signal cuts off what is left. SIGUSR1
writes the last arrows that were taken to a file, which the log names. SIGHUP opens the log files
again, where there are any.
"""

EXAMPLES = """\
examples:
  python -m server                              serve html/ on http://127.0.0.1:7878 with 4 threads
  python -m server --port 0 --threads 8         on a free port, with 8 threads
  python -m server --threads -                  read the number of threads from standard input
  python -m server --root ~/site --access-log - another folder, requests logged to stdout
  python -m server --app shop.wsgi:application  a WSGI application (PEP 3333), and no pages
  python -m server --mount /docs=build/html     one more folder, below a path of its own
  python -m server --processes 4                several processes: SIGHUP replaces them, one by one
  python -m server --trace FILE                 every arrow, for python -m statemachine replay FILE
  python -m server ctl --help                   orders to a running server: docs/operations.md
  python -m server simulate --help              the whole server, simulated: docs/simulation.md
  python -m server compile                      a compiled core, for later starts

exit status: 0 drained and stopped, 1 could not start or was forced to stop, 2 wrong command line,
             3 a request that was accepted has no outcome (the ledger, printed at the end)
"""

METAVARS = {
    "trace": "FILE",
    "flight_dir": "DIR",
    "log_file": "FILE",
    "int": "N",
    "float": "SECONDS",
    "Path": "DIR",
    "tuple[Mount, ...]": "/PREFIX=DIR",
    "app": "MODULE:CALLABLE",
    "ctl_socket": "PATH",
    "ops_bind": "HOST:PORT",
    "ops_hosts": "NAME",
    "ops_token_file": "FILE",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal stops it; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["simulate"]:
        return _simulate(given[1:])
    if given[:1] == ["ctl"]:
        return _order(given[1:])
    if given[:1] == ["compile"]:
        return _compile(given[1:])
    parser = make_parser()
    options = vars(parser.parse_args(given))
    try:
        if options["threads"] == "-":
            options["threads"] = _threads_from_input()
        config = Config.of({name: _value(name, text) for name, text in options.items()})
    except ConfigError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2
    try:
        handler = error_log.install(config)
        try:
            return _serve(config)
        finally:
            error_log.remove(handler)
    except (InterlockError, StateMachineError) as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _simulate(arguments: Sequence[str]) -> int:
    from server.simulation.command import main as simulate  # noqa: PLC0415 - who serves needs none

    try:
        return simulate(arguments)
    except SpecError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2


def _order(arguments: Sequence[str]) -> int:
    from server.ops.command import main as order  # noqa: PLC0415 - who serves needs none

    return order(arguments)


def _compile(arguments: Sequence[str]) -> int:
    from server.compiled import CompiledError  # noqa: PLC0415 - who serves needs none
    from server.compiled.building import build  # noqa: PLC0415 - as above

    if arguments:
        print(f"interlock: compile takes no options, but was given {arguments[0]}", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        print("compiling, for about a minute …", file=sys.stderr)
    try:
        print(build())
    except CompiledError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The options, from Config's fields: name, default and meaning."""
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"interlock {_version()}")
    usual = Config()
    for one in dataclasses.fields(Config):
        parser.add_argument(
            option(one.name),
            dest=one.name,
            action="append" if one.metadata.get("repeat") else "store",
            default=argparse.SUPPRESS if one.name != "threads" else str(usual.threads),
            metavar=_metavar(one),
            help=f"{one.metadata['means']} (default: {_shown_default(one, usual)})",
        )
    return parser


def _metavar(one: dataclasses.Field[object]) -> str:
    if one.name in CHOICES:
        return "|".join(CHOICES[one.name])
    if one.name.endswith("_bytes_max"):
        return "BYTES"
    return METAVARS.get(one.name) or METAVARS.get(str(one.type), one.name.upper())


def _shown_default(one: dataclasses.Field[object], usual: Config) -> str:
    value = getattr(usual, one.name)
    if "shown" in one.metadata:
        return str(one.metadata["shown"])
    if value in ((), ""):
        return "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("%", "%%")


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


def _version() -> str:
    """The server's, and whether its core is compiled."""
    return f"{server.__version__} (compiled)" if IS_COMPILED else server.__version__


def _announcement(config: Config, url: str) -> str:
    threads = f"{config.threads} thread{'' if config.threads == 1 else 's'}"
    if config.processes > 1:
        threads += f" in each of {config.processes} processes"
    return (
        f"Interlock {_version()} serves {config.app or config.root} on {url} "
        f"with {threads} (pid {os.getpid()})"
    )


def _serve_with_several(config: Config) -> int:
    from server.processes.serving import serve_with  # noqa: PLC0415 - one process needs none

    def announce(url: str) -> None:
        print(_announcement(config, url), flush=True)
        tell_where(config, url)

    status, total, why = serve_with(config, announce)
    if total.accepted or not why:
        print(total, flush=True)
    if why:
        print(f"interlock: {why}", file=sys.stderr)
    return status


def _serve(config: Config) -> int:
    if config.processes > 1:
        return _serve_with_several(config)
    one = Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: one.request_stop())
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda *_: one.request_dump())
    if hasattr(signal, "SIGHUP") and config.has_log_files:
        signal.signal(signal.SIGHUP, lambda *_: one.request_reopen())
    # A reader of standard output who takes nothing does not hold the server up.
    output = opened(LogFile(file_stream(STANDARD_OUTPUT), tell_lost), "standard output", "")
    try:
        one.start()
        _say(output, _announcement(config, one.url))
        tell_where(config, one.url)
        status = one.run()
        _say(output, str(one.account))
    finally:
        output.close()
    return status


def _say(output: LogFile, line: str) -> None:
    output.put(f"{line}\n".encode("utf-8", "backslashreplace"))
