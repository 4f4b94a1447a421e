"""`python -m docs._ext FOLDER`: write the site's sources there."""

from __future__ import annotations

import sys
from pathlib import Path

from docs._ext.staging import stage, write


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if a document is wrong."""
    try:
        staged = stage()
    except ValueError as error:
        print(f"docs: {error}", file=sys.stderr)
        return 1
    write(staged, Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
