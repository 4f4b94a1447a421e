"""Files that lie on the disk in coded forms too, and which of them a client gets (12.5.3)."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.app.dispatch import make_app
from server.app.representation import SMALL_BYTES_MAX
from server.config import Config
from server.http1.messages import Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]
NOW = 1_700_000_000
PLAIN = b"export const answer = 42\n" * 40
# What is in them counts for nothing: the server takes their names at their word.
CODED = {"br": b"the brotli form", "zstd": b"the zstandard form", "gzip": gzip.compress(PLAIN)}
SUFFIXES = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


def put(path: Path, content: bytes, *, modified: float = NOW - 100) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(0, int(modified * 1e9)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for name in ("app.js", "index.html", "sub/index.html"):
        put(root / name, PLAIN)
        for coding, suffix in SUFFIXES.items():
            put(root / f"{name}{suffix}", CODED[coding])
    put(root / "lone.css", PLAIN)
    return root


@pytest.fixture
def app(root: Path) -> App:
    return make_app(Config(root=root), ManualClock(wall=NOW))


def get(app: App, target: str, accept: str, *fields: tuple[str, str]) -> Response:
    return app(request(target, ("Accept-Encoding", accept), *fields))


@pytest.mark.rfc("9110-8.4")
@pytest.mark.parametrize("coding", SUFFIXES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_coded_form(app: App, coding: str, method: str) -> None:
    before = descriptors()
    response = app(request("/app.js", ("Accept-Encoding", coding), method=method))
    assert response.status == 200
    assert field(response, "content-encoding") == coding
    assert field(response, "content-type") == "text/javascript; charset=utf-8"
    assert field(response, "vary") == "Accept-Encoding"
    assert content_of(response) == CODED[coding]
    assert descriptors() == before


@pytest.mark.rfc("9110-12.5.3")
@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=0.9, br;q=0.8", "gzip"),
        ("br;q=0, *", "zstd"),
        ("identity;q=0, gzip", "gzip"),
        ("*", "br"),
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("identity, br;q=0.5", None),
    ],
)
def test_which_form(app: App, accept: str, coding: str | None) -> None:
    response = get(app, "/app.js", accept)
    assert (response.status, field(response, "content-encoding")) == (200, coding)
    assert content_of(response) == (PLAIN if coding is None else CODED[coding])
    assert field(response, "vary") == "Accept-Encoding"


@pytest.mark.rfc("9110-5.3")
def test_a_field_of_two_lines_is_one_list(app: App) -> None:
    response = get(app, "/app.js", "br;q=0.1", ("Accept-Encoding", "gzip"))
    assert field(response, "content-encoding") == "gzip"


@pytest.mark.parametrize("target", ["/", "/sub/", "/sub/index.html"])
def test_an_index_has_forms_too(app: App, target: str) -> None:
    response = get(app, target, "gzip")
    assert field(response, "content-type") == "text/html; charset=utf-8"
    assert gzip.decompress(content_of(response)) == PLAIN


@pytest.mark.rfc("9110-12.5.5")
def test_what_has_no_forms_does_not_vary(app: App) -> None:
    response = get(app, "/lone.css", "gzip")
    assert (response.status, content_of(response)) == (200, PLAIN)
    assert field(response, "content-encoding") is None
    assert field(response, "vary") is None


@pytest.mark.rfc("9110-15.5.7")
@pytest.mark.parametrize("target", ["/app.js", "/lone.css"])
@pytest.mark.parametrize("accept", ["identity;q=0", "*;q=0", "deflate, *;q=0"])
def test_nothing_acceptable(app: App, target: str, accept: str) -> None:
    before = descriptors()
    response = get(app, target, accept)
    assert (response.status, field(response, "vary")) == (406, "Accept-Encoding")
    assert descriptors() == before


def test_a_coded_file_by_its_own_name_is_a_file(root: Path, app: App) -> None:
    put(root / "app.js.gz.gz", b"not looked for")
    response = get(app, "/app.js.gz", "gzip, br")
    assert field(response, "content-type") == "application/gzip"
    assert field(response, "content-encoding") is None
    assert field(response, "vary") is None
    assert content_of(response) == CODED["gzip"]


def test_a_form_without_its_file_is_no_page(root: Path, app: App) -> None:
    (root / "app.js").unlink()
    assert get(app, "/app.js", "gzip, br").status == 404


# --- a form that is older than its file -------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "form", "coded"),
    [
        (NOW - 100, NOW - 100, True),
        (NOW - 100, NOW - 99.5, True),
        (NOW - 100, NOW - 101, False),
        (NOW - 99.5, NOW - 99.75, False),
        (NOW - 99.5, NOW - 100, True),  # the file's date without its fraction, as some tools copy
        (NOW - 99.5, NOW - 101, False),
    ],
)
def test_only_a_form_that_is_current(
    root: Path, app: App, file: float, form: float, coded: bool
) -> None:
    put(root / "app.js", PLAIN, modified=file)
    put(root / "app.js.gz", CODED["gzip"], modified=form)
    before = descriptors()
    response = get(app, "/app.js", "gzip")
    assert (field(response, "content-encoding") == "gzip") is coded
    assert content_of(response) == (CODED["gzip"] if coded else PLAIN)
    assert descriptors() == before


def test_the_next_best_where_the_best_is_old(root: Path, app: App) -> None:
    put(root / "app.js.br", b"stale", modified=NOW - 200)
    assert field(get(app, "/app.js", "br, gzip"), "content-encoding") == "gzip"
    assert get(app, "/app.js", "br, identity;q=0").status == 406


# --- each form is a representation of its own -------------------------------------------------


@pytest.mark.rfc("9110-8.8.3.3")
def test_each_form_has_its_own_tag(root: Path, app: App) -> None:
    put(root / "same.txt", b"0123456789")
    for suffix in SUFFIXES.values():
        put(root / f"same.txt{suffix}", b"9876543210")  # the same size and the same date
    tags = {field(get(app, "/same.txt", one), "etag") for one in ("", *SUFFIXES)}
    assert len(tags) == 4


@pytest.mark.rfc("9110-13.1.2")
@pytest.mark.rfc("9110-15.4.5")
def test_a_tag_is_that_of_one_form(root: Path) -> None:
    app = make_app(Config(root=root, cache_control="no-cache"), ManualClock(wall=NOW))
    etag = field(get(app, "/app.js", "gzip"), "etag")
    assert etag is not None
    again = get(app, "/app.js", "gzip", ("If-None-Match", etag))
    assert again.status == 304
    assert set(again.fields) == {
        ("ETag", etag),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept-Encoding"),
    }
    assert get(app, "/app.js", "br", ("If-None-Match", etag)).status == 200


@pytest.mark.rfc("9110-14.2")
def test_a_range_is_of_the_form_that_was_selected(app: App) -> None:
    size = len(CODED["gzip"])
    response = get(app, "/app.js", "gzip", ("Range", "bytes=2-5"))
    assert (response.status, content_of(response)) == (206, CODED["gzip"][2:6])
    assert field(response, "content-range") == f"bytes 2-5/{size}"
    assert field(response, "content-encoding") == "gzip"
    assert field(response, "vary") == "Accept-Encoding"
    beyond = get(app, "/app.js", "gzip", ("Range", f"bytes={size}-"))
    assert (beyond.status, field(beyond, "content-range")) == (416, f"bytes */{size}")


def test_several_ranges_of_a_coded_form_get_the_whole(app: App) -> None:
    """A client decodes the content as a whole, and a multipart one is not what was coded."""
    response = get(app, "/app.js", "gzip", ("Range", "bytes=0-1,4-5"))
    assert (response.status, content_of(response)) == (200, CODED["gzip"])
    plain = get(app, "/app.js", "identity", ("Range", "bytes=0-1,4-5"))
    assert plain.status == 206
    content_of(plain)


# --- links, folders, faults -------------------------------------------------------------------


def test_a_form_that_leads_outside_is_none(root: Path, app: App) -> None:
    (root.parent / "secret").write_bytes(b"the secret outside")
    for suffix in SUFFIXES.values():
        (root / f"lone.css{suffix}").symlink_to("../secret")
    before = descriptors()
    response = get(app, "/lone.css", "br, zstd, gzip")
    assert (response.status, content_of(response)) == (200, PLAIN)
    assert descriptors() == before


def test_a_form_that_is_a_folder_or_a_broken_link_is_none(root: Path, app: App) -> None:
    (root / "lone.css.br").mkdir()
    (root / "lone.css.gz").symlink_to("nowhere")
    os.mkfifo(root / "lone.css.zst")
    before = descriptors()
    response = get(app, "/lone.css", "br, gzip, zstd")
    assert (response.status, content_of(response)) == (200, PLAIN)
    assert descriptors() == before


def test_forms_reached_by_links_that_stay_inside(root: Path, app: App) -> None:
    (root / "link.js").symlink_to("app.js")
    (root / "link.js.br").symlink_to("app.js.br")
    (root / "way").symlink_to(".")
    for target in ("/link.js", "/way/app.js", "/way/link.js"):
        assert content_of(get(app, target, "br")) == CODED["br"]


def test_a_large_form_is_sent_from_its_file(root: Path, app: App) -> None:
    large = os.urandom(SMALL_BYTES_MAX + 1)
    put(root / "app.js.br", large)
    before = descriptors()
    assert content_of(get(app, "/app.js", "br")) == large
    assert descriptors() == before


def test_a_fault_leaves_nothing_open(root: Path, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    real, before = os.open, descriptors()

    def broken(path: str, flags: int, **where: int) -> int:
        if path.endswith(".br"):
            raise OSError(5, "Input/output error")
        return real(path, flags, **where)

    with monkeypatch.context() as patch:
        patch.setattr("server.app.folder.os.open", broken)
        with pytest.raises(OSError, match="Input/output"):
            get(app, "/app.js", "br")
    assert descriptors() == before
