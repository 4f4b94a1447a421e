"""`python -m server`: see `server.cli`."""

import gc
import os
import sys

from server.compiled import CompiledError, choose

try:
    choose(sys.argv[1:], os.environ)
except CompiledError as error:
    sys.exit(f"interlock: {error}")

# All that is imported stays. To look for garbage in it, now and later, is for nothing.
gc.disable()

from server.cli import main  # noqa: E402 - as above

gc.freeze()
gc.enable()

if __name__ == "__main__":
    sys.exit(main())
