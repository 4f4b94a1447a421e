"""Never a file outside the root: arbitrary paths, arbitrary links, and a tree that changes midway.

The oracle is the system's: every descriptor that the walk opens is asked where it leads.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.app.dispatch import make_app
from server.config import Config
from tests.app.requests import content_of, descriptors, request
from tests.clock import ManualClock

SECRET = b"the secret outside"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="asks /proc where a descriptor leads"
)


@contextmanager
def watched(root: Path, before_open: Callable[[str], None] = lambda _: None) -> Iterator[list[str]]:
    """Every path that `folder` opens meanwhile, each checked to be the root or below it."""
    real, opened = os.open, []

    def watching(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        before_open(path.rpartition("/")[2])
        descriptor = real(path, flags, dir_fd=dir_fd)
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        assert where == str(root) or where.startswith(f"{root}/"), where
        opened.append(where)
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.app.folder.os.open", watching)
        yield opened


@contextmanager
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as top:
        root = Path(top).resolve() / "root"
        (root / "a" / "b").mkdir(parents=True)
        for where in (root, root / "a", root / "a" / "b"):
            (where / "index.html").write_bytes(b"inside")
            (where / "f").write_bytes(b"inside")
        (root.parent / "f").write_bytes(SECRET)
        (root.parent / "a").mkdir()
        (root.parent / "a" / "f").write_bytes(SECRET)
        yield root


# Pieces that mean something somewhere; between them, anything at all.
PIECES = [
    *("/", "//", "\\", "%2f", "%5C", "%2F", "%252f"),
    *(".", "..", "%2e", "%2E%2e", "%252e", "...", ". .", "%c0%ae", "%e0%80%ae"),
    *("%00", "%", "%zz", ":", "~", "*", "file:", "proc", "self", "root"),
    *("a", "b", "f", "l0", "l1", "l2", "index.html", "etc", "passwd"),
]
PATHS = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(max_codepoint=255), max_size=3), max_size=12
).map(lambda pieces: "/" + "".join(pieces))

TARGETS = (
    st.lists(
        st.sampled_from(["..", ".", "", "a", "b", "f", "l0", "l1", "l2", "root", "index.html"]),
        min_size=1,
        max_size=6,
    )
    .map("/".join)
    .filter(bool)
)
PLACES = st.sampled_from(["", "a", "a/b"])


@settings(max_examples=400, deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=8))
def test_no_path_leads_out(paths: list[str]) -> None:
    with tree() as root:
        (root / "l0").symlink_to("..")
        (root / "l1").symlink_to("../f")
        (root / "a" / "l2").symlink_to("/")
        app, before = make_app(Config(root=root), ManualClock()), descriptors()
        with watched(root):
            for path in paths:
                response = app(request(path))
                assert response.status in {200, 301, 400, 404}
                assert SECRET not in content_of(response)
        assert descriptors() == before


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(PLACES, TARGETS), min_size=3, max_size=3),
    st.lists(st.sampled_from(["a", "b", "f", "l0", "l1", "l2", ""]), min_size=1, max_size=5),
)
def test_no_link_leads_out(links: list[tuple[str, str]], names: list[str]) -> None:
    with tree() as root:
        for at, (place, target) in enumerate(links):
            (root / place / f"l{at}").symlink_to(target)
        path = "/" + "/".join(names)
        with watched(root) as opened:
            response = make_app(Config(root=root), ManualClock())(request(path))
            content = content_of(response)
        assert SECRET not in content
        assert response.status in {200, 301, 404}
        assert len(opened) <= 2000  # links multiply names: the walk still ends soon
        if response.status == 200:
            # What we serve, the kernel finds as well: the two walks mean the same by a link.
            served = (root / path[1:]).resolve(strict=True)
            assert content == (served / "index.html" if served.is_dir() else served).read_bytes()


@pytest.mark.parametrize("moment", ["a", "b", "f"])
def test_a_folder_that_becomes_a_link_on_the_way(moment: str) -> None:
    """Just before `moment` is opened, each folder of the path is swapped for a link that leaves."""
    with tree() as root:
        (root.parent / "a" / "b").mkdir()
        (root.parent / "a" / "b" / "f").write_bytes(SECRET)

        def swap(name: str) -> None:
            if name == moment and not (root / "a").is_symlink():
                (root / "a").rename(root / "was-a")
                (root / "a").symlink_to("../a")

        app, before = make_app(Config(root=root), ManualClock()), descriptors()
        with watched(root, swap) as opened:
            response = app(request("/a/b/f"))
            content = content_of(response)
        assert (root / "a").is_symlink()
        assert bool(opened) is (moment != "a")
        assert content != SECRET
        assert response.status == (404 if moment == "a" else 200)
        assert descriptors() == before


def test_a_link_that_is_gone_when_it_is_read() -> None:
    with tree() as root:
        (root / "l0").symlink_to("f")
        real = os.readlink

        def gone(path: str, *, dir_fd: int | None = None) -> str:
            (root / "l0").unlink()
            return real(path, dir_fd=dir_fd)

        app = make_app(Config(root=root), ManualClock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("server.app.folder.os.readlink", gone)
            assert app(request("/l0")).status == 404


def test_dot_dot_of_a_folder_that_was_moved_out() -> None:
    """`a` is moved out of the root while the walk stands in it; its `..` is then the secret's."""
    with tree() as root:
        (root / "a" / "l0").symlink_to("../f")

        def move(name: str) -> None:
            if name == "l0":
                (root / "a").rename(root.parent / "a" / "moved")

        with watched(root, move) as opened:
            response = make_app(Config(root=root), ManualClock())(request("/a/l0"))
        assert content_of(response) == b"inside"
        assert opened[-1] == str(root / "f")
