"""The access log: Apache's format by its own examples, whole lines, no forgery, no harm."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
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
from server.net.access_log import PRESETS, AccessLog, Entry, compile_format, open_access_log
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
)


@pytest.fixture(autouse=True)
def seven_hours_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "WEST7")
    time.tzset()
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
        ("%{referer}i %{USER-AGENT}i", f"{START} {AGENT}"),
        ("%{Cookie}i", "-"),
        ("%P %{pid}P", f"{os.getpid()} {os.getpid()}"),
        ("%{tid}P", str(threading.get_ident())),
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


class Dribble:
    """Takes few bytes at a time, and lets another thread run between them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self.taken.append(piece[:7])
        return len(piece[:7])

    def close(self) -> None: ...


def test_threads_write_whole_lines() -> None:
    stream = Dribble()
    log = AccessLog("%U", stream, ManualClock())
    paths = [[f"/{thread}/{at}/" + "x" * (at % 50) for at in range(100)] for thread in range(6)]

    def record(mine: list[str]) -> None:
        for path in mine:
            log.record(ENTRY._replace(head=head(path)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=record, args=(mine,)) for mine in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    lines = b"".join(stream.taken).decode().split("\n")
    assert lines.pop() == ""
    assert sorted(lines) == sorted(path for mine in paths for path in mine)
    assert log.lines_lost == 0


class Failing:
    """Takes what its plan says, piece by piece: a number of bytes, or an error."""

    def __init__(self, *plan: int | Exception | None) -> None:
        self.plan = list(plan)
        self.taken = b""

    def write(self, piece: bytes) -> int | None:
        step = self.plan.pop(0) if self.plan else len(piece)
        if isinstance(step, Exception):
            raise step
        self.taken += piece[: step or 0]
        return step

    def close(self) -> None:
        raise OSError(28, "No space left on device")


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("error", [FULL, BrokenPipeError(32, "Broken pipe"), None, 0])
def test_a_failing_write_is_counted_and_hurts_nobody(error: Exception | int | None) -> None:
    stream = Failing(error, 2, error)
    log = AccessLog("%m", stream, ManualClock())
    for _ in range(4):
        log.record(ENTRY)
    assert log.lines_lost == 2
    # The second line stopped after two bytes; the third begins on a line of its own.
    assert stream.taken == b"GE\nGET\nGET\n"


def test_a_lost_line_after_half_a_line_owes_one_line_end() -> None:
    stream = Failing(2, FULL, 1, FULL)
    log = AccessLog("%m", stream, ManualClock())
    for _ in range(3):
        log.record(ENTRY)
    assert stream.taken == b"GE\nGET\n"


def test_it_complains_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = AccessLog("%m", Failing(FULL, FULL, FULL, FULL), clock)
    with caplog.at_level(logging.WARNING, logger="interlock.access_log"):
        for seconds in (0, 59, 1, 0):
            clock.advance(seconds)
            log.record(ENTRY)
    assert [one.getMessage() for one in caplog.records] == [
        "the access log fails; lines lost so far: 1; [Errno 28] No space left on device",
        "the access log fails; lines lost so far: 3; [Errno 28] No space left on device",
    ]


def test_close_does_not_raise_and_ends_the_log() -> None:
    AccessLog("%m", Failing(), ManualClock()).close()
    log = AccessLog("%m", io.BytesIO(), ManualClock())
    log.close()
    log.close()
    log.record(ENTRY)
    assert log.lines_lost == 1


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
    assert file.read_text() == f"before\n{COMMON}\n"
    os.truncate(file, 0)  # as `logrotate` with copytruncate does
    log.record(ENTRY)
    assert file.read_text() == f"{COMMON}\n"
    log.close()


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
