"""Several processes from the first to the last line: what `--processes N` does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from server.clock import SystemClock
from server.composing import make_hub
from server.config import Config
from server.ledger import Ledger
from server.net.listener import bind
from server.net.threads import SystemThreading
from server.net.transport import address_of
from server.operating import Operating
from server.ops.feed import Feed
from server.ops.process import process
from server.ops.several import Unanswered
from server.processes.accounts import Total
from server.processes.channel import Message
from server.processes.company import Company
from server.processes.gathering import Question, Then
from server.processes.parent import Parent
from server.processes.settings import told
from server.processes.station import Station
from server.processes.world import Asked, Wondered
from server.server import Server, sound_system
from statemachine import Binder
from statemachine._generated import FleetState

LOG = logging.getLogger("interlock.processes")

OWN: Final = ("fleet", "process")
"""The machines that the parent moves."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the control socket may order. Threads: any."""

    company: Company
    station: Station

    def request_stop(self) -> None:
        """As a signal would."""
        self.station.put(Asked.STOP)

    def resize(self, threads: int) -> bool:
        """See `Company`."""
        return self.company.resize(threads)

    def dump(self, reason: str) -> object:
        """See `Company`."""
        return self.company.dump(reason)


def serve_with(config: Config, announce: Callable[[str], None]) -> tuple[int, Total, str]:
    """Run the processes until signals stop them: exit status, ledger, and why they failed, if so.

    `announce` is called with the URL when all are ready. Raises StartError, ConfigError and
    SpecError.
    """
    listening = bind(config.host, config.port, config.backlog)
    station = Station(listening, told(config), SystemClock())
    try:
        host, port = address_of(listening.getsockname())
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        parent, operating, feed = _made(config, station, url, announce)
        operating.open()
    except BaseException:
        station.close()
        raise
    try:
        with station.open():
            status = parent.run(feed.tick)
    finally:
        operating.close()
    fleet = parent.fleet
    if fleet.total.imbalance:
        LOG.critical("the ledger does not balance, by %d", fleet.total.imbalance)
    why = fleet.failure[1] if fleet.state is FleetState.FAILED else ""
    return status, fleet.total, why


def _made(
    config: Config, station: Station, url: str, announce: Callable[[str], None]
) -> tuple[Parent, Operating, Feed]:
    """The parent, and where its operator is met, with the feed that is shown there."""
    system, clock = sound_system(), SystemClock()
    assert system.ledger is not None
    own = [arrow.id for name in OWN for arrow in system.machines[name].arrows]
    ledger = Ledger(system.ledger, own)
    began = clock.monotonic()

    def facts() -> Message:
        taken = ledger.taken()
        return {
            "url": url,
            "uptime_seconds": clock.monotonic() - began,
            "process": asdict(process()),
            "arrows": {arrow: taken[arrow] for arrow in own},
        }

    binder = Binder(system, engine=config.engine, tallies=ledger.tallies)
    parent = Parent(config, station, binder, lambda: announce(url), facts)

    def ask(question: Question, then: Then) -> None:
        if not station.put(Wondered(question, then)):
            raise Unanswered("all processes have ended")

    company = Company(system, ask, lambda: parent.fleet.state)
    hub = make_hub(config)
    feed = Feed(lambda: company, hub, clock)
    operating = Operating(
        config,
        lambda: company,
        feed,
        Orders(company, station),
        make=partial(Server, events=hub),
        threading=SystemThreading(),
    )
    return parent, operating, feed
