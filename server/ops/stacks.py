"""Where each thread of this process is."""

from __future__ import annotations

import sys
import threading
import traceback


def stacks() -> str:
    """The stack of each thread, innermost line last."""
    names = {one.ident: one.name for one in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, 'unnamed')} ({ident})\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )
