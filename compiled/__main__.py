"""`python -m compiled build`, or with any other arguments the server, compiled if it can be."""

from __future__ import annotations

import sys

from compiled import CompiledError, install


def main(arguments: list[str]) -> int:
    """Build, or serve; returns the exit status."""
    try:
        if arguments == ["build"]:
            from compiled.building import build  # noqa: PLC0415 - who serves needs no compiler

            print(build())
            return 0
        if not install():
            print("interlock: no compiled core, all is interpreted", file=sys.stderr)
    except CompiledError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 1
    from server.cli import main as serve  # noqa: PLC0415 - only now it may be compiled

    return serve(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
