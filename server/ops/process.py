"""What the operating system says of this process. Reading it costs a few system calls, however much
the process has open.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from pathlib import Path
from typing import Final

from server.ops.snapshot import Process

SELF: Final = Path("/proc/self")

try:
    import resource
except ImportError:  # there is none on Windows
    DESCRIPTORS_MAX: int | None = None
else:
    DESCRIPTORS_MAX = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def process() -> Process:
    """The figures now."""
    return Process(
        pid=os.getpid(),
        threads=threading.active_count(),
        cpu_seconds=time.process_time(),
        started_at=_started_at(),
        resident_bytes=_resident_bytes(),
        descriptors=_descriptors(),
        descriptors_max=DESCRIPTORS_MAX,
    )


@functools.cache
def _started_at() -> float:
    # proc(5): the name in the second field may hold anything, so count from the end of it.
    with contextlib.suppress(OSError):
        words = (SELF / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        ticks = int(words.split()[19])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK")
    return LOADED_AT


LOADED_AT: Final = time.time()
"""Where the system does not say when a process began: shortly before this module was read."""


def _resident_bytes() -> int | None:
    with contextlib.suppress(OSError):
        pages = int((SELF / "statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def _descriptors() -> int | None:
    with contextlib.suppress(OSError):
        # Since Linux 6.2 the folder's size is their number; before, it is 0, and they are counted.
        return os.stat(SELF / "fd").st_size or len(os.listdir(SELF / "fd"))
    return None
