"""A client with a process of its own, so that what it waits for is the server and not the harness.

    python -m benchmarks.gauntlet.prober PORT COUNT

Asks for the short page COUNT times on one kept-alive connection, with a pause after each, and
prints the seconds that each took, a line each. It gives up after PATIENCE_SECONDS without an
answer.
"""

from __future__ import annotations

import http.client
import sys
import time

PATIENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.02


def main() -> int:
    """Returns the exit status: 0, or 1 where an answer was not 200 or did not come."""
    port, count = (int(one) for one in sys.argv[1:])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    for _ in range(count):
        began = time.monotonic()
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 1
        print(time.monotonic() - began, flush=True)
        if answer.status != 200:
            return 1
        time.sleep(PAUSE_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
