"""`python -m server ctl`: gives a running server an order, by its control socket."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from typing import Final

ANSWER_SECONDS_MAX: Final = 30.0

ORDERS: Final = """\
orders:
  status      what the server is now, in a few lines
  ready       whether it asks for more work: exit status 0, else 1
  drain       answer what has been accepted, and stop; a second time: cut off what is left
  resize N    have N workers: new ones at once, fewer as they come to be idle
  threads     where each thread is
  trace dump  write the last arrows that were taken to a file, and name it

exit status: 0 done, 1 not done, 2 wrong command line or no server there
"""


def main(arguments: Sequence[str]) -> int:
    """Give one order; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m server ctl",
        description="Gives a running server an order, by its control socket.",
        epilog=ORDERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--ctl-socket", required=True, metavar="PATH", help="as it was given to the server"
    )
    parser.add_argument("order", nargs="+", metavar="ORDER", help="one of the orders below")
    options = parser.parse_args(arguments)
    try:
        status, text = ask(options.ctl_socket, " ".join(options.order))
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        print(f"interlock: --ctl-socket {options.ctl_socket}: {said}", file=sys.stderr)
        return 2
    print(text, file=sys.stderr if status else sys.stdout)
    return status


def ask(path: str, order: str) -> tuple[int, str]:
    """Status and text of a server's answer to one order. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(ANSWER_SECONDS_MAX)
        one.connect(path)
        one.sendall(order.replace("\n", " ").encode() + b"\n")
        with one.makefile("rb") as stream:
            answer = stream.read().decode("utf-8", "replace")
    status, _, text = answer.partition("\n")
    if not status.isdigit():
        raise OSError("the server gave no answer")
    return int(status), text.rstrip("\n")
