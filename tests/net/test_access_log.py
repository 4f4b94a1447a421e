"""The access log: Apache's format by its own examples, whole lines, no forgery, no harm."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Config
from server.errors import ConfigError, StartError
from server.http1.messages import Fields, RequestHead
from server.net.access_log import AccessLog, Entry, open_access_log
from server.net.log_format import PRESETS, compile_format
from tests.clock import ManualClock

AGENT = "Mozilla/4.08 [en] (Win98; I ;Nav)"
START = "http://www.example.com/start.html"


def head(
    target: str = "/apache_pb.gif", *, method: str = "GET", minor: int = 0, **fields: str
) -> RequestHead:
    path, _, query = target.partition("?")
    lines = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return RequestHead(method, target, path, query, "localhost", minor, Fields(lines))


HEAD = head(Referer=START, User_Agent=AGENT)
ENTRY = Entry(
    peer=("127.0.0.1", 51324),
    local=("127.0.0.2", 7878),
    head=HEAD,
    status=200,
    size=2326,
    started=971_211_336.25,
    seconds=1.5,
    end_state="sent",
    request_id="3-1",
    queue_seconds=0.25,
    app_seconds=1.000125,
)


@pytest.fixture(autouse=True)
def seven_hours_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "WEST7")
    time.tzset()
    compile_format.cache_clear()  # it keeps the texts of the second, and with them their zone
    yield
    monkeypatch.undo()
    time.tzset()


def line(form: str, entry: Entry = ENTRY) -> str:
    return compile_format(form)(entry)


# Apache's documentation, "Log Files": its examples, but for `frank`, whom we do not ask for.
COMMON = '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
COMBINED = f'{COMMON} "{START}" "{AGENT}"'


def test_the_common_log_format() -> None:
    assert line("common") == COMMON
    assert line(r"%h %l %u %t \"%r\" %>s %b") == COMMON


def test_the_combined_log_format() -> None:
    assert line("combined") == COMBINED
    assert line(r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\"") == COMBINED


def test_the_tuple() -> None:
    assert line("tuple") == f"{COMBINED} tcp 127.0.0.1:51324 127.0.0.2:7878"
    over_six = ENTRY._replace(peer=("::1", 51324), local=("::1", 7878))
    assert line("tuple", over_six).endswith('" tcp [::1]:51324 [::1]:7878')


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%a %{c}a %h", "127.0.0.1 127.0.0.1 127.0.0.1"),
        ("%A", "127.0.0.2"),
        ("%p %{local}p %{canonical}p %{remote}p", "7878 7878 7878 51324"),
        ("%m|%U|%q|%H", "GET|/apache_pb.gif||HTTP/1.0"),
        ("%s %>s %<s", "200 200 200"),
        ("%b %B", "2326 2326"),
        ("%D %T %{s}T %{ms}T %{us}T", "1500000 1 1 1500 1500000"),
        ("%{queue_ms}T %{app_ms}T %{write_ms}T", "250.000 1000.125 -"),
        ("%L %{state}X %{trace}L %{parent}L", "3-1 SENT - -"),
        ("%{referer}i %{USER-AGENT}i", f"{START} {AGENT}"),
        ("%{Cookie}i", "-"),
        ("100%% of %%s", "100% of %s"),
        ("", ""),
        ("no directive", "no directive"),
        (r"a\tb\nc\\d\"e\f", 'a\tb\nc\\d"e\\f'),
        ("%t", "[10/Oct/2000:13:55:36 -0700]"),
        ("%{%Y-%m-%dT%H:%M:%S%z}t", "2000-10-10T13:55:36-0700"),
        ("%{begin:%S}t %{end:%S}t", "36 37"),
        ("%{end:}t", "[10/Oct/2000:13:55:37 -0700]"),
        ("%{sec}t %{msec}t %{usec}t", "971211336 971211336250 971211336250000"),
        ("%{%T}t.%{msec_frac}t %{end:usec_frac}t", "13:55:36.250 750000"),
        ("%400,501{User-agent}i|%200s|%!200,304s|%!404{Referer}i", f"-|200|-|{START}"),
        ("%200l", "-"),
    ],
)
def test_directives(form: str, expected: str) -> None:
    assert line(form) == expected


def test_who_writes_the_line() -> None:
    assert line("%P %{pid}P") == f"{os.getpid()} {os.getpid()}"
    assert line("%{tid}P") == str(threading.get_ident())


def test_a_query() -> None:
    asked = ENTRY._replace(head=head("/a%20b?c=d&e", minor=1))
    assert line("%U %q", asked) == "/a%20b ?c=d&e"
    assert line("%q", ENTRY._replace(head=head("/a?"))) == "?"


def test_no_content() -> None:
    assert line("%b %B", ENTRY._replace(size=0)) == "- 0"


def test_a_field_on_several_lines_is_one_list() -> None:
    many = RequestHead("GET", "/", "/", "", "", 1, Fields((("X", "a"), ("x", ""), ("X", "b"))))
    assert line("%{X}i", ENTRY._replace(head=many)) == "a, , b"


def test_a_field_that_is_empty_is_not_one_that_is_missing() -> None:
    assert line('"%{Referer}i"', ENTRY._replace(head=head(Referer=""))) == '""'


def test_an_unreadable_request() -> None:
    unread = ENTRY._replace(head=None, status=400)
    assert line("combined", unread).endswith('-0700] "-" 400 2326 "-" "-"')
    assert line("%m %U %q %H", unread) == "- - - -"


@pytest.mark.parametrize(
    ("end_state", "persists", "expected"),
    [("sent", True, "+"), ("sent", False, "-"), ("flushed", True, "+"), ("cut", True, "X")],
)
def test_how_the_connection_was_left(end_state: str, persists: bool, expected: str) -> None:
    assert line("%X", ENTRY._replace(end_state=end_state, persists=persists)) == expected


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ("%h %v", "%v at character 4 is not supported"),
        ("%O", "%O at character 1"),
        ("%{Date}o", "%{Date}o at character 1"),
        ("%h %{x}p", "%{x}p at character 4 has a parameter"),
        ("%{tuple}h", "%{tuple}h at character 1 has a parameter"),
        ("%i", "%i at character 1 has a parameter"),
        ("%{}i", "%{}i at character 1 has a parameter"),
        ("100%", "'%' at character 4 is no directive"),
        ("%{Referer", "'%{Referer' at character 1 is no directive"),
        ("%>h", "%>h at character 1 is not supported"),
        ("%!s", "%!s at character 1 is not supported"),
        ("%20s", "'%20s' at character 1 is no directive"),
        ("%ü", "'%ü' at character 1 is no directive"),
        ("%S", "%S at character 1"),
    ],
)
def test_what_is_not_supported_is_named(form: str, named: str) -> None:
    with pytest.raises(ConfigError, match="^--access-log-format: " + re.escape(named)):
        compile_format(form)


def test_time_follows_the_second() -> None:
    write = compile_format("%{%S}t %t")
    seconds = [write(ENTRY._replace(started=971_211_336 + at / 2))[:2] for at in range(5)]
    assert seconds == ["36", "36", "37", "37", "38"]


@pytest.mark.parametrize(
    ("zone", "written"), [("EAST-5:30", "+0530"), ("WEST3:30", "-0330"), ("UTC0", "+0000")]
)
def test_zones(monkeypatch: pytest.MonkeyPatch, zone: str, written: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    compile_format.cache_clear()
    assert line("%t").endswith(f" {written}]")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('a" 200 5 "x', r"a\" 200 5 \"x"),
        ("a\\", r"a\\"),
        ("a\r\n127.0.0.1 - -", r"a\r\n127.0.0.1 - -"),
        ("\t\b\v\f\0\x1b[2J\x7f", r"\t\b\v\x0c\x00\x1b[2J\x7f"),
        ("gr\xfc\xdfe\x85", r"gr\xfc\xdfe\x85"),
        ("\u2028\ud800", r"\xe2\x80\xa8\xed\xa0\x80"),
        ("~ !#[]^{}", "~ !#[]^{}"),
    ],
)
def test_what_a_peer_chose_is_escaped(value: str, written: str) -> None:
    forged = head(f"/{value}?{value}", method=value, Referer=value)
    entry = ENTRY._replace(head=forged)
    assert line("%m|%U|%q|%{Referer}i", entry) == f"{written}|/{written}|?{written}|{written}"
    assert line("%r", entry) == f"{written} /{written}?{written} HTTP/1.0"


COMBINED_LINE = re.compile(
    r'127\.0\.0\.1 - - \[[^\]]+\] "((?:[^"\\]|\\.)*)" 200 2326'
    r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)
ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\(.)")
SHORT = {"b": "\b", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescaped(text: str) -> str:
    return ESCAPED.sub(
        lambda one: chr(int(one[1], 16)) if one[1] else SHORT.get(one[2], one[2]), text
    )


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_the_trace_that_a_request_is_part_of() -> None:
    asked = ENTRY._replace(head=head(traceparent=f"00-{TRACE}-{PARENT}-01"))
    assert line("%{trace}L %{parent}L", asked) == f"{TRACE} {PARENT}"
    assert line("timed", asked).endswith(
        f"3-1 SENT 1500000 250.000 1000.125 - tcp 127.0.0.1:51324 127.0.0.2:7878 {TRACE}"
    )


def test_json() -> None:
    asked = ENTRY._replace(head=head(User_Agent=AGENT, traceparent=f"00-{TRACE}-{PARENT}-00"))
    assert json.loads(line("json", asked)) == {
        "time": "2000-10-10T20:55:36.250Z",
        "id": "3-1",
        "protocol": "tcp",
        "peer": ["127.0.0.1", 51324],
        "local": ["127.0.0.2", 7878],
        "method": "GET",
        "target": "/apache_pb.gif",
        "version": "1.0",
        "status": 200,
        "bytes": 2326,
        "referer": None,
        "user_agent": AGENT,
        "ms": 1500.0,
        "queue_ms": 250.0,
        "app_ms": 1000.125,
        "write_ms": None,
        "state": "SENT",
        "persists": False,
        "trace_id": TRACE,
        "parent_id": PARENT,
    }
    unread = json.loads(line("json", ENTRY._replace(head=None)))
    assert (unread["method"], unread["target"], unread["referer"]) == (None, None, None)


BYTES = st.text(st.characters(max_codepoint=255), max_size=40)


@given(BYTES, BYTES, BYTES)
def test_no_peer_can_forge_a_line(target: str, referer: str, agent: str) -> None:
    """Whatever it sends, the line has our form, and reads back to what was sent."""
    forged = ENTRY._replace(head=head(target, Referer=referer, User_Agent=agent))
    text = line("combined", forged)
    assert text.isascii()
    assert text.isprintable()
    read = COMBINED_LINE.fullmatch(text)
    assert read is not None
    assert unescaped(read[1]) == f"GET {target} HTTP/1.0"
    assert (unescaped(read[2]), unescaped(read[3])) == (referer, agent)
    text = line("json", forged)
    assert text.isascii()
    assert text.isprintable()
    told = json.loads(text)
    assert (told["target"], told["referer"], told["user_agent"]) == (target, referer, agent)


def opened(where: str, form: str = "common") -> AccessLog | None:
    return open_access_log(Config(access_log=where, access_log_format=form), ManualClock())


def test_off() -> None:
    assert opened("off") is None
    with pytest.raises(ConfigError, match="%v"):
        opened("off", form="%v")  # a mistake is told now, not on the day that the log is wanted


def test_a_file_is_appended_to_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text("before\n")
    log = opened(str(file))
    assert log is not None
    log.record(ENTRY)
    log.close()
    log.record(ENTRY)
    assert (file.read_text(), log.lines_lost) == (f"before\n{COMMON}\n", 1)


def test_standard_output_is_written_and_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    log = opened("-")
    assert log is not None
    log.record(ENTRY)
    log.close()
    os.write(1, b"after\n")
    assert capfd.readouterr().out == f"{COMMON}\nafter\n"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^--access-log .*/no/log cannot be opened: No such file"):
        opened(str(tmp_path / "no" / "log"))
    with pytest.raises(StartError, match=r"cannot be opened: Is a directory$"):
        opened(str(tmp_path))
    with pytest.raises(StartError, match=r"cannot be opened: embedded null"):
        opened("a\0b")


def test_a_format_that_is_none_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="%v at character 1"):
        opened(str(tmp_path / "access.log"), form="%v")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PRESETS)
def test_presets_compile_to_one_line(name: str) -> None:
    assert "\n" not in line(name)
