"""Small files that are given again without a look at the disk: for how long, and which never."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import pytest

from server.app.dispatch import make_app
from server.app.representation import SETTLED_NS, SMALL_BYTES_MAX, Representation
from server.app.shelf import ENTRY_BYTES, Key, Shelf
from server.config import Config, Mount
from server.http1.messages import Fields, Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

if TYPE_CHECKING:
    from server.app.folder import OpenFile

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


# --- the shelf by itself ------------------------------------------------------------------------


class Opened:
    """A file that was opened, as far as a shelf looks at it."""

    def __init__(self, size: int, *, changed_ns_ago: int = SETTLED_NS) -> None:
        self.size = size
        self.modified_ns = NOW * 10**9 - changed_ns_ago
        self.closed = 0

    def read(self, offset: int, size: int) -> bytes:
        return b"x" * (size - offset)

    def close(self) -> None:
        self.closed += 1


ROOM = 100 + ENTRY_BYTES + len("k")
"""What a file of a hundred bytes costs, whose key has one letter."""


def put(shelf: Shelf, key: Key, opened: Opened) -> bool:
    """Whether it is kept, and given from memory from now on."""
    found = Representation(cast("OpenFile", opened), "text/plain")
    given = shelf.put(key, found, shelf.now())
    kept = shelf.get(key, shelf.now())
    assert opened.closed == (given is not found), "who keeps it has closed its file"
    assert (given is not found) or (kept is None)
    return kept is not None


@pytest.mark.parametrize(
    ("size", "changed_ns_ago", "bytes_max", "kept"),
    [
        (SMALL_BYTES_MAX, SETTLED_NS, 1 << 20, True),
        (SMALL_BYTES_MAX + 1, SETTLED_NS, 1 << 20, False),
        (100, SETTLED_NS - 1000, 1 << 20, False),
        (100, SETTLED_NS, ROOM, True),
        (100, SETTLED_NS, ROOM - 1, False),
    ],
    ids=["small", "large", "changing", "fits", "does not fit"],
)
def test_what_is_just_small_old_and_cheap_enough_is_kept(
    clock: ManualClock, size: int, changed_ns_ago: int, bytes_max: int, kept: bool
) -> None:
    shelf = Shelf(clock, bytes_max=bytes_max, seconds_max=1.0)
    assert put(shelf, ("k",), Opened(size, changed_ns_ago=changed_ns_ago)) is kept
    assert len(shelf) == kept


def test_what_may_be_kept_for_no_time_is_not_even_read(clock: ManualClock) -> None:
    shelf = Shelf(clock, bytes_max=1 << 20, seconds_max=0.0)
    opened = Opened(100)
    assert not put(shelf, ("k",), opened)
    assert not opened.closed


@pytest.mark.parametrize(("lacking", "kept"), [(0, ["a", "b"]), (1, ["b"])])
def test_as_many_are_kept_as_there_is_room_for(
    clock: ManualClock, lacking: int, kept: list[str]
) -> None:
    shelf = Shelf(clock, bytes_max=2 * ROOM - lacking, seconds_max=1.0)
    for key in ("a", "b"):
        assert put(shelf, (key,), Opened(100))
    assert [one for one in ("a", "b") if shelf.get((one,), shelf.now())] == kept


def test_what_is_put_again_takes_its_old_place_s_room(clock: ManualClock) -> None:
    shelf = Shelf(clock, bytes_max=2 * ROOM, seconds_max=1.0)
    for key in ("a", "b", "b", "b"):
        assert put(shelf, (key,), Opened(100))
    assert shelf.get(("a",), shelf.now()) is not None
    assert len(shelf) == 2


class Held:
    """A lock that says whether it is held."""

    is_held = False

    def __enter__(self) -> Self:
        self.is_held = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_held = False


class Entries(dict[Key, object]):
    """A shelf's, that are changed by nobody who does not hold its lock."""

    def __init__(self, lock: Held) -> None:
        super().__init__()
        self._lock = lock

    def __setitem__(self, key: Key, entry: object) -> None:
        assert self._lock.is_held
        super().__setitem__(key, entry)


def test_nobody_puts_anything_without_the_lock(clock: ManualClock) -> None:
    shelf, lock = Shelf(clock, bytes_max=ROOM, seconds_max=1.0), Held()
    shelf._lock = lock  # type: ignore[assignment] # it is held in the same way
    shelf._entries = Entries(lock)  # type: ignore[assignment] # it holds the same
    assert put(shelf, ("a",), Opened(100))
    assert put(shelf, ("b",), Opened(100))
    assert len(shelf) == 1
