"""A real browser, driven through its debugging pipe: no package but the browser is needed.

The protocol is JSON, and a NUL ends each message:
https://chromedevtools.github.io/devtools-protocol.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)

ADOPT = """
import os, sys
for fd, name in ((3, sys.argv[1]), (4, sys.argv[2])):
    os.dup2(int(name), fd)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads its orders from descriptor 3, and answers on 4."""

PATIENCE_SECONDS = 30.0

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39}


def find() -> str | None:
    """Where a browser is, if one is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Navigated(AssertionError):
    """The page that was asked has gone to another one."""


class Browser:
    """One browser with one tab.

    `errors` are what the page has put on its console, or failed to load; `requests` the addresses
    that it has asked for.
    """

    def __init__(self, program: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="interlock-browser-")
        orders, self._orders = _pipe()
        self._answers, answers = _pipe()
        command = [sys.executable, "-c", ADOPT, str(orders), str(answers), program, *FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder}", "about:blank"],
            pass_fds=(orders, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(orders)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._read = b""
        self._session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        os.close(self._orders)
        os.close(self._answers)
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the protocol -----------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers. Raises AssertionError where it refuses, or is silent."""
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        until = time.monotonic() + PATIENCE_SECONDS
        while (message := self._next(until)).get("id") != number:
            self._note(message)
        if "error" in message and "navigated" in message["error"]["message"]:
            raise Navigated
        assert "error" not in message, f"{method}: {message['error']}"
        result: dict[str, Any] = message["result"]
        return result

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser has ended"
            self._read += data
        line, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(told["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.errors.append(json.dumps(told["args"])[:500])
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])

    # --- what a person does -----------------------------------------------------------------

    def open(self, address: str) -> None:
        """Go to a page; what was noted of the last one is forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.errors.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)

    def see(self, script: str) -> Any:
        """The value of an expression on the page, awaited if it is a promise."""
        how = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=script, **how)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """The first true value of a condition of the page; AssertionError where it never comes."""
        until = time.monotonic() + PATIENCE_SECONDS
        value = f"(v => v instanceof Node || v)(document.body && ({condition}))"
        look = f"new Promise(soon => setTimeout(soon, 40)).then(() => {value})"
        while time.monotonic() < until:
            with contextlib.suppress(Navigated):
                if found := self.see(look):
                    return found
        raise AssertionError(f"never true: {condition}; on the console: {self.errors}")

    def press(self, key: str) -> None:
        """Press a key, and let it go."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def prefer(self, **features: str) -> None:
        """Have preferences of the system: `color_scheme="dark"`, `reduced_motion="reduce"`."""
        told = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=told)

    def size(self, width: int, height: int) -> None:
        """Have a window of so many pixels; a narrow one is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def picture(self, *, whole: bool = False) -> bytes:
        """What is to be seen, as PNG: the window, or the `whole` page."""
        how: dict[str, Any] = {"format": "png"}
        if whole:
            size = "({x: 0, y: 0, width: innerWidth, height: document.body.scrollHeight, scale: 1})"
            how |= {"captureBeyondViewport": True, "clip": self.see(size)}
        return base64.b64decode(self.call("Page.captureScreenshot", **how)["data"])


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the descriptors that the browser wants."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
