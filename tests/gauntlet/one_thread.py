"""A server that serves one connection at a time: the standard library's, for rows that must fail.

`python -m tests.gauntlet.one_thread PORT`; with `child` after it, it also starts a process that
would outlive it.
"""

from __future__ import annotations

import subprocess
import sys
from wsgiref.simple_server import make_server

from benchmarks.gauntlet.application import application

if __name__ == "__main__":
    if "child" in sys.argv:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
