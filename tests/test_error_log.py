"""What the server says of itself: one record a line, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config import Config
from server.error_log import JsonFormatter, TextFormatter, install, is_coloured, remove
from server.errors import StartError


def record(message: str, *arguments: object, raised: Exception | None = None) -> logging.LogRecord:
    info = None
    if raised is not None:
        try:
            raise raised
        except type(raised):
            info = sys.exc_info()
    one = logging.LogRecord(
        "interlock.exchange", logging.WARNING, __file__, 1, message, arguments, info
    )
    one.created, one.msecs = 971_211_336.25, 250.0
    return one


FORGED = "/\r\n2026-01-01 00:00:00,000 ERROR interlock: forged\x1b[2J\x7f\x85\u2028"


def test_text_is_one_line_whatever_a_stranger_sent() -> None:
    text = TextFormatter().format(record("no such page: %s", FORGED))
    first, *rest = text.split("\n")
    assert first.endswith(",250 WARNING interlock.exchange: no such page: /\\x0d")
    assert rest == ["  2026-01-01 00:00:00,000 ERROR interlock: forged\\x1b[2J\\x7f\\x85\\u2028"]


def test_what_was_raised_is_below_and_indented() -> None:
    text = TextFormatter().format(record("it raised", raised=ValueError(FORGED)))
    first, *rest = text.split("\n")
    assert first.endswith(" WARNING interlock.exchange: it raised")
    assert rest[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in rest)
    assert all(line.isprintable() for line in rest)
    assert "ValueError: /\\x0d" in text


def test_json_is_one_line_of_ascii() -> None:
    text = JsonFormatter().format(record("no such page: %s", FORGED, raised=ValueError("x\ny")))
    assert text.isascii()
    assert text.isprintable()
    told = json.loads(text)
    assert told.pop("exception").endswith("ValueError: x\ny")
    assert told.pop("process")
    assert told == {
        "time": "2000-10-10T20:55:36.250Z",
        "level": "warning",
        "logger": "interlock.exchange",
        "message": f"no such page: {FORGED}",
        "thread": "MainThread",
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "", "TERM": "xterm"}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_are_for_people(
    stream: io.StringIO, environ: dict[str, str], coloured: bool
) -> None:
    assert is_coloured(stream, environ) is coloured


def test_colours_mark_the_level_alone() -> None:
    text = TextFormatter(colours=True).format(record("late"))
    assert " \x1b[33mWARNING\x1b[0m interlock.exchange: late" in text


def test_one_of_several_processes_names_itself() -> None:
    text = TextFormatter(number=3).format(record("late"))
    assert text.endswith(" WARNING interlock.exchange [3]: late")
    told = json.loads(JsonFormatter(number=3).format(record("late")))
    assert (told["number"], told["message"]) == (3, "late")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level = root.level
    yield root
    root.setLevel(level)


def test_it_is_written_to_the_file_that_config_names(tmp_path: Path, root: logging.Logger) -> None:
    file = tmp_path / "error.log"
    handler = install(Config(log_file=str(file), log_format="json", log_level="warning"), {})
    root.info("not this")
    root.warning("this %s", "one")
    handler.emit(record("a mistake %d", "of ours"))
    remove(handler)
    first, second = file.read_text().splitlines()
    assert json.loads(first)["message"] == "this one"
    assert second == "WARNING interlock.exchange: a record cannot be written: 'a mistake %d'"


def test_a_file_that_cannot_be_opened(tmp_path: Path, root: logging.Logger) -> None:
    with pytest.raises(StartError, match=r"^--log-file .*/no/log cannot be opened: No such file"):
        install(Config(log_file=str(tmp_path / "no" / "log")), {})
