"""A pool with more places, or fewer, while it runs.

New workers are started at once. Of those who are too many, each retires when it comes to be idle,
whatever is queued: who is at work ends that first, and nobody is torn out of anything.
"""

from __future__ import annotations

from server.net.pool import Pool
from statemachine._generated import PoolState


def resize(pool: Pool, places: int) -> bool:
    """Have so many places. False: the pool is not SERVING. Raises ValueError for none.

    A place for which no thread can be had is filled later, if the pool is supervised. Threads: any,
    but for what may hold the pool's lock.
    """
    if places < 1:
        raise ValueError(f"{places} places, expected at least 1")
    with pool.lock:
        if pool.state is not PoolState.SERVING:
            return False
        pool.crew.wanted = places
        pool.resized()
        # Each looks whether it is one too many, and lies down again if not.
        pool.sleepers.wake(len(pool.sleepers))
    pool.fill(places)
    return True
