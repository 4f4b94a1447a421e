"""The environ of PEP 3333: its variables, the request's content and the errors stream."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.wsgi import wsgi
from server.app.wsgi_environ import (
    ERROR_LINE_CHARACTERS_MAX,
    Environs,
    ErrorStream,
    environ_base,
    key_of,
)
from server.app.wsgi_files import FileWrapper
from server.http1.messages import Field, Fields, Request
from tests.app.requests import request

PLAIN = [("Content-Type", "text/plain")]


def environ(asked: Request, *, url_scheme: str = "http") -> dict[str, Any]:
    return Environs(environ_base(ErrorStream(), url_scheme=url_scheme)).environ_of(asked)


def of(target: str, *fields: Field, method: str = "GET", **changed: Any) -> dict[str, Any]:
    asked = request(target, *fields, method=method)
    content = changed.pop("content", b"")
    ends = {name: changed.pop(name) for name in ("local", "peer") if name in changed}
    return environ(replace(asked, head=replace(asked.head, **changed), content=content, **ends))


# --- the environ -------------------------------------------------------------------------------


def test_the_environ_as_a_whole() -> None:
    got = of("/a%20b/c?x=%20&y", ("Host", "shop:81"), ("Accept", "*/*"), method="PUT")
    stream = got.pop("wsgi.input")
    errors = got.pop("wsgi.errors")
    assert (stream.read(), type(errors)) == (b"", ErrorStream)
    assert got == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=%20&y",
        "RAW_URI": "/a%20b/c?x=%20&y",
        "REQUEST_URI": "/a%20b/c?x=%20&y",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "7878",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "interlock",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "51324",
        "HTTP_HOST": "shop:81",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def test_each_request_has_an_environ_of_its_own() -> None:
    base = environ_base(ErrorStream(), url_scheme="https")
    environs = Environs(base)
    kept = dict(base)
    first = environs.environ_of(request("/a", ("X", "1")))
    first["mine"] = True
    second = environs.environ_of(request("/b"))
    assert base == kept
    assert "mine" not in second
    assert "HTTP_X" not in second
    assert second["wsgi.url_scheme"] == "https"
    assert type(second) is dict  # PEP 3333: not a subclass


@pytest.mark.parametrize(
    ("path", "info"),
    [
        ("/", "/"),
        ("/a//b/../c", "/a//b/../c"),
        ("/caf%C3%A9", "/caf\xc3\xa9"),
        ("/%FF%00", "/\xff\x00"),
        ("/a%2Fb", "/a/b"),
        ("/%2541", "/%41"),
        ("/a+b;c=d", "/a+b;c=d"),
    ],
)
def test_the_path_is_decoded_once(path: str, info: str) -> None:
    assert of(path)["PATH_INFO"] == info
    assert of(path)["REQUEST_URI"] == path


@given(st.binary())
def test_every_path_comes_back_as_its_bytes(path: bytes) -> None:
    info = of("/" + quote_from_bytes(path))["PATH_INFO"]
    assert info.encode("latin-1") == b"/" + path


def test_the_asterisk_is_no_path() -> None:
    got = of("*", ("Host", "shop"), method="OPTIONS", authority="shop")
    assert (got["PATH_INFO"], got["REQUEST_URI"], got["HTTP_HOST"]) == ("", "*", "shop")


def test_an_absolute_target_names_the_host() -> None:
    """RFC 9112 3.2.2: the Host field is ignored then."""
    target = "http://shop:81/a%20b?c"
    got = of(target, ("Host", "other"), path="/a%20b", query="c", authority="shop:81")
    assert (got["HTTP_HOST"], got["PATH_INFO"], got["REQUEST_URI"]) == ("shop:81", "/a b", target)


def test_http_1_0_may_name_no_host() -> None:
    got = of("/", minor=0, authority="")
    assert got["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in got


def test_ipv6_has_brackets_where_urls_are_made_of_it() -> None:
    got = of("/", local=("::1", 7878), peer=("fe80::2", 5))
    assert (got["SERVER_NAME"], got["REMOTE_ADDR"]) == ("[::1]", "fe80::2")


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ([("Accept", "a"), ("aCCept", "b"), ("ACCEPT", "c")], "HTTP_ACCEPT", "a, b, c"),
        ([("Cookie", "a=1"), ("Cookie", "b=2")], "HTTP_COOKIE", "a=1; b=2"),
        ([("Content-Type", "text/x")], "CONTENT_TYPE", "text/x"),
        ([("Content-Type", "a/b"), ("Content-Type", "c/d")], "CONTENT_TYPE", "a/b, c/d"),
        ([("X-Empty", "")], "HTTP_X_EMPTY", ""),
        ([("X", ""), ("X", "")], "HTTP_X", ", "),
        ([("X", "caf\xc3\xa9")], "HTTP_X", "caf\xc3\xa9"),
        ([("wsgi.input", "x")], "HTTP_WSGI.INPUT", "x"),
        ([("X-Real-Ip", "1.2.3.4"), ("X_Real_Ip", "6.6.6.6")], "HTTP_X_REAL_IP", "1.2.3.4"),
        ([("X_Real-Ip", "6.6.6.6"), ("X-Real_Ip", "6.6.6.6")], "HTTP_X_REAL_IP", None),
        ([("Proxy", "http://evil")], "HTTP_PROXY", None),
        ([("Content_Length", "3")], "CONTENT_LENGTH", None),
        ([("Content-Type", "text/x")], "HTTP_CONTENT_TYPE", None),
        ([("Transfer-Encoding", "chunked")], "HTTP_TRANSFER_ENCODING", None),
    ],
)  # fmt: skip
def test_fields_become_keys(fields: list[Field], key: str, value: str | None) -> None:
    assert of("/", *fields).get(key) == value


def test_no_field_overwrites_what_the_server_says() -> None:
    said = of("/")
    names = [key.replace("_", "-") for key in said]
    got = of("/", *((name, "evil") for name in names))
    changed = {key for key in said if got[key] != said[key]}
    assert changed <= {"wsgi.input", "wsgi.errors"}  # new ones each time


@given(st.text(alphabet="abAB-_.!", min_size=1), st.text(alphabet="abAB-_.!", min_size=1))
def test_two_names_have_one_key_only_where_they_are_one(one: str, other: str) -> None:
    if key_of(one) and key_of(one) == key_of(other):
        assert one.lower() == other.lower()


def test_the_cache_of_keys_is_bounded() -> None:
    assert key_of.cache_info().maxsize == 512


# --- the request's content ---------------------------------------------------------------------


def spooled(content: bytes) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the test closes it
    file.write(content)
    file.seek(0)
    return file


@pytest.mark.parametrize("keep", [bytes, spooled], ids=["memory", "file"])
def test_content_can_be_read_in_every_way(keep: Callable[[bytes], Any]) -> None:
    text = b"one\ntwo\nthree"

    def stream() -> Any:
        return of("/", method="POST", content_length=len(text), content=keep(text))["wsgi.input"]

    for read in (
        lambda s: s.read(),
        lambda s: s.read(2) + s.read(0) + s.read(100) + s.read(1),
        lambda s: s.readline() + s.readline(2) + s.readline() + s.readline() + s.readline(),
        lambda s: b"".join(s.readlines()),
        lambda s: b"".join(s.readlines(1)) + s.read(),
        b"".join,
        lambda s: b"".join(iter(lambda: s.read(1), b"")),
    ):
        with stream() as one:
            assert read(one) == text
            assert (one.read(), one.read(5), one.readline()) == (b"", b"", b"")  # it has ended


@pytest.mark.parametrize("keep", [bytes, spooled], ids=["memory", "file"])
def test_the_length_of_chunked_content_is_known(keep: Callable[[bytes], Any]) -> None:
    got = of("/", ("Transfer-Encoding", "chunked"), chunked=True, content=keep(b"hello"))
    with got["wsgi.input"] as stream:
        assert (got["CONTENT_LENGTH"], stream.read()) == ("5", b"hello")


def test_the_length_is_told_where_the_request_told_it() -> None:
    assert of("/", ("Content-Length", "0"), content_length=0)["CONTENT_LENGTH"] == "0"
    assert "CONTENT_LENGTH" not in of("/")
    assert "CONTENT_TYPE" not in of("/")


# --- wsgi.errors -------------------------------------------------------------------------------


def test_errors_go_to_the_log_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorStream()
    assert errors.write("one\ntw") == 6
    errors.write("o\n\nth")
    assert caplog.messages == ["one", "two", ""]
    errors.flush()
    errors.flush()
    print("four", 100, "%s", file=errors)
    errors.writelines(["five\n", "six\n"])
    assert caplog.messages == ["one", "two", "", "th", "four 100 %s", "five", "six"]
    assert {(one.name, one.levelno) for one in caplog.records} == {("interlock.app", logging.ERROR)}


def test_a_line_without_an_end_is_logged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorStream()
    for _ in range(100):
        errors.write("x" * 1000)
    errors.flush()
    assert "".join(caplog.messages) == "x" * 100_000
    assert max(map(len, caplog.messages)) == ERROR_LINE_CHARACTERS_MAX


def test_a_line_begun_is_logged_when_the_response_is_over(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Any, start: Any) -> list[bytes]:
        environ["wsgi.errors"].write("no end")
        start("200 OK", PLAIN)
        return [b"x"]

    wsgi(application)(request("/"))
    assert caplog.messages == ["no end"]


def test_a_line_begun_goes_with_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorStream()
    # The system soon gives an ident anew whose thread has ended.
    for _ in range(20):
        for text in ("begun, ", "ended\n"):
            thread = threading.Thread(target=errors.write, args=(text,))
            thread.start()
            thread.join()
    assert caplog.messages == ["ended"] * 20


def test_lines_of_two_threads_are_not_mixed(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorStream()
    turn = threading.Barrier(2, timeout=30)

    def write(letter: str) -> None:
        for _ in range(50):
            turn.wait()
            errors.write(letter)
        errors.write("\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(caplog.messages) == ["a" * 50, "b" * 50]


def test_requests_that_share_a_head_have_an_environ_each() -> None:
    environs = Environs(environ_base(ErrorStream(), url_scheme="http"))
    asked = request("/a%20b", ("X", "1"))
    head = replace(asked.head, notes={})
    first = environs.environ_of(replace(asked, head=head, peer=("10.0.0.1", 1)))
    first["mine"] = True
    del first["HTTP_X"]
    second = environs.environ_of(replace(asked, head=head, peer=("10.0.0.2", 2)))
    alone = environs.environ_of(replace(asked, peer=("10.0.0.2", 2)))
    assert second["wsgi.input"] is not first["wsgi.input"]
    assert {**second, "wsgi.input": 0} == {**alone, "wsgi.input": 0}
    assert second["REMOTE_ADDR"] == "10.0.0.2"
    # The same address or another: an environ names the one that its request came to.
    for local, name in (("::1", 80), "[::1]"), (asked.local, asked.local[0]):
        environ = environs.environ_of(replace(asked, head=head, local=local))
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, str(local[1]))
    # What one application's environs begin with is not another's.
    https = Environs(environ_base(ErrorStream(), url_scheme="https"))
    assert https.environ_of(replace(asked, head=head))["wsgi.url_scheme"] == "https"


def test_requests_that_share_their_fields_have_an_environ_each() -> None:
    environs = Environs(environ_base(ErrorStream(), url_scheme="http"))
    first, other = request("/a", ("X", "1"), ("x", "2")), request("/b?c", ("X", "1"), ("x", "2"))
    fields = Fields(first.head.fields.lines, {})
    environ = environs.environ_of(replace(first, head=replace(first.head, fields=fields, notes={})))
    del environ["HTTP_X"]
    head = replace(other.head, fields=fields, notes={})
    shared, alone = environs.environ_of(replace(other, head=head)), environs.environ_of(other)
    assert {**shared, "wsgi.input": 0} == {**alone, "wsgi.input": 0}
    assert (shared["HTTP_X"], shared["PATH_INFO"], shared["QUERY_STRING"]) == ("1, 2", "/b", "c")
