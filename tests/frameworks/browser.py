"""A client that keeps cookies, follows redirects and fills forms in, as a browser does."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from urllib.parse import urlencode

from tests.wire.client import PATIENCE_SECONDS

BOUNDARY = "a-boundary-that-is-in-no-file"


@dataclass(frozen=True)
class Page:
    """What came, in the end. `url` is where it came from, after redirects."""

    url: str
    status: int
    fields: Message
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


class Browser:
    """One user of one site."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.cookies = CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self.cookies)
        # No proxy, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)

    def get(self, path: str, **fields: str) -> Page:
        return self._open(urllib.request.Request(self._url + path, headers=fields))

    def head(self, path: str) -> Page:
        return self._open(urllib.request.Request(self._url + path, method="HEAD"))

    def post(self, path: str, form: Mapping[str, str], **fields: str) -> Page:
        data = urlencode(form).encode()
        return self._open(urllib.request.Request(self._url + path, data, fields))

    def upload(
        self,
        path: str,
        content: bytes,
        *,
        form: Mapping[str, str] | None = None,
        name: str = "file",
    ) -> Page:
        """Send a file, and the other fields of its form, as multipart/form-data (RFC 7578)."""
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in (form or {}).items()
        ]
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        data = ("".join(parts) + head).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        fields = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self._open(urllib.request.Request(self._url + path, data, fields))

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            answer = self._opener.open(request, timeout=PATIENCE_SECONDS)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return Page(answer.url, answer.status, answer.headers, answer.read())


def hidden(page: Page, name: str) -> str:
    """The value of a form's hidden input."""
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]
