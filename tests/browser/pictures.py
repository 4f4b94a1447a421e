"""Takes the documents' pictures of the dashboard: python -m tests.browser.pictures [--seconds 60]

A server, clients that keep it busy for a while, and the browser.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.browser.chromium import Browser, find
from tests.browser.house import House

IMAGES = Path(__file__).parents[2] / "docs" / "images"

PATHS = (*("/",) * 24, *("/style.css",) * 8, *("/diagrams/system.svg",) * 3, "/nothing", "/sleep")


class Crowd:
    """Clients: some ask all the time, some are idle, some break the rules or leave."""

    def __init__(self, house: House, seconds: float) -> None:
        self._house = house
        self._until = time.monotonic() + seconds
        self._chance = random.Random(7)
        self._idle = [socket.create_connection(house.server.address) for _ in range(60)]
        works = [self._ask] * 10 + [self._err]
        self._threads = [threading.Thread(target=one, daemon=True) for one in works]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        for one in self._idle:
            one.close()

    def _ask(self) -> None:
        while time.monotonic() < self._until:
            targets = [
                f"/sleep?seconds={self._chance.choice((0.2, 0.5, 1.5))}"
                if path == "/sleep"
                else path
                for path in self._chance.choices(PATHS, k=self._chance.randrange(5, 40))
            ]
            with contextlib.suppress(OSError, http.client.HTTPException):  # the server has gone
                self._house.get(*targets)

    def _err(self) -> None:
        while time.monotonic() < self._until:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self._house.server.address) as one,
            ):
                one.sendall(b"GET / HTTP/1.1\r\n\r\n")
                one.recv(4096)
            time.sleep(0.4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of load before a picture")
    seconds = parser.parse_args().seconds
    program = find()
    if program is None:
        print("no Chromium is installed: make browser", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with House(threads=8, idle_seconds_max=120.0) as house, Browser(program) as browser:
        _take(browser, house, seconds)
    return 0


def _take(browser: Browser, house: House, seconds: float) -> None:
    def picture(
        name: str, look: str, act: Callable[[], object] = bool, *, whole: bool = False
    ) -> None:
        browser.prefer(color_scheme=look)
        act()
        time.sleep(1.5)
        (IMAGES / f"dashboard-{name}.png").write_bytes(browser.picture(whole=whole))

    def click(element: str) -> None:
        event = "new MouseEvent('click', { bubbles: true })"
        browser.see(f"document.getElementById('{element}').dispatchEvent({event})")

    browser.size(1280, 800)
    browser.prefer(color_scheme="light")
    browser.open(house.dashboard)
    browser.until("document.documentElement.dataset.feed === 'live'")
    picture("idle", "light")
    crowd = Crowd(house, seconds + 25)
    time.sleep(seconds)
    picture("load", "light")
    picture("load-dark", "dark")
    picture("state", "light", lambda: click("state-EXCHANGING"))
    click("inspector-close")
    picture("worker-dark", "dark", lambda: click("tab-worker"))
    click("tab-connection")
    browser.size(390, 844)
    picture("phone", "light", whole=True)
    browser.size(1280, 800)
    sleeper = house.begin("/sleep?seconds=12")
    time.sleep(0.5)
    house.server.request_stop()
    picture("draining", "light")
    picture("draining-dark", "dark")
    crowd.join()
    sleeper.join()


if __name__ == "__main__":
    sys.exit(main())
