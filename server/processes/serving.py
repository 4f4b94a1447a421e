"""Several processes from the first to the last line: what `--processes N` does."""

from __future__ import annotations

import logging
from collections.abc import Callable

from server.clock import SystemClock
from server.config import Config
from server.net.listener import bind
from server.net.transport import address_of
from server.processes.accounts import Total
from server.processes.parent import Parent
from server.processes.settings import told
from server.processes.station import Station
from server.server import sound_system
from statemachine import Binder
from statemachine._generated import FleetState

LOG = logging.getLogger("interlock.processes")


def serve_with(config: Config, announce: Callable[[str], None]) -> tuple[int, Total, str]:
    """Run the processes until signals stop them: exit status, ledger, and why they failed, if so.

    `announce` is called with the URL when all are ready. Raises StartError and SpecError.
    """
    binder = Binder(sound_system(), engine=config.engine)
    listening = bind(config.host, config.port, config.backlog)
    host, port = address_of(listening.getsockname())
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    station = Station(listening, told(config), SystemClock())
    parent = Parent(config, station, binder, lambda: announce(url))
    with station.open():
        status = parent.run()
    fleet = parent.fleet
    if fleet.total.imbalance:
        LOG.critical("the ledger does not balance, by %d", fleet.total.imbalance)
    why = fleet.failure[1] if fleet.state is FleetState.FAILED else ""
    return status, fleet.total, why
