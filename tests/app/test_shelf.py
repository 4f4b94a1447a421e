"""Small files that are given again without a look at the disk: for how long, and which never."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.app.dispatch import make_app
from server.app.representation import SMALL_BYTES_MAX
from server.app.shelf import ENTRY_BYTES
from server.config import Config, Mount
from server.http1.messages import Fields, Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

NOW = 1_700_000_000
App = Callable[[Request], Response]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=NOW)


@pytest.fixture
def app(tmp_path: Path, clock: ManualClock) -> App:
    write(tmp_path / "a.txt", b"first")
    return make_app(Config(root=tmp_path), clock)


def write(file: Path, content: bytes, *, seconds_ago: float = 100) -> None:
    """The file anew, under its name; last changed so long before `NOW`."""
    file.write_bytes(content)
    os.utime(file, (NOW - seconds_ago, NOW - seconds_ago))


def get(app: App, target: str = "/a.txt", *fields: tuple[str, str]) -> bytes:
    return content_of(app(request(target, *fields)))


def test_a_change_is_seen_after_a_second_and_not_later(
    app: App, clock: ManualClock, tmp_path: Path
) -> None:
    tag = field(app(request("/a.txt")), "etag")
    write(tmp_path / "a.txt", b"second", seconds_ago=50)
    clock.advance(0.999)
    assert get(app) == b"first"
    assert field(app(request("/a.txt")), "etag") == tag
    clock.advance(0.001)
    assert get(app) == b"second"
    assert field(app(request("/a.txt")), "etag") != tag


def shared(*fields: tuple[str, str], method: str = "GET") -> Request:
    """A request whose head and fields others may share."""
    asked = request("/a.txt", *fields, method=method)
    own = Fields(asked.head.fields.lines, {})
    return replace(asked, head=replace(asked.head, fields=own, notes={}))


def test_what_is_noted_of_a_request_and_of_a_file_changes_no_answer(
    app: App, tmp_path: Path, clock: ManualClock
) -> None:
    fresh = make_app(Config(root=tmp_path, static_cache_bytes_max=0), clock)
    tag = field(app(request("/a.txt")), "etag")
    assert tag
    asks = [
        shared(*fields, method=method)
        for method in ("GET", "HEAD")
        for fields in (
            (),
            (("If-None-Match", tag),),
            (("If-Match", '"other"'),),
            (("Range", "bytes=1-2"),),
            (("Range", "bytes=9-"),),
            (("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT"),),
            (("Accept-Encoding", "gzip"), ("Accept-Encoding", "br")),
        )
    ]
    statuses = set()
    for one in asks * 3:
        known, new = app(one), fresh(request("/a.txt", *one.head.fields, method=one.head.method))
        statuses.add(new.status)
        assert (known.status, known.fields) == (new.status, new.fields)
        assert content_of(known) == content_of(new)
    assert statuses == {200, 206, 304, 412, 416}


def test_a_clock_that_is_put_back_dates_no_file_in_the_future(
    app: App, tmp_path: Path, clock: ManualClock
) -> None:
    fresh = make_app(Config(root=tmp_path, static_cache_bytes_max=0), clock)
    strong = app(shared()).fields
    assert app(shared()).fields == strong
    clock.set_wall(NOW - 3600)
    assert app(shared()).fields == fresh(shared()).fields != strong
    clock.set_wall(NOW)
    assert app(shared()).fields == strong


def test_what_is_asked_for_again_and_again_is_no_older(
    app: App, clock: ManualClock, tmp_path: Path
) -> None:
    assert get(app) == b"first"
    write(tmp_path / "a.txt", b"second", seconds_ago=50)
    for _ in range(7):
        clock.advance(0.125)
        assert get(app) == b"first"
    clock.advance(0.125)
    assert get(app) == b"second"


def test_a_file_that_is_gone_is_gone_after_a_second(
    app: App, clock: ManualClock, tmp_path: Path
) -> None:
    assert get(app) == b"first"
    (tmp_path / "a.txt").unlink()
    clock.advance(1)
    assert app(request("/a.txt")).status == 404
    write(tmp_path / "a.txt", b"again")
    assert get(app) == b"again"  # that it was not there is not kept


def replace_by_a_link_out(root: Path) -> None:
    (root / "sub" / "a.txt").unlink()
    (root / "sub" / "a.txt").symlink_to(root.parent / "outside" / "a.txt")


def replace_its_folder_by_a_link_out(root: Path) -> None:
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(root.parent / "outside")


def replace_the_root(root: Path) -> None:
    root.rename(root.parent / "before")
    (root / "sub").mkdir(parents=True)
    write(root / "sub" / "a.txt", b"deployed")


def replace_by_a_folder(root: Path) -> None:
    (root / "sub" / "a.txt").unlink()
    (root / "sub" / "a.txt").mkdir()


@pytest.mark.parametrize(
    ("change", "status", "content"),
    [
        (replace_by_a_link_out, 404, None),
        (replace_its_folder_by_a_link_out, 404, None),
        (replace_the_root, 200, b"deployed"),
        (replace_by_a_folder, 301, None),
    ],
)
def test_the_way_to_a_file_is_walked_anew_after_a_second(
    tmp_path: Path,
    clock: ManualClock,
    change: Callable[[Path], None],
    status: int,
    content: bytes | None,
) -> None:
    root = tmp_path / "root"
    for folder in (root / "sub", tmp_path / "outside"):
        folder.mkdir(parents=True)
        write(folder / "a.txt", folder.name.encode())
    app = make_app(Config(root=root), clock)
    assert get(app, "/sub/a.txt") == b"sub"
    before = descriptors()
    change(root)
    clock.advance(0.999)
    assert get(app, "/sub/a.txt") == b"sub"
    clock.advance(0.001)
    response = app(request("/sub/a.txt"))
    assert response.status == status
    assert content is None or content_of(response) == content
    assert descriptors() == before


def test_a_fault_of_the_disk_leaves_nothing_open_and_nothing_kept(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr("server.app.folder.os.pread", broken)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                app(request("/a.txt"))
    assert descriptors() == before
    assert get(app) == b"first"


def test_words_that_come_to_the_same_share_what_is_kept(tmp_path: Path, clock: ManualClock) -> None:
    """Else whoever makes up words could fill the shelf with one file."""
    for name, content in (("a.txt", b"plain"), ("a.txt.gz", b"packed"), ("b.txt", b"other")):
        write(tmp_path / name, content)
    app = make_app(Config(root=tmp_path, static_cache_bytes_max=5000), clock)
    assert get(app, "/b.txt") == b"other"
    words = ["gzip", "GZIP;q=1", "deflate, gzip", "x-gzip", *(f"gzip, x{n}" for n in range(9))]
    for word in words:
        assert get(app, "/a.txt", ("Accept-Encoding", word)) == b"packed"
        for name in ("a.txt", "a.txt.gz", "b.txt"):
            (tmp_path / name).unlink(missing_ok=True)
    assert get(app, "/b.txt") == b"other"


def test_a_file_that_has_just_changed_is_not_kept(
    app: App, clock: ManualClock, tmp_path: Path
) -> None:
    write(tmp_path / "new.txt", b"one", seconds_ago=1.9)
    assert get(app, "/new.txt") == b"one"
    write(tmp_path / "new.txt", b"two", seconds_ago=1.9)
    assert get(app, "/new.txt") == b"two"


def test_ranges_conditions_and_codings_are_answered_from_what_is_kept(
    app: App, tmp_path: Path
) -> None:
    write(tmp_path / "a.txt.gz", b"packed")
    gzip = ("Accept-Encoding", "gzip")
    assert (get(app, "/a.txt", gzip), get(app)) == (b"packed", b"first")
    tag = field(app(request("/a.txt")), "etag")
    assert tag is not None
    for name in ("a.txt", "a.txt.gz"):
        (tmp_path / name).unlink()
    before = descriptors()
    assert (get(app, "/a.txt", gzip), get(app)) == (b"packed", b"first")
    assert app(request("/a.txt", ("If-None-Match", tag))).status == 304
    part = app(request("/a.txt", ("Range", "bytes=1-2")))
    assert (part.status, content_of(part)) == (206, b"ir")
    parts = app(request("/a.txt", ("Range", "bytes=0-0,-1")))
    assert parts.status == 206
    assert content_of(parts).count(b"Content-Range") == 2
    assert app(request("/a.txt", ("Range", "bytes=9-"))).status == 416
    assert descriptors() == before


def test_what_is_kept_is_bounded(tmp_path: Path, clock: ManualClock) -> None:
    names = [f"{number}.txt" for number in range(8)]
    for name in names:
        write(tmp_path / name, b"x" * 5000)
    app = make_app(Config(root=tmp_path, static_cache_bytes_max=4 * (5000 + ENTRY_BYTES)), clock)
    before = descriptors()
    for name in names:
        assert len(get(app, f"/{name}")) == 5000
        (tmp_path / name).unlink()
    kept = [name for name in names if app(request(f"/{name}")).status == 200]
    assert kept == names[-3:]  # the name counts, too: the fourth does not fit
    assert descriptors() == before


@pytest.mark.parametrize("off", ["static_cache_bytes_max", "static_cache_seconds_max"])
def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path, clock: ManualClock, off: str) -> None:
    write(tmp_path / "a.txt", b"first")
    app = make_app(Config.of({"root": tmp_path, off: 0}), clock)
    assert get(app) == b"first"
    write(tmp_path / "a.txt", b"second")
    assert get(app) == b"second"


def test_large_files_are_sent_from_the_disk(app: App, tmp_path: Path) -> None:
    write(tmp_path / "large.bin", b"x" * (SMALL_BYTES_MAX + 1))
    assert len(get(app, "/large.bin")) == SMALL_BYTES_MAX + 1
    write(tmp_path / "large.bin", b"y")
    assert get(app, "/large.bin") == b"y"


def test_two_sites_keep_apart_what_has_one_name(tmp_path: Path, clock: ManualClock) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.txt", name.encode())
    mount = Mount("/two", tmp_path / "two")
    app = make_app(Config(root=tmp_path / "one", mounts=(mount,)), clock)
    assert (get(app), get(app, "/two/a.txt"), get(app)) == (b"one", b"two", b"one")
