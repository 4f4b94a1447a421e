"""How a person's browser shows the token once, and is known from then on.

A browser has no way to send a bearer token with a page, a script or an event stream, and the token
must not be in an address, which is logged, nor where scripts can read it. So who asks for a page as
a browser does, and shows none, is answered with a form; the token that it posts is exchanged for a
cookie that scripts cannot read (HttpOnly) and that no other site's page can have sent along
(SameSite=Strict). The cookie is `END.RANDOM.SEAL`: when it ends, and a seal (HMAC) that only who
knows the token can make. Nothing is kept for it, so that each of several processes, and a server
that was started again, knows it too. With another token all seals are broken.

Guesses are bounded, in the form and in the Authorization field: of one address GUESSES_MAX wrong
ones at once, and then one in SECONDS_A_GUESS, unless it has a cookie already.

Threads: any, for everything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import html
import ipaddress
import math
import secrets
import threading
from collections import OrderedDict
from typing import Final
from urllib.parse import parse_qs, urlsplit

from server.clock import Clock
from server.http1.messages import Field, Request, Response

SESSION_SECONDS: Final = 12 * 3600
"""A working day: then the token is asked for again."""

GUESSES_MAX: Final = 10
SECONDS_A_GUESS: Final = 2.0
ADDRESSES_MAX: Final = 1024
"""Of so many addresses wrong guesses are remembered; of more, of those that guessed last."""

SIGNED_OUT_MAX: Final = 1024
FORM_BYTES_MAX: Final = 8192
ROUNDS: Final = 200_000
"""Of PBKDF2: whoever has seen a cookie would have to do as many to try one token."""

COOKIES_MAX: Final = 8

STYLE: Final = """
:root { color-scheme: light dark }
body { max-width: 22rem; margin: 18vh auto 0; padding: 0 1rem }
body { font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.3rem }
label { display: block; margin: 1rem 0 .3rem }
input, button { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit }
button { margin-top: .8rem; cursor: pointer }
[role=alert] { font-weight: 600 }
"""

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Interlock: sign in</title>
<style>{style}</style>
</head>
<body>
<h1>Interlock</h1>
<p>These pages are the operator's.</p>
{alert}<form method="post" action="/-/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button>
</form>
</body>
</html>
"""

_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

FIELDS: Final[tuple[Field, ...]] = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        (
            f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    # With no referrer at all a browser would not say either whose form it is that is posted.
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)

CHALLENGE: Final[Field] = ("WWW-Authenticate", 'Bearer realm="interlock"')


class Guesses:
    """Who has shown wrong tokens, and how long each waits until the next one is looked at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By address, when as many will have been forgiven as it takes for the next guess.
        self._until: OrderedDict[str, float] = OrderedDict()

    def wait(self, who: str, now: float) -> float:
        """Seconds until a guess of theirs is looked at; 0: it is now."""
        with self._lock:
            until = self._until.get(_block(who), now)
        return max(0.0, until - now - (GUESSES_MAX - 1) * SECONDS_A_GUESS)

    def wrong(self, who: str, now: float) -> None:
        """They have shown a wrong one."""
        block = _block(who)
        with self._lock:
            self._until[block] = max(self._until.get(block, now), now) + SECONDS_A_GUESS
            self._until.move_to_end(block)
            while len(self._until) > ADDRESSES_MAX:
                self._until.popitem(last=False)


def _block(address: str) -> str:
    """What one guesser surely has: of IPv6 addresses those that begin alike (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))


class Login:
    """Knows `token` when it sees it, and the cookies that were given for it."""

    __slots__ = ("_clock", "_guesses", "_lock", "_out", "_token")

    def __init__(self, token: bytes, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._guesses = Guesses()
        self._lock = threading.Lock()
        self._out: OrderedDict[str, None] = OrderedDict()

    def refusal(self, request: Request) -> Response | None:
        """Why the request may not come in; None if it has a session, or shows the token."""
        if self.session(request) is not None:
            return None
        shown = _bearer(request)
        if shown is None:
            return self._asked(request, 401, "A token is needed.", "")
        return self._look(request, shown)

    def sign_in(self, request: Request) -> Response:
        """The answer to the form: a cookie, and the way to the pages; or the form again."""
        content = request.content
        if not isinstance(content, bytes) or len(content) > FORM_BYTES_MAX:
            return self._asked(request, 413, "That is too long.", "That is too long.")
        refusal = self._look(request, _bytes(_posted(content)))
        if refusal is not None:
            return refusal
        end = int(self._clock.wall()) + SESSION_SECONDS
        value = f"{end}.{secrets.token_hex(16)}"
        cookie = f"{value}.{self._seal(value)}"
        return Response(
            303, (("Location", "/-/"), _cookie(request, cookie, SESSION_SECONDS), *FIELDS)
        )

    def sign_out(self, request: Request) -> Response:
        """The browser is to forget its cookie, which is no session from now on."""
        session = self.session(request)
        if session is not None:
            with self._lock:
                self._out[session] = None
                while len(self._out) > SIGNED_OUT_MAX:
                    self._out.popitem(last=False)
        return Response(303, (("Location", "/-/"), _cookie(request, "", 0), *FIELDS))

    def session(self, request: Request) -> str | None:
        """The session that a request has a cookie of; None where it has none."""
        for cookie in _cookies(request)[:COOKIES_MAX]:
            value, _, seal = cookie.rpartition(".")
            end, _, nonce = value.partition(".")
            ours = nonce and hmac.compare_digest(_bytes(seal), _bytes(self._seal(value)))
            # What has our seal is well-formed.
            if ours and int(end) > self._clock.wall() and value not in self._out:
                return value
        return None

    def _seal(self, value: str) -> str:
        return hmac.new(_key(self._token), _bytes(value), "sha256").hexdigest()

    def _look(self, request: Request, shown: bytes) -> Response | None:
        """Whether this is the token, if they may still guess."""
        who, now = request.peer[0], self._clock.monotonic()
        wait = self._guesses.wait(who, now)
        if wait > 0:
            seconds = math.ceil(wait)
            said = f"Too many wrong tokens: again in {seconds} s."
            return self._asked(request, 429, said, said, ("Retry-After", str(seconds)))
        if hmac.compare_digest(shown, self._token):
            return None
        self._guesses.wrong(who, now)
        return self._asked(request, 401, "That is not the token.", "That is not the token.")

    def _asked(
        self, request: Request, status: int, said: str, alert: str, *fields: Field
    ) -> Response:
        """Ask for the token, a person with a form."""
        if status == 401:
            fields = (*fields, CHALLENGE)
        if not _is_browser(request):
            plain = ("Content-Type", "text/plain; charset=utf-8")
            return Response(status, (plain, *FIELDS[2:], *fields), f"{said}\n".encode())
        alert = alert and f'<p role="alert">{html.escape(alert)}</p>\n'
        page = PAGE.format(style=STYLE, alert=alert)
        return Response(status, (*FIELDS, *fields), page.encode())


@functools.lru_cache(maxsize=4)
def _key(token: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", token, b"interlock: sessions of operators", ROUNDS)


def _posted(content: bytes) -> str:
    """The token of a form (WHATWG URL, application/x-www-form-urlencoded); empty without one."""
    try:
        form = parse_qs(content.decode("latin-1"), max_num_fields=8)
    except ValueError:
        return ""
    return form.get("token", [""])[0].strip()


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def is_foreign(request: Request) -> bool:
    """Whether another site's page has sent this: a browser says so (Fetch, Fetch Metadata). What is
    no browser says nothing.
    """
    fields = request.head.fields
    site, origin = fields.get("sec-fetch-site"), fields.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != request.head.authority.lower()
    except ValueError:
        return True


def _bearer(request: Request) -> bytes | None:
    """The token that an Authorization field shows (RFC 6750 2.1); None where there is no field."""
    value = request.head.fields.get("authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    return _bytes(token.strip()) if scheme.lower() == "bearer" else b""


def _is_browser(request: Request) -> bool:
    """Whether a person is to read the answer: pages are asked for by this type, data by none."""
    return "text/html" in (request.head.fields.get("accept") or "")


def _name(request: Request) -> str:
    # A browser sends a host's cookies to all its ports: each has a name of its own.
    return f"interlock-{request.local[1]}"


def _cookie(request: Request, value: str, seconds: int) -> Field:
    attributes = f"Path=/-/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return ("Set-Cookie", f"{_name(request)}={value}; {attributes}")


def _cookies(request: Request) -> list[str]:
    """The values of our cookie (RFC 6265 4.2.1)."""
    name = _name(request)
    pairs = (
        one.strip().partition("=")
        for field in request.head.fields.all("cookie")
        for one in field.split(";")
    )
    return [value for key, _, value in pairs if key == name]
