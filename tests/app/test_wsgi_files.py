"""`wsgi.file_wrapper`: which files the kernel sends, from where to where, and who closes them."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.app.wsgi import wsgi
from server.app.wsgi_files import FileWrapper
from server.http1.messages import Field, FileRegion, Response, Stream
from tests.app.requests import content_of, descriptors, request

PLAIN = [("Content-Type", "text/plain")]
STAT = Path("/proc/self/stat")
TEXT = bytes(range(256)) * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    return path


def wrapped(opened: Any, *headers: Field, written: bytes = b"", method: str = "GET") -> Response:
    def application(environ: Any, start: Any) -> Any:
        write = start("200 OK", [*PLAIN, *headers])
        write(written)
        return environ["wsgi.file_wrapper"](opened, 1000)

    return wsgi(application)(request("/", method=method))


def sent(response: Response) -> bytes:
    content = response.content
    if not isinstance(content, Stream):
        return content_of(response)
    try:
        return b"".join(content.pieces)
    finally:
        content.close()


def by_kernel(response: Response) -> bool:
    return isinstance(response.content, FileRegion)


OPENED: dict[str, Callable[[Path], Any]] = {
    "buffered": lambda path: path.open("rb"),
    "unbuffered": lambda path: path.open("rb", buffering=0),
    "read and written": lambda path: path.open("r+b"),
    "temporary": lambda path: filled(tempfile.TemporaryFile()),  # noqa: SIM115
}


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
@pytest.mark.parametrize("position", [0, 1, 999, len(TEXT) - 1])
def test_files_are_sent_by_the_kernel(
    file: Path, opened: Callable[[Path], Any], position: int
) -> None:
    before = descriptors()
    one = opened(file)
    assert one.read(position) == TEXT[:position]  # a buffered file has read on by now
    response = wrapped(one)
    assert by_kernel(response)
    assert one.closed  # by now, on the application's own thread
    assert sent(response) == TEXT[position:]
    assert descriptors() == before


def test_what_was_written_last_is_sent_too() -> None:
    one = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    one.write(b"in a buffer")
    one.seek(3)
    response = wrapped(one)
    assert by_kernel(response)
    assert sent(response) == b"a buffer"


class ReadOnly:
    """All that PEP 3333 asks of a file."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.read = self._file.read


class Odd(ReadOnly):
    """It has the descriptor of something else."""

    def fileno(self) -> int:
        return 0


READ: dict[str, Callable[[Path], Any]] = {
    "memory": lambda path: io.BytesIO(TEXT),
    "only read": lambda path: ReadOnly(TEXT),
    "odd descriptor": lambda path: Odd(TEXT),
    "gzip": lambda path: gzip.GzipFile(packed(path, gzip.compress(TEXT))),
    "bz2": lambda path: bz2.BZ2File(packed(path, bz2.compress(TEXT))),
    "buffered gzip": lambda path: io.BufferedReader(
        gzip.GzipFile(packed(path, gzip.compress(TEXT)))
    ),
    "named temporary": lambda path: filled(tempfile.NamedTemporaryFile()),  # noqa: SIM115
}


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def filled(file: Any) -> Any:
    file.write(TEXT)
    file.seek(0)
    return file


@pytest.mark.parametrize("opened", READ.values(), ids=READ)
def test_what_the_kernel_cannot_send_is_read(file: Path, opened: Callable[[Path], Any]) -> None:
    """gzip.GzipFile has a descriptor too: that of the file which it unpacks."""
    response = wrapped(opened(file))
    assert not by_kernel(response)
    assert sent(response) == TEXT


def test_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    response = wrapped(os.fdopen(reading, "rb"))
    assert not by_kernel(response)
    assert sent(response) == b"through a pipe"


@pytest.mark.skipif(not STAT.exists(), reason="needs /proc")
def test_files_that_only_seem_empty_are_read() -> None:
    assert sent(wrapped(OPENED["buffered"](STAT))).startswith(b"%d " % os.getpid())


def test_a_file_at_its_end_has_no_content(file: Path) -> None:
    one = file.open("rb")
    one.read()
    assert sent(wrapped(one)) == b""
    assert one.closed


@pytest.mark.parametrize("opened", [OPENED["buffered"], READ["memory"]], ids=["kernel", "read"])
@pytest.mark.parametrize("declared", [0, 1, 1000, 1001, len(TEXT)])
def test_content_length_says_how_much_of_a_file_is_sent(
    file: Path, opened: Callable[[Path], Any], declared: int
) -> None:
    response = wrapped(opened(file), ("Content-Length", str(declared)))
    content = response.content
    assert (len(content) if isinstance(content, bytes) else content.size) == declared
    assert sent(response) == TEXT[:declared]


def test_a_file_that_is_too_short_is_found_before_anything_is_sent(file: Path) -> None:
    before = descriptors()
    response = wrapped(file.open("rb"), ("Content-Length", str(len(TEXT) + 1)))
    assert response.status == 500
    assert descriptors() == before


def test_what_is_written_comes_before_the_file(file: Path) -> None:
    assert sent(wrapped(file.open("rb"), written=b"first ")) == b"first " + TEXT
    response = wrapped(file.open("rb"), ("Content-Length", "10"), written=b"first ")
    assert sent(response) == b"first " + TEXT[:4]


@pytest.mark.parametrize("opened", [OPENED["buffered"], READ["memory"]], ids=["kernel", "read"])
@pytest.mark.parametrize("declared", [123_456, len(TEXT), 2 * len(TEXT)])
def test_head_tells_a_file_s_declared_length(
    file: Path, opened: Callable[[Path], Any], declared: int
) -> None:
    before = descriptors()
    response = wrapped(opened(file), ("Content-Length", str(declared)), method="HEAD")
    assert isinstance(response.content, FileRegion | Stream)
    assert response.content.size == declared
    response.content.close()
    assert descriptors() == before


def test_a_file_is_closed_once() -> None:
    class Counted(io.BytesIO):
        closes = 0

        def close(self) -> None:
            self.closes += 1
            super().close()

    one = Counted(b"some")
    assert sent(wrapped(one)) == b"some"
    assert one.closes == 1


def test_a_text_file_is_refused(file: Path) -> None:
    one = file.open(encoding="latin-1")
    assert wrapped(one).status == 500
    assert one.closed


def test_a_closed_file_is_refused(file: Path) -> None:
    one = file.open("rb")
    one.close()
    assert wrapped(one).status == 500


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    one = file.open("ab", buffering=0)
    assert wrapped(one).status == 500
    assert one.closed


def test_a_wrapped_file_needs_a_head(file: Path) -> None:
    one = file.open("rb")
    response = wsgi(lambda environ, start: FileWrapper(one))(request("/"))
    assert response.status == 500
    assert one.closed


def test_a_wrapper_is_its_own_iterator_and_moves_as_its_file_does(file: Path) -> None:
    """As wsgiref's and werkzeug's own: the latter closes and moves `iter(wrapper)` for a range."""
    with file.open("rb") as one:
        wrapper = FileWrapper(one, 7)
        assert iter(wrapper) is wrapper
        assert next(wrapper) == TEXT[:7]
        assert (wrapper.seekable(), wrapper.tell()) == (True, 7)
        assert (wrapper.seek(-3, os.SEEK_END), wrapper.seek(-5, os.SEEK_END)) == (
            len(TEXT) - 3,
            len(TEXT) - 5,
        )
        assert list(wrapper) == [TEXT[-5:]]
    assert not FileWrapper(ReadOnly(TEXT)).seekable()


def test_a_wrapper_is_an_iterable_for_whoever_stands_between(file: Path) -> None:
    """Middleware may put its own around it: then the file is read, with the same result."""

    class Swapped:
        def __init__(self, wrapper: FileWrapper) -> None:
            self._wrapper = wrapper
            self.close = wrapper.close

        def __iter__(self) -> Iterator[bytes]:
            return (piece.swapcase() for piece in self._wrapper)

    one = file.open("rb")

    def application(environ: Any, start: Any) -> Swapped:
        start("200 OK", PLAIN)
        return Swapped(environ["wsgi.file_wrapper"](one, 7))

    assert sent(wsgi(application)(request("/"))) == TEXT.swapcase()
    assert one.closed
