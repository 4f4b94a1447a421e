"""Files on the wire: large ones in parts, coded ones, slow readers, and files that change."""

from __future__ import annotations

import email
import email.policy
import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest

from server.config import Mount
from tests.app.requests import descriptors
from tests.wire.client import Client, Reply
from tests.wire.conftest import Serve

MIB = 1024 * 1024
LARGE_BYTES = 20 * MIB


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(9110).randbytes(LARGE_BYTES)


@pytest.fixture
def large(root: Path, content: bytes) -> Path:
    path = root / "large.bin"
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def ask(client: Client, target: str, **fields: str) -> Reply:
    lines = [f"GET {target} HTTP/1.1", "Host: a"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    client.send("\r\n".join([*lines, "", ""]).encode())
    return client.reply()


def parts_of(reply: Reply) -> list[tuple[str, bytes]]:
    """Content-Range and content of each part, read by the standard library's MIME parser."""
    head = f"Content-Type: {reply.fields['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + reply.content, policy=email.policy.HTTP)
    parts = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        parts.append((part["content-range"], content))
    return parts


@pytest.mark.rfc("9110-14.2")
def test_a_large_file_is_put_together_from_its_ranges(
    serve: Serve, root: Path, large: Path, content: bytes
) -> None:
    served = serve(root=root)
    clients = [served.client() for _ in range(3)]
    size = MIB + 4711
    starts = list(range(0, LARGE_BYTES, size))
    random.Random(1).shuffle(starts)
    pieces: dict[int, bytes] = {}
    etag = ask(clients[0], "/large.bin", Range="bytes=0-0").fields["etag"]
    for number, first in enumerate(starts):
        ranges = f"bytes={first}-{first + size - 1}"
        reply = ask(clients[number % 3], "/large.bin", Range=ranges, If_Range=etag)
        last = min(first + size, LARGE_BYTES) - 1
        assert reply.status == 206
        assert reply.fields["content-range"] == f"bytes {first}-{last}/{LARGE_BYTES}"
        pieces[first] = reply.content
    whole = hashlib.sha256()
    for first in sorted(pieces):
        whole.update(pieces[first])
    assert whole.digest() == hashlib.sha256(content).digest()


@pytest.mark.rfc("9110-14.6")
def test_parts_of_a_large_file(serve: Serve, root: Path, large: Path, content: bytes) -> None:
    client = serve(root=root).client()
    spans = [(15 * MIB, 18 * MIB), (0, 3), (5 * MIB, 5 * MIB + 100_000), (LARGE_BYTES - 1,) * 2]
    ranges = ",".join(f"{first}-{last}" for first, last in spans)
    for _ in range(2):  # the connection persists: the message was as long as its head said
        reply = ask(client, "/large.bin", Range=f"bytes={ranges}")
        assert reply.status == 206
        assert reply.fields["content-type"].startswith("multipart/byteranges; boundary=")
        assert parts_of(reply) == [
            (f"bytes {first}-{last}/{LARGE_BYTES}", content[first : last + 1])
            for first, last in spans
        ]
    assert ask(client, "/style.css").status == 200


@pytest.mark.rfc("9110-14.6")
def test_each_multipart_response_has_its_own_boundary(serve: Serve, root: Path) -> None:
    client = serve(root=root).client()
    replies = [ask(client, "/style.css", Range="bytes=0-1,4-6") for _ in range(3)]
    assert len({reply.fields["content-type"] for reply in replies}) == 3
    assert [[one for _, one in parts_of(reply)] for reply in replies] == [[b"p ", b"col"]] * 3


@pytest.mark.rfc("9110-15.5.17")
def test_a_range_beyond_the_end(serve: Serve, root: Path, large: Path) -> None:
    client = serve(root=root).client()
    reply = ask(client, "/large.bin", Range=f"bytes={LARGE_BYTES}-")
    assert (reply.status, reply.fields["content-range"]) == (416, f"bytes */{LARGE_BYTES}")
    assert ask(client, "/style.css").status == 200


@pytest.mark.rfc("9110-14.2")
def test_head_knows_no_ranges(serve: Serve, root: Path, large: Path) -> None:
    client = serve(root=root).client()
    client.send(b"HEAD /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,4-5\r\n\r\n")
    reply = client.reply(to="HEAD")
    assert (reply.status, reply.fields["content-length"]) == (200, str(LARGE_BYTES))
    assert reply.fields["accept-ranges"] == "bytes"
    assert ask(client, "/style.css").status == 200


def test_a_slow_reader_of_parts_holds_no_worker(
    serve: Serve, root: Path, large: Path, content: bytes
) -> None:
    served = serve(root=root, threads=1)
    slow = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(slow)
    slow.send(
        b"GET /large.bin HTTP/1.1\r\nHost: a\r\n"
        b"Range: bytes=0-7999999,9000000-12999999,-1000000\r\n\r\n"
    )
    served.until_taken("C13")
    assert ask(served.client(), "/style.css").status == 200
    reply = slow.reply()
    assert [one for _, one in parts_of(reply)] == [
        content[:8_000_000],
        content[9_000_000:13_000_000],
        content[-1_000_000:],
    ]
    served.until_taken("C16")
    assert ask(slow, "/style.css").status == 200


def test_a_reader_that_goes_leaves_no_file_open(serve: Serve, root: Path, large: Path) -> None:
    served = serve(root=root)
    ask(served.client(), "/style.css")  # what the server opens for itself is open by now
    before = {one for one in descriptors() if str(root) in one}
    client = Client(served.server.address, receive_buffer_bytes=4096)
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9999999,-9000000\r\n\r\n")
    served.until_taken("C13")
    assert {one for one in descriptors() if str(root) in one} != before
    client.reset()
    served.until_taken("C20")
    served.nudge()  # the files are closed in the same turn, after the arrow
    assert {one for one in descriptors() if str(root) in one} == before


@pytest.mark.rfc("9112-6.3")
@pytest.mark.parametrize("ranges", ["bytes=0-14999999", "bytes=0-9,100-14999999,15000001-"])
def test_a_file_that_shrinks_while_it_is_sent_is_cut(
    serve: Serve, root: Path, large: Path, ranges: str
) -> None:
    served = serve(root=root)
    client = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(client)
    client.send(f"GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: {ranges}\r\n\r\n".encode())
    served.until_taken("C13")
    os.truncate(large, 1000)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
    served.until_taken("C18")


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(
    serve: Serve, root: Path, large: Path, content: bytes
) -> None:
    served = serve(root=root)
    client = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(client)
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=15000000-\r\n\r\n")
    served.until_taken("C13")
    with large.open("ab") as file:
        file.write(b"more")
    assert client.reply().content == content[15_000_000:]
    assert ask(client, "/large.bin", Range="bytes=-4").content == b"more"


@pytest.mark.rfc("9110-12.5.3")
def test_a_coded_form_is_what_a_client_decodes(serve: Serve, root: Path) -> None:
    plain = (root / "style.css").read_bytes()
    (root / "style.css.gz").write_bytes(gzip.compress(plain))
    client = serve(root=root).client()
    coded = ask(client, "/style.css", Accept_Encoding="gzip, deflate, br, zstd")
    assert (coded.fields["content-encoding"], coded.fields["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(coded.content) == plain
    bare = ask(client, "/style.css")
    assert (bare.content, bare.fields["vary"]) == (plain, "Accept-Encoding")
    assert "content-encoding" not in bare.fields
    refused = ask(client, "/style.css", Accept_Encoding="br, identity;q=0")
    assert (refused.status, refused.reason) == (406, "Not Acceptable")


def test_mounts_and_fields_of_the_operator(serve: Serve, root: Path, tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "index.html").write_text("the manual")
    served = serve(
        root=root,
        mounts=(Mount("/docs", tmp_path / "manual"),),
        cache_control="public, max-age=3600",
    )
    client = served.client()
    moved = ask(client, "/docs")
    assert (moved.status, moved.fields["location"]) == (301, "/docs/")
    reply = ask(client, "/docs/")
    assert (reply.status, reply.content) == (200, b"the manual")
    assert reply.fields["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (b"/assets/a.css", b"p {}"),
        (b"/", b"application: /"),
        (b"/assetsx", b"application: /assetsx"),
        (b"/other/a.css", b"application: /other/a.css"),
    ],
)
def test_an_application_has_files_mounted_beside_it(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: bytes, content: bytes
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.css").write_text("p {}")
    (tmp_path / "mounted_app.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'application: ' + environ['PATH_INFO'].encode('latin-1')]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    mounts = (Mount("/assets", tmp_path / "assets"),)
    served = serve(app="mounted_app:application", mounts=mounts)
    reply = served.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path).reply()
    assert (reply.status, reply.content) == (200, content)
    missing = served.send(b"GET /assets/none HTTP/1.1\r\nHost: a\r\n\r\n").reply()
    assert missing.status == 404
