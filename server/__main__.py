"""`python -m server`: see `server.cli`."""

import gc
import sys

# All that is imported stays. To look for garbage in it, now and later, is for nothing.
gc.disable()

from server.cli import main  # noqa: E402 - as above

gc.freeze()
gc.enable()

if __name__ == "__main__":
    sys.exit(main())
