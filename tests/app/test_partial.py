"""Parts of files: 206 and 416 as whole responses, and when a Range counts at all."""

from __future__ import annotations

import email
import email.policy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.conditional import Validators, range_counts
from server.app.dispatch import make_app
from server.app.folder import Folder
from server.app.paths import names_of
from server.app.ranges import PARTS_MAX
from server.app.representation import SMALL_BYTES_MAX, Renderer, random_boundary
from server.app.shelf import Shelf
from server.app.static import Site
from server.config import Config
from server.http1.messages import Fields, FileRegion, Parts, Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]
NOW = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:11:40 GMT"  # NOW - 100
SMALL = bytes(range(256)) * 4
LARGE = os.urandom(64) * 8000
FILES = {"small.bin": SMALL, "large.bin": LARGE, "empty.txt": b"", "text.txt": b"0123456789"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (NOW - 100, NOW - 100))
    return tmp_path


@pytest.fixture
def app(root: Path) -> App:
    return make_app(Config(root=root), ManualClock(wall=NOW))


def get(app: App, target: str, ranges: str, *fields: tuple[str, str]) -> Response:
    return app(request(target, ("Range", ranges), *fields))


def parts_of(response: Response) -> list[tuple[str | None, str | None, bytes]]:
    """Content-Type, Content-Range and content of each part, read by a MIME parser."""
    header = f"Content-Type: {field(response, 'content-type')}\r\n\r\n".encode()
    message = email.message_from_bytes(header + content_of(response), policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    parts = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        parts.append((part["content-type"], part["content-range"], content))
    return parts


# --- one part ---------------------------------------------------------------------------------


@pytest.mark.rfc("9110-15.3.7.1")
@pytest.mark.parametrize(
    ("ranges", "content_range", "content"),
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=4-", "bytes 4-9/10", b"456789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=0-", "bytes 0-9/10", b"0123456789"),
        ("bytes=3-3", "bytes 3-3/10", b"3"),
        ("bytes=8-99", "bytes 8-9/10", b"89"),
        ("bytes=1-2,3-4", "bytes 1-4/10", b"1234"),
        ("bytes=2-3,40-50", "bytes 2-3/10", b"23"),
    ],
)
def test_one_part(app: App, ranges: str, content_range: str, content: bytes) -> None:
    response = get(app, "/text.txt", ranges)
    assert response.status == 206
    assert field(response, "content-range") == content_range
    assert field(response, "content-type") == "text/plain; charset=utf-8"
    assert content_of(response) == content


@pytest.mark.rfc("9110-15.3.7")
def test_a_part_comes_with_the_fields_of_the_whole(root: Path) -> None:
    app = make_app(Config(root=root, cache_control="max-age=60"), ManualClock(wall=NOW))
    whole, part = app(request("/text.txt")), get(app, "/text.txt", "bytes=0-0")
    content_range = ("Content-Range", "bytes 0-0/10")
    assert set(part.fields) == {*whole.fields, content_range}
    assert ("Cache-Control", "max-age=60") in part.fields
    assert ("Last-Modified", MODIFIED) in part.fields


@pytest.mark.rfc("9110-15.3.7")
@pytest.mark.parametrize("ranges", ["bytes=0-0", "bytes=0-0,5-5"])
def test_who_sends_if_range_is_not_told_again_what_it_knows(root: Path, ranges: str) -> None:
    app = make_app(Config(root=root, cache_control="max-age=60"), ManualClock(wall=NOW))
    etag = field(app(request("/text.txt")), "etag")
    assert etag is not None
    part = get(app, "/text.txt", ranges, ("If-Range", etag))
    assert part.status == 206
    assert field(part, "last-modified") is None
    assert field(part, "etag") == etag
    assert field(part, "cache-control") == "max-age=60"
    single = field(part, "content-range") is not None
    assert (field(part, "content-type") is None) is single


@pytest.mark.rfc("9110-14.3")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ranges_are_offered(app: App, method: str) -> None:
    assert field(app(request("/text.txt", method=method)), "accept-ranges") == "bytes"
    assert field(app(request("/nope", method=method)), "accept-ranges") is None


@pytest.mark.parametrize("name", ["small.bin", "large.bin"])
@given(first=st.integers(0, 600_000), size=st.integers(1, 600_000))
def test_any_part_is_what_the_slice_is(name: str, first: int, size: int) -> None:
    content = FILES[name]
    response = get(_SHARED.app(), f"/{name}", f"bytes={first}-{first + size - 1}")
    if first >= len(content):
        assert response.status == 416
        content_of(response)
        return
    assert response.status == 206
    expected = content[first : first + size]
    assert isinstance(response.content, FileRegion) is (len(expected) > SMALL_BYTES_MAX)
    assert content_of(response) == expected
    assert field(response, "content-range") == (
        f"bytes {first}-{first + len(expected) - 1}/{len(content)}"
    )


class _Shared:
    """One tree for all examples of a property: nothing in it changes."""

    def __init__(self) -> None:
        self.root: Path | None = None

    def app(self) -> App:
        assert self.root is not None
        return make_app(Config(root=self.root), ManualClock(wall=NOW))


_SHARED = _Shared()


@pytest.fixture(autouse=True, scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> None:
    _SHARED.root = tmp_path_factory.mktemp("shared")
    for name, content in FILES.items():
        (_SHARED.root / name).write_bytes(content)


# --- several parts ----------------------------------------------------------------------------


@pytest.mark.rfc("9110-14.6")
def test_the_letters_of_a_multipart_response(root: Path) -> None:
    renderer = Renderer(ManualClock(wall=NOW), boundary=lambda: "THIS_STRING_SEPARATES")
    site = Site(Folder(root), renderer, Shelf(ManualClock(), bytes_max=0, seconds_max=0))
    asked = request("/text.txt", ("Range", "bytes=1-2,-2"))
    response = site.page(asked, names_of("/text.txt"))
    assert response.status == 206
    assert field(response, "content-type") == (
        "multipart/byteranges; boundary=THIS_STRING_SEPARATES"
    )
    assert content_of(response) == (
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Range: bytes 1-2/10\r\n"
        b"\r\n"
        b"12\r\n"
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Range: bytes 8-9/10\r\n"
        b"\r\n"
        b"89\r\n"
        b"--THIS_STRING_SEPARATES--\r\n"
    )


@pytest.mark.rfc("9110-15.3.7.2")
def test_a_multipart_response_has_no_content_range(app: App) -> None:
    response = get(app, "/text.txt", "bytes=0-0,2-2")
    assert field(response, "content-range") is None
    assert len(Fields(response.fields).all("content-type")) == 1
    assert field(response, "last-modified") == MODIFIED
    content_of(response)


@pytest.mark.parametrize(("name", "type_"), [("small.bin", bytes), ("large.bin", Parts)])
def test_several_parts_of_a_file_leave_nothing_open(app: App, name: str, type_: type) -> None:
    before = descriptors()
    content = FILES[name]
    middle = len(content) // 2
    response = get(app, f"/{name}", f"bytes={middle}-,0-9")
    assert isinstance(response.content, type_)
    end = len(content) - 1
    assert parts_of(response) == [
        ("application/octet-stream", f"bytes {middle}-{end}/{len(content)}", content[middle:]),
        ("application/octet-stream", f"bytes 0-9/{len(content)}", content[:10]),
    ]
    assert descriptors() == before


def test_boundaries_are_random_and_plain() -> None:
    some = {random_boundary() for _ in range(50)}
    assert len(some) == 50
    # RFC 2046 5.1.1: 1 to 70 characters; these need no quotes.
    assert all(one.isalnum() and len(one) == 32 for one in some)


@pytest.mark.rfc("9110-17.15")
def test_a_set_that_asks_for_too_much_gets_the_whole(app: App) -> None:
    many = "bytes=" + ",".join(f"{4 * n}-{4 * n + 1}" for n in range(PARTS_MAX + 1))
    for ranges in (many, "bytes=0-,0-,0-", "bytes=0-9,5-9999"):  # the last: 10 + 1019 of 1024
        response = get(app, "/small.bin", ranges)
        assert (response.status, content_of(response)) == (200, SMALL)
        assert field(response, "content-range") is None


@given(
    asked=st.lists(
        st.tuples(st.integers(0, 1100), st.integers(1, 200)), min_size=2, max_size=PARTS_MAX
    )
)
def test_any_parts_are_what_the_slices_are(asked: list[tuple[int, int]]) -> None:
    """Whatever way it is answered, a client that puts the parts together has what it asked for."""
    ranges = ",".join(f"{first}-{first + size - 1}" for first, size in asked)
    wanted = {at for first, size in asked for at in range(first, first + size)} & {*range(1024)}
    response = get(_SHARED.app(), "/small.bin", f"bytes={ranges}")
    got: dict[int, int] = {}
    if response.status == 200:
        got = dict(enumerate(content_of(response)))
        assert sum(max(0, min(first + size, 1024) - first) for first, size in asked) > 1024
    elif field(response, "content-range") is not None and response.status == 206:
        got = placed(field(response, "content-range"), content_of(response))
    elif response.status == 206:
        for _, content_range, content in parts_of(response):
            got |= placed(content_range, content)
    assert wanted <= got.keys()
    assert (response.status == 416) is (not wanted)
    assert all(SMALL[at] == byte for at, byte in got.items())
    assert response.status == 200 or wanted == got.keys()


def placed(content_range: str | None, content: bytes) -> dict[int, int]:
    """The bytes by their positions, as a Content-Range says."""
    assert content_range is not None
    first, last = content_range.removeprefix("bytes ").removesuffix("/1024").split("-")
    assert len(content) == int(last) - int(first) + 1
    return dict(enumerate(content, int(first)))


# --- no part ----------------------------------------------------------------------------------


@pytest.mark.rfc("9110-15.5.17")
@pytest.mark.parametrize("ranges", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-,10-"])
def test_nothing_that_overlaps(app: App, ranges: str) -> None:
    before = descriptors()
    response = get(app, "/text.txt", ranges)
    assert (response.status, field(response, "content-range")) == (416, "bytes */10")
    assert b"416 Range Not Satisfiable" in content_of(response)
    assert descriptors() == before


@pytest.mark.rfc("9110-14.2")
@pytest.mark.parametrize("ranges", ["lines=0-1", "bytes=5-1", "bytes=x", "bytes=", "0-1"])
def test_a_range_that_is_ignored(app: App, ranges: str) -> None:
    response = get(app, "/text.txt", ranges)
    assert (response.status, content_of(response)) == (200, b"0123456789")


@pytest.mark.rfc("9110-14.2")
def test_a_field_that_came_twice_is_ignored(app: App) -> None:
    response = get(app, "/text.txt", "bytes=0-1", ("Range", "bytes=2-3"))
    assert (response.status, content_of(response)) == (200, b"0123456789")


@pytest.mark.rfc("9110-14.2")
def test_a_range_counts_for_get_only(app: App) -> None:
    for ranges in ("bytes=0-1", "bytes=99-"):
        asked = request("/text.txt", ("Range", ranges), method="HEAD")
        response = app(asked)
        assert (response.status, len(content_of(response))) == (200, 10)
        assert field(response, "content-range") is None
        assert app(request("/", ("Range", ranges), method="OPTIONS")).status == 204
        assert app(request("/text.txt", ("Range", ranges), method="POST")).status == 405


def test_a_range_of_an_empty_file_is_ignored(app: App) -> None:
    for ranges in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        response = get(app, "/empty.txt", ranges)
        assert (response.status, content_of(response)) == (200, b"")


def test_a_range_of_what_is_not_there(app: App) -> None:
    response = get(app, "/nope", "bytes=0-1")
    assert response.status == 404
    assert field(response, "content-range") is None


# --- preconditions ----------------------------------------------------------------------------


@pytest.mark.rfc("9110-13.2.2")
def test_preconditions_come_first(app: App) -> None:
    etag = field(app(request("/text.txt")), "etag")
    assert etag is not None
    for ranges in ("bytes=0-1", "bytes=99-"):
        assert get(app, "/text.txt", ranges, ("If-None-Match", etag)).status == 304
        assert get(app, "/text.txt", ranges, ("If-Match", '"other"')).status == 412
        assert get(app, "/text.txt", ranges, ("If-Modified-Since", MODIFIED)).status == 304
    assert get(app, "/text.txt", "bytes=0-1", ("If-Match", etag)).status == 206


HAVE = Validators('"now"', NOW - 100)


@pytest.mark.rfc("9110-13.1.5")
@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([], True),
        (['"now"'], True),
        ([MODIFIED], True),
        (["Tuesday, 14-Nov-23 22:11:40 GMT"], True),
        (["Tue Nov 14 22:11:40 2023"], True),
        (['"then"'], False),
        (['W/"now"'], False),  # weak tags are never the same by the strong comparison
        (["*"], False),
        (['"then", "now"'], False),  # one validator, not a list
        (['"now"', '"now"'], False),
        ([MODIFIED, MODIFIED], False),
        (["Tue, 14 Nov 2023 22:11:39 GMT"], False),  # an exact match, not "since"
        (["Tue, 14 Nov 2023 22:11:41 GMT"], False),
        (["yesterday"], False),
        ([""], False),
        (["now"], False),
    ],
)
def test_if_range(values: list[str], counts: bool) -> None:
    given_ = Fields(tuple(("If-Range", value) for value in values))
    assert range_counts(given_, HAVE, now=NOW) is counts


@pytest.mark.rfc("9110-8.8.2.2")
@pytest.mark.parametrize("value", ['W/"now"', '"now"', MODIFIED])
def test_nothing_weak_is_strong_enough(value: str) -> None:
    weak = Validators('W/"now"', NOW - 100)
    assert not range_counts(Fields((("If-Range", value),)), weak, now=NOW)


@pytest.mark.rfc("9110-13.1.5")
def test_a_file_that_changed_is_sent_whole(root: Path) -> None:
    app = make_app(Config(root=root, static_cache_seconds_max=0), ManualClock(wall=NOW))
    etag = field(app(request("/text.txt")), "etag")
    assert etag is not None
    (root / "text.txt").write_bytes(b"abcdefghij")
    for validator in (etag, MODIFIED):
        for ranges in ("bytes=0-1", "bytes=99-", "bytes=0-1,3-4"):
            response = get(app, "/text.txt", ranges, ("If-Range", validator))
            assert (response.status, content_of(response)) == (200, b"abcdefghij")
            assert field(response, "content-type") is not None


@pytest.mark.rfc("9110-14.2")
def test_who_has_it_all_learns_that_there_is_no_more(app: App) -> None:
    etag = field(app(request("/text.txt")), "etag")
    assert etag is not None
    response = get(app, "/text.txt", "bytes=10-", ("If-Range", etag))
    assert (response.status, field(response, "content-range")) == (416, "bytes */10")


@pytest.mark.rfc("9110-13.1.5")
def test_if_range_without_a_range_is_ignored(app: App) -> None:
    response = app(request("/text.txt", ("If-Range", '"other"')))
    assert (response.status, content_of(response)) == (200, b"0123456789")
    assert field(response, "last-modified") == MODIFIED


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", ["bytes=0-1", "bytes=0-1,4-5", "bytes=0-0,100000-400000"])
@pytest.mark.parametrize("name", ["text.txt", "large.bin"])
def test_a_fault_leaves_nothing_open(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, ranges: str
) -> None:
    def broken(*_: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("server.app.folder.os.pread", broken)
    renderer = Renderer(ManualClock(wall=NOW), boundary=broken)
    site = Site(Folder(root), renderer, Shelf(ManualClock(), bytes_max=0, seconds_max=0))
    before = descriptors()
    with pytest.raises(OSError, match="Input/output"):
        site.page(request(f"/{name}", ("Range", ranges)), (name,))
    assert descriptors() == before
