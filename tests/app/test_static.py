"""Files as responses: types, sizes, folders, links and what is not served."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.app.dispatch import make_app
from server.app.media_types import content_type
from server.app.representation import SMALL_BYTES_MAX
from server.config import Config
from server.http1.messages import FileRegion, Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]
SECRET = b"the secret outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "index.html").write_bytes(b"front")
    (root / "sub" / "index.html").write_bytes(b"sub index")
    (root / "sub" / "deep" / "page.txt").write_bytes(b"page")
    (root / ".env").write_bytes(SECRET)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(SECRET)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "secret.txt").write_bytes(SECRET)
    return root


@pytest.fixture
def app(root: Path) -> App:
    return make_app(Config(root=root), ManualClock())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.js.map", "application/json"),
        ("a.css.map", "application/json"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.xml", "text/xml"),  # names its own encoding
        ("a.avif", "image/avif"),
        ("a.webp", "image/webp"),
        ("a.rtf", "application/rtf"),
        ("a.svg", "image/svg+xml"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.PNG", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("README", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.nonesuch", "application/octet-stream"),
        ("html", "application/octet-stream"),
    ],
)
def test_media_types(name: str, expected: str) -> None:
    assert content_type(name) == expected


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1, 300_000])
def test_content_of_every_size(root: Path, app: App, size: int) -> None:
    content = os.urandom(size)
    (root / "file.bin").write_bytes(content)
    before = descriptors()
    response = app(request("/file.bin"))
    assert isinstance(response.content, FileRegion) is (size > SMALL_BYTES_MAX)
    assert content_of(response) == content
    assert descriptors() == before


def test_a_file_that_shrinks_while_it_is_read(
    root: Path, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tag is that of the file as it was opened: nothing shorter is sent under it."""
    for name in ("file.txt", "404.html"):
        (root / name).write_bytes(b"0123456789")
    before = descriptors()
    real, sizes = os.pread, itertools.cycle([3, 4, 0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda one, _, at: real(one, next(sizes), at))
        assert app(request("/file.txt")).status == 503
        assert app(request("/file.txt", ("Range", "bytes=1-8"))).status == 503
        assert app(request("/nope")).status == 404
    assert descriptors() == before


def test_a_file_that_is_read_in_pieces(
    root: Path, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file.txt").write_bytes(b"0123456789")
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda one, size, at: real(one, min(size, 3), at))
    assert content_of(app(request("/file.txt"))) == b"0123456789"
    assert content_of(app(request("/file.txt", ("Range", "bytes=1-8")))) == b"12345678"


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/sub/", b"sub index"),
        ("/sub/index.html", b"sub index"),
        ("/sub/deep/page.txt", b"page"),
        ("/sub/deep/p%61ge.txt", b"page"),
        ("/sub/deep/page.txt?v=2", b"page"),
    ],
)
def test_files_below(app: App, target: str, content: bytes) -> None:
    response = app(request(target))
    assert (response.status, content_of(response)) == (200, content)


def test_a_name_beyond_ascii(root: Path, app: App) -> None:
    (root / "grüße ☃.txt").write_bytes(b"hello")
    spelled = "/gr%C3%BC%C3%9Fe%20%E2%98%83.txt"
    assert content_of(app(request(spelled))) == b"hello"
    raw = "/grüße%20☃.txt".encode().decode("latin-1")  # as bytes off the wire are read
    assert content_of(app(request(raw))) == b"hello"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/sub", "/sub/"),
        ("/sub?a=b&c=%20", "/sub/?a=b&c=%20"),
        ("/s%75b", "/sub/"),
        ("/a%20%0D%0Ab", "/a%20%0D%0Ab/"),
        ('/sub?"\xe9\r\n', "/sub/?%22%E9%0D%0A"),
    ],
)
def test_a_folder_without_its_slash(root: Path, app: App, target: str, location: str) -> None:
    (root / "a \r\nb").mkdir()
    response = app(request(target))
    assert (response.status, field(response, "location")) == (301, location)


@pytest.mark.parametrize("target", ["//sub", "/%2Fsub", "//root/sub", "/\\sub", "/%5Csub"])
def test_no_redirect_to_another_host(app: App, target: str) -> None:
    response = app(request(target))
    assert (response.status, field(response, "location")) == (404, None)


@pytest.mark.parametrize(
    "target",
    [
        "/sub/deep/",  # a folder without an index
        "/index.html/",
        "/index.html/x",
        "/sub//index.html",
        "/.env",
        "/%2Eenv",
        "/.git/config",
        "/sub/.well-known",
        "/./index.html",
        "/..",
        "/../secret.txt",
        "/../root2/secret.txt",
        "/sub/../index.html",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/sub/..%5c..%5csecret.txt",
        "/..\\secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/\uff0e\uff0e/secret.txt".encode().decode("latin-1"),
        "/index.html%00",
        "/%ff",
        "/" + "a" * 300,
        "/" + "a/" * 3000,
        "/aux:",
        "/...",
    ],
)
def test_nothing_there(app: App, target: str) -> None:
    response = app(request(target))
    assert response.status == 404
    assert SECRET not in content_of(response)


@pytest.mark.parametrize("target", ["", "x", "/%", "/%4", "/%zz", "/%%41", "http://a/"])
def test_no_path_at_all(app: App, target: str) -> None:
    assert app(request(target)).status == 400


def test_decoded_once_and_never_twice(root: Path, app: App) -> None:
    (root / "%41.txt").write_bytes(b"literal")
    assert content_of(app(request("/%2541.txt"))) == b"literal"
    assert app(request("/%41.txt")).status == 404


def test_well_known_is_public(root: Path, app: App) -> None:
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_bytes(b"Contact:")
    (root / ".well-known" / ".hidden").write_bytes(SECRET)
    assert content_of(app(request("/.well-known/security.txt"))) == b"Contact:"
    assert app(request("/.well-known/.hidden")).status == 404


@pytest.mark.parametrize(
    ("at", "target", "content"),
    [
        ("link.txt", "sub/deep/page.txt", b"page"),
        ("link.txt", "./sub//deep/../deep/page.txt", b"page"),
        ("sub/link.txt", "../index.html", b"front"),
        ("sub/deep/link.txt", "../../index.html", b"front"),
        ("link.txt", "sub/../index.html", b"front"),
        ("link.txt", ".data/page.txt", b"hidden by name, linked by its owner"),
    ],
)
def test_links_that_stay_inside(root: Path, app: App, at: str, target: str, content: bytes) -> None:
    (root / ".data").mkdir()
    (root / ".data" / "page.txt").write_bytes(b"hidden by name, linked by its owner")
    (root / at).symlink_to(target)
    before = descriptors()
    assert content_of(app(request(f"/{at}"))) == content
    assert descriptors() == before


def test_a_link_to_a_folder(root: Path, app: App) -> None:
    (root / "way").symlink_to("sub")
    (root / "self").symlink_to(".")
    assert content_of(app(request("/way/deep/page.txt"))) == b"page"
    assert content_of(app(request("/self/self/sub/"))) == b"sub index"
    assert field(app(request("/way")), "location") == "/way/"
    assert field(app(request("/self")), "location") == "/self/"


def test_dot_dot_in_a_target_is_physical(root: Path, app: App) -> None:
    """`way/..` is the parent of what `way` leads to, as POSIX has it, and not the root."""
    (root / "sub" / "beside.txt").write_bytes(b"beside deep")
    (root / "way").symlink_to("sub/deep")
    (root / "link.txt").symlink_to("way/../beside.txt")
    assert content_of(app(request("/link.txt"))) == b"beside deep"


@pytest.mark.parametrize(
    ("at", "target"),
    [
        ("link", "../secret.txt"),
        ("link", "/etc/passwd"),
        ("link", "/index.html"),  # no root of its own: an absolute target is never ours
        ("link", "../index.html"),
        ("link", "sub/../../secret.txt"),
        ("link", "../root/index.html"),  # back in by name: refused, for the root may be renamed
        ("sub/link", "../../secret.txt"),
        ("link", "link"),
        ("link", "nowhere"),
        ("link", "index.html/../index.html"),
    ],
)
def test_links_that_leave(root: Path, app: App, at: str, target: str) -> None:
    (root / at).symlink_to(target)
    before = descriptors()
    for spelled in (f"/{at}", f"/{at}/", f"/{at}/x"):
        response = app(request(spelled))
        assert response.status == 404
        assert SECRET not in content_of(response)
    assert descriptors() == before


def test_a_folder_linked_from_outside(root: Path, app: App) -> None:
    (root / "out").symlink_to("../root2")
    (root / "abs").symlink_to(root.parent / "root2")
    assert app(request("/out/secret.txt")).status == 404
    assert app(request("/abs/secret.txt")).status == 404


def test_a_chain_of_links_has_an_end(root: Path, app: App) -> None:
    (root / "l0").symlink_to("index.html")
    for at in range(1, 17):
        (root / f"l{at}").symlink_to(f"l{at - 1}")
    assert app(request("/l15")).status == 200  # 16 links
    assert app(request("/l16")).status == 404


def test_a_root_that_is_a_link_and_is_swapped(root: Path) -> None:
    current = root.parent / "current"
    current.symlink_to("root")
    app = make_app(Config(root=current), ManualClock())
    assert content_of(app(request("/"))) == b"front"
    (root.parent / "root2" / "index.html").write_bytes(b"deployed")
    current.unlink()
    current.symlink_to("root2")
    assert content_of(app(request("/"))) == b"deployed"


def test_a_fifo_and_a_socket_hold_nobody(root: Path, app: App) -> None:
    import socket

    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        # By a short relative name: a socket's path may have 107 bytes.
        before_folder = Path.cwd()
        os.chdir(root)
        bound.bind("socket")
        os.chdir(before_folder)
        before = descriptors()
        for target in ("/fifo", "/socket", "/fifo/", "/fifo/x"):
            assert app(request(target)).status == 404
        assert descriptors() == before


def test_a_device_is_no_page(root: Path, app: App) -> None:
    try:
        os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
    except OSError:
        pytest.skip("may not make a device here")
    assert app(request("/null")).status == 404


def test_what_may_not_be_read(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def guarded(path: str, flags: int, **where: int) -> int:
        if path == "page.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, **where)

    monkeypatch.setattr("server.app.folder.os.open", guarded)
    assert app(request("/sub/deep/page.txt")).status == 403


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_the_system_forbids(root: Path, app: App) -> None:
    (root / "sub" / "index.html").chmod(0)
    assert app(request("/sub/")).status == 403


def test_no_descriptors_left(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("server.app.folder.os.open", none_left)
    assert app(request("/")).status == 503


@pytest.mark.parametrize("failing", ["fstat", "readlink"])
def test_a_fault_leaves_nothing_open(
    root: Path, app: App, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (root / "link.txt").symlink_to("index.html")
    before = descriptors()

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(f"server.app.folder.os.{failing}", broken)
        if failing == "fstat":
            with pytest.raises(OSError, match="Input/output"):
                app(request("/link.txt"))
        else:
            assert app(request("/link.txt")).status == 404
    assert descriptors() == before
