"""A browser signs in once: the form, the cookie, what is refused, and how often one may guess."""

from __future__ import annotations

import io
import re

import pytest

from server.http1.messages import Fields, Request, RequestHead, Response
from server.ops import login as login_module
from server.ops.assets import Assets
from server.ops.door import Door
from server.ops.login import (
    ADDRESSES_MAX,
    FORM_BYTES_MAX,
    GUESSES_MAX,
    SECONDS_A_GUESS,
    SESSION_SECONDS,
    SIGNED_OUT_MAX,
    Guesses,
)
from server.ops.pages import Pages
from server.server import Server
from tests.clock import ManualClock

TOKEN = b"open-sesame"
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
FORM = b"token=open-sesame"


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_module, "ROUNDS", 1)
    login_module._key.cache_clear()


class Here:
    """Pages behind a door with a token."""

    def __init__(self, token: bytes | None = TOKEN) -> None:
        self.clock = ManualClock()
        server = Server()
        assets = Assets(server.config.root)
        self.pages = Pages(server._observer, Door((), token, self.clock), server._feed.page, assets)
        self.port = 7878

    def ask(
        self,
        path: str,
        content: bytes | io.BytesIO = b"",
        method: str = "GET",
        /,
        peer: str = "203.0.113.7",
        **fields: str,
    ) -> Response:
        lines = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        head = RequestHead(method, path, path, "", "localhost:7878", 1, Fields(lines))
        return self.pages(Request(head, content, peer=(peer, 1), local=("127.0.0.1", self.port)))

    def post(self, path: str, content: bytes | io.BytesIO = b"", /, **fields: str) -> Response:
        return self.ask(path, content, "POST", **{"accept": BROWSER, **fields})

    def sign_in(self) -> str:
        """The cookie, as it is sent back."""
        return sent_back(self.post("/-/login", FORM))


def field(response: Response, name: str) -> str:
    found = [value for key, value in response.fields if key == name]
    assert len(found) == 1, (name, response.fields)
    return found[0]


def sent_back(response: Response) -> str:
    assert response.status == 303
    return field(response, "Set-Cookie").partition(";")[0]


def text(response: Response) -> str:
    assert isinstance(response.content, bytes)
    return response.content.decode()


def test_who_asks_as_a_browser_is_asked_for_the_token() -> None:
    here = Here()
    for path in ("/-/", "/-/threads", "/-/nothing"):
        page = here.ask(path, accept=BROWSER)
        assert (page.status, field(page, "Content-Type")) == (401, "text/html; charset=utf-8")
        assert '<form method="post" action="/-/login">' in text(page)
        assert 'role="alert"' not in text(page)
        assert field(page, "WWW-Authenticate").startswith("Bearer")
        assert field(page, "Cache-Control") == "no-store"
        assert "default-src 'none'" in field(page, "Content-Security-Policy")
    plain = here.ask("/-/metrics", accept="*/*")
    assert (plain.status, text(plain)) == (401, "A token is needed.\n")


def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads() -> None:
    here = Here()
    answer = here.post("/-/login", FORM)
    assert (answer.status, field(answer, "Location")) == (303, "/-/")
    cookie = field(answer, "Set-Cookie")
    assert re.fullmatch(
        rf"interlock-7878=\d+\.[0-9a-f]{{32}}\.[0-9a-f]{{64}}; Path=/-/; "
        rf"Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Strict",
        cookie,
    )
    assert "open-sesame" not in cookie
    sent = sent_back(answer)
    assert here.ask("/-/live").status == 401
    assert here.ask("/-/live", cookie=sent).status == 200
    assert here.ask("/-/live", cookie=f"theme=dark; {sent}; x=y").status == 200
    assert here.ask("/-/", cookie=sent).status == 200
    assert text(here.ask("/-/session", cookie=sent)) == '{"signed_in":true}'
    bearer = here.ask("/-/session", authorization="Bearer open-sesame")
    assert text(bearer) == '{"signed_in":false}'
    assert sent != here.sign_in(), "each has its own"


def test_another_process_or_a_later_one_knows_the_cookie_unless_the_token_is_another() -> None:
    sent = Here().sign_in()
    assert Here().ask("/-/live", cookie=sent).status == 200
    assert Here(b"another").ask("/-/live", cookie=sent).status == 401


def test_a_cookie_ends_and_cannot_be_made_longer() -> None:
    here = Here()
    sent = here.sign_in()
    here.clock.advance(SESSION_SECONDS - 1)
    assert here.ask("/-/live", cookie=sent).status == 200
    here.clock.advance(1)
    assert here.ask("/-/live", cookie=sent).status == 401
    name, _, value = sent.partition("=")
    end, nonce, seal = value.split(".")
    later = f"{name}={int(end) + 9}.{nonce}.{seal}"
    assert here.ask("/-/live", cookie=later).status == 401


@pytest.mark.parametrize(
    "value",
    ["", "x", "..", "1.2.3", "\xe9.\xe9.\xe9", "9999999999.aa." + "0" * 64, "a.b." + "\xff" * 64],
)
def test_a_cookie_that_was_made_up_is_none(value: str) -> None:
    assert Here().ask("/-/live", cookie=f"interlock-7878={value}").status == 401


def test_a_cookie_of_another_port_is_not_ours() -> None:
    here = Here()
    sent = here.sign_in()
    here.port = 9090
    assert here.ask("/-/live", cookie=sent).status == 401


def test_who_signs_out_is_out() -> None:
    here = Here()
    sent, other = here.sign_in(), here.sign_in()
    answer = here.post("/-/logout", cookie=sent)
    assert (answer.status, field(answer, "Location")) == (303, "/-/")
    assert field(answer, "Set-Cookie").startswith("interlock-7878=; Path=/-/; Max-Age=0;")
    assert here.ask("/-/live", cookie=sent).status == 401, "also if it was kept"
    assert here.ask("/-/live", cookie=other).status == 200
    assert here.post("/-/logout").status == 303
    for _ in range(SIGNED_OUT_MAX):
        here.post("/-/logout", cookie=here.sign_in())
    assert here.pages._door.login is not None
    assert len(here.pages._door.login._out) == SIGNED_OUT_MAX


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"token=nope", 401),
        (b"", 401),
        (b"token=", 401),
        (b"token=%ff%fe", 401),
        (b"token=\xe2\x82\xac", 401),
        (b"&".join([b"a=b"] * 99), 401),
        (b"token=" + b"x" * FORM_BYTES_MAX, 413),
        (io.BytesIO(FORM), 413),
        (b"x=1&token=+open-sesame%20", 303),
    ],
)
def test_a_form_that_has_not_the_token(content: bytes, status: int) -> None:
    answer = Here().post("/-/login", content)
    assert answer.status == status
    if status != 303:
        assert 'role="alert"' in text(answer)
        assert not any(name == "Set-Cookie" for name, _ in answer.fields)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 303),
        ({"sec_fetch_site": "none"}, 303),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://localhost:7878"}, 303),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[evil"}, 403),
        ({"sec_fetch_site": "cross-site", "origin": "http://localhost:7878"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/-/login", "/-/logout"])
def test_what_another_site_s_page_posts_is_refused(
    path: str, fields: dict[str, str], status: int
) -> None:
    assert Here().post(path, FORM, **fields).status == status


def test_nothing_else_is_posted_and_nothing_without_a_token() -> None:
    here = Here()
    sent = here.sign_in()
    assert here.post("/-/threads", FORM, cookie=sent).status == 405
    assert here.ask("/-/login", b"", "PUT", cookie=sent).status == 405
    assert here.ask("/-/login", cookie=sent, accept=BROWSER).status == 303
    open_house = Here(token=None)
    assert open_house.post("/-/login", FORM).status == 405
    assert open_house.ask("/-/login").status == 404
    assert text(open_house.ask("/-/session")) == '{"signed_in":false}'


def test_guesses_are_bounded_in_the_form_and_in_the_field() -> None:
    here, bearer = Here(), "Bearer open-sesame"
    sent = here.sign_in()
    for _ in range(GUESSES_MAX // 2):
        assert here.post("/-/login", b"token=a").status == 401
        assert here.ask("/-/live", authorization="Bearer b").status == 401
    answer = here.post("/-/login", FORM)
    assert (answer.status, field(answer, "Retry-After")) == (429, "2")
    assert "again in 2 s" in text(answer)
    assert here.ask("/-/live", authorization=bearer).status == 429
    assert here.ask("/-/live", cookie=sent).status == 200, "who is in stays in"
    assert here.ask("/-/live", peer="203.0.113.8", authorization=bearer).status == 200
    here.clock.advance(SECONDS_A_GUESS)
    assert here.post("/-/login", b"token=c").status == 401
    assert here.post("/-/login", FORM).status == 429
    here.clock.advance(SECONDS_A_GUESS)
    assert here.post("/-/login", FORM).status == 303


def test_whoever_has_many_addresses_has_one_row_of_guesses_and_few_are_remembered() -> None:
    guesses = Guesses()
    for number in range(GUESSES_MAX):
        guesses.wrong(f"2001:db8::{number:x}", 0.0)
    assert guesses.wait("2001:db8::ffff", 0.0) > 0
    assert guesses.wait("2001:db8:0:1::1", 0.0) == 0
    assert guesses.wait("fe80::1%eth0", 0.0) == guesses.wait("", 0.0) == 0
    for number in range(2 * ADDRESSES_MAX):
        guesses.wrong(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(guesses._until) == ADDRESSES_MAX
