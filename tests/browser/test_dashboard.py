"""The dashboard in a real browser: what the server does is what is to be seen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser, find
from tests.browser.house import House
from tests.wire.test_cli import Process, processes
from tests.wire.test_processes_ops import Operated, stop

__all__ = ["processes"]  # a fixture

LIVE = "document.documentElement.dataset.feed === 'live'"
SHOWN = f"{LIVE} && document.querySelector('#state-PARKED .number')?.textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no Chromium is installed: `make browser` installs it and runs these tests")
    with Browser(program) as browser:
        yield browser


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House() as house:
        yield house


@pytest.fixture
def page(browser: Browser, house: House) -> Browser:
    browser.size(1280, 800)
    browser.prefer(color_scheme="light", reduced_motion="no-preference")
    browser.open(house.dashboard)
    browser.until(SHOWN)
    return browser


def lit(arrow: str) -> str:
    return f"document.getElementById('{arrow}').classList.contains('lit')"


def text(element: str) -> str:
    return f"document.getElementById('{element}').textContent"


def test_states_and_arrows_light_up_as_requests_come(page: Browser, house: House) -> None:
    assert not page.see(lit("arrow-C9")), "nobody was shed"
    assert page.see("document.getElementById('arrow-C9').classList.contains('never')")
    client = house.begin(*["/"] * 200)
    page.until(f"{lit('arrow-C1')} && {lit('arrow-C8')} && {lit('arrow-C11')}")
    page.until("document.querySelector('.words.lit')?.textContent.includes('/s')")
    page.until("Number(document.getElementById('figure-rate').textContent) > 0")
    page.until("document.getElementById('state-PARKED').classList.contains('occupied')")
    client.join()
    accepted = house.server.account.accepted
    page.until(f"{text('ledger-accepted')}.replaceAll(',', '') >= {accepted}")
    assert page.see(text("balance")).strip() == "nothing is lost"
    assert page.errors == []


def test_nothing_is_loaded_from_elsewhere(page: Browser, house: House) -> None:
    for machine in ("worker", "server"):
        page.see(f"document.getElementById('tab-{machine}').click()")
        page.until("document.querySelector('#state-STARTING .number')?.textContent")
    assert len(page.requests) > 12
    assert [one for one in page.requests if not one.startswith(house.url + "/-/")] == []
    assert page.errors == []


def test_a_request_that_takes_its_time_has_a_lane(page: Browser, house: House) -> None:
    client = house.begin("/sleep?seconds=1")
    job = page.until(
        "document.querySelector('.lane[data-state=BUSY] .lane-job')?.textContent.includes('sleep')"
        " && document.querySelector('.lane[data-state=BUSY]').innerText"
    )
    assert "GET /sleep" in job
    page.until(f"{text('state-EXCHANGING')}.includes('1')")
    client.join()
    page.until("!document.querySelector('.lane[data-state=BUSY]')")


def test_the_keyboard_reaches_a_state_and_opens_it(page: Browser) -> None:
    for _ in range(30):
        page.press("Tab")
        if page.see("document.activeElement.id") == "state-PARKED":
            break
    page.press("Enter")
    assert page.until("!document.getElementById('inspector').hidden")
    assert page.see(text("inspector-title")) == "PARKED"
    assert page.see("document.activeElement.id") == "inspector-title"
    assert page.see("document.querySelectorAll('#inspector-arrows tr').length") == 11
    page.until("document.querySelector('#inspector-who .who-peer')?.textContent.includes('127')")
    page.press("Escape")
    assert page.until("document.getElementById('inspector').hidden")
    assert page.see("document.activeElement.id") == "state-PARKED"
    page.see("document.getElementById('tab-connection').focus()")
    assert page.see(text("machine-choose")) == "Choose a state to see who is in it."
    page.press("ArrowRight")
    assert page.until("document.getElementById('tab-request').ariaSelected === 'true'")
    page.until(f"{text('machine-choose')}.includes('what it means')")
    assert page.errors == []


def test_who_does_not_see_it_is_told(page: Browser) -> None:
    page.until("document.getElementById('state-STREAMING').ariaLabel?.includes('1 now')")
    silent = page.see("""
        [...document.querySelectorAll("a, button, [tabindex='0'], [role=tab], section, svg")]
            .filter((one) => !(one.ariaLabel || one.textContent.trim()))
            .map((one) => one.outerHTML)
    """)
    assert silent == [], "what can be reached has a name"
    assert page.see("document.querySelectorAll('[aria-live]').length") == 1


def test_who_wants_no_motion_sees_none(page: Browser, house: House) -> None:
    page.prefer(reduced_motion="reduce")
    house.get("/", "/")
    page.until(lit("arrow-C8"))
    moving = "getComputedStyle(document.querySelector('#arrow-C8 .flow')).animationName"
    assert page.see(moving) == "none"


def test_colours_follow_the_system_and_then_the_button(page: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.see(ground)
    page.prefer(color_scheme="dark")
    dark = page.until(f"{ground} !== '{light}' && {ground}")
    page.see("document.getElementById('theme').click()")
    assert page.until(f"{ground} === '{light}'"), "light, whatever the system says"
    page.see("document.getElementById('theme').click()")
    page.prefer(color_scheme="light")
    assert page.until(f"{ground} === '{dark}'")
    page.see("document.getElementById('theme').click()")


MACHINES = "[...document.querySelectorAll('[role=tab]:not([hidden])')].map((one) => one.id)"
DRAWN = """
    (() => {
        const place = document.getElementById("diagram");
        const name = place.querySelector(".state .name");
        const scale = place.querySelector("svg").getScreenCTM().a;
        const right = Math.max(
            ...[...document.querySelectorAll("body *:not(.unseen)")]
                .filter((one) => one.checkVisibility() && !one.closest("svg"))
                .map((one) => one.getBoundingClientRect().right),
            ...[...place.querySelectorAll(".state, .legend")]
                .map((one) => one.getBoundingClientRect().right),
        );
        return [right, parseFloat(getComputedStyle(name).fontSize) * scale];
    })()
"""
"""How far to the right anything is to be seen, and how large the names of states are."""


@pytest.mark.parametrize("width", [320, 390, 700, 1000])
def test_a_narrow_page_has_every_diagram_in_its_width_and_to_be_read(
    page: Browser, width: int
) -> None:
    page.size(width, 844)
    for tab in page.see(MACHINES):
        machine = tab.removeprefix("tab-")
        page.see(f"document.getElementById('{tab}').click()")
        named = f"document.querySelector('#diagram svg').ariaLabel?.includes('of {machine}.')"
        page.until(f"{named} && document.querySelector('#diagram .state .number').textContent")
        right, pixels = page.see(DRAWN)
        assert right <= width, machine
        assert pixels >= (12 if width < 641 else 10), machine
    scrolls = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.see(scrolls) == 0
    page.see("document.getElementById('tab-connection').click()")


def test_a_phone_that_is_turned_keeps_what_is_open(page: Browser) -> None:
    wide = "document.querySelector('#diagram svg').viewBox.baseVal.width > 600"
    assert page.until(wide)
    page.see("document.getElementById('state-PARKED').focus()")
    page.press("Enter")
    page.size(390, 844)
    page.until(f"!({wide}) && document.querySelector('#state-PARKED .number')?.textContent")
    assert page.see("document.getElementById('state-PARKED').classList.contains('selected')")
    assert page.see("!document.getElementById('inspector').hidden")
    page.press("Escape")
    assert page.until("document.activeElement.id === 'state-PARKED'")
    page.size(1280, 800)
    page.until(f"{wide} && document.activeElement.id === 'state-PARKED'")
    assert page.errors == []


def test_a_drain_is_shown_to_its_end_and_the_page_comes_back(browser: Browser) -> None:
    browser.size(1280, 800)
    with House() as house:
        port = house.server.address[1]
        browser.open(house.dashboard)
        browser.until(SHOWN)
        client = house.begin("/sleep?seconds=1")
        browser.until("document.querySelector('.lane[data-state=BUSY]')")
        house.server.request_stop()
        browser.until(f"{text('banner')}.startsWith('Draining')")
        assert browser.see("document.querySelector('#ladder [aria-current]').textContent") == (
            "draining"
        )
        assert browser.see(text("readiness")).strip() == "withdrawn"
        client.join()
        house.join()
    browser.until(f"{text('banner')}.startsWith('The server has stopped')")
    assert "has stopped" in browser.see(text("aloud"))
    with House(port=port):
        browser.until(f"{LIVE} && document.getElementById('banner').hidden")
        serving = "document.querySelector('#ladder [aria-current]').textContent === 'serving'"
        browser.until(serving)


def sign_in(page: Browser, token: str) -> None:
    page.see(f"document.getElementById('token').value = '{token}'")
    page.see("document.querySelector('button').click()")


def test_with_a_token_a_browser_signs_in_once_and_out_again(
    browser: Browser, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n", encoding="utf-8")
    with House(ops_token_file=str(token)) as house:
        browser.open(house.dashboard)
        browser.until("document.getElementById('token')")
        browser.errors.clear()  # the console has the status, 401
        sign_in(browser, "nope")
        browser.until("document.querySelector('[role=alert]')?.textContent.includes('not the')")
        sign_in(browser, "open-sesame")
        browser.until(SHOWN)
        assert browser.see("location.href") == house.dashboard
        assert browser.see("document.cookie") == "", "no script reads it"
        browser.until("!document.getElementById('sign-out').hidden")
        house.get("/", "/")
        browser.until("document.getElementById('arrow-C8').classList.contains('lit')")
        assert not any("open-sesame" in one for one in browser.requests)
        browser.see("document.getElementById('sign-out').click()")
        browser.until("document.getElementById('token')")
        browser.open(house.dashboard)
        browser.until("document.getElementById('token')")
        sign_in(browser, "open-sesame")
        browser.until(SHOWN)
        port = house.server.address[1]
    token.write_text("another\n", encoding="utf-8")
    with House(port=port, ops_token_file=str(token)):
        browser.until("document.getElementById('token')")


def test_without_a_token_there_is_nothing_to_sign_out_of(page: Browser) -> None:
    assert page.see("document.getElementById('sign-out').hidden")


def test_several_processes_are_one_server_with_each_one_s_workers(
    browser: Browser, processes: list[Process], tmp_path: Path
) -> None:
    browser.size(1280, 800)
    fleet = Operated(tmp_path, "--event-retry-seconds", "0.1")
    processes.append(fleet)
    browser.open(f"http://127.0.0.1:{fleet.at[1]}/-/")
    browser.until(SHOWN)
    assert browser.see(text("version")).endswith(" · 2 processes")
    names = "[...document.querySelectorAll('.lane-name')].map((one) => one.textContent)"
    assert {one.partition("/")[0] for one in browser.see(names)} == {"1", "2"}
    browser.size(390, 844)
    cut = "[...document.querySelectorAll('.lane-name')].some((n) => n.scrollWidth > n.clientWidth)"
    assert browser.see(f"!({cut})"), "whose worker it is can be read on a phone"
    browser.size(1280, 800)
    assert browser.see("!document.getElementById('ledger-crash').hidden")
    browser.until(f"{text('balance')}.trim() === 'nothing is lost'")
    browser.until(f"{text('tab-process')}.endsWith('2')")
    victim = fleet.pid(2)
    stop(victim)
    browser.until(f"{text('banner')}.includes('Process 2 does not answer')")  # whoever has the feed
    assert browser.see(text("readiness")).strip() == "incomplete"
    os.kill(victim, signal.SIGKILL)
    browser.until("document.getElementById('banner').hidden")
    browser.see("document.getElementById('tab-process').click()")
    browser.until("document.querySelector('#state-CRASHED .number')?.textContent === '1'")
    fleet.order("drain")
    browser.until("document.documentElement.dataset.feed === 'gone'")
    told = "'The server has stopped', 'Nobody answers'"  # the last frame may be from before
    browser.until(f"[{told}].some((one) => {text('banner')}.startsWith(one))")
