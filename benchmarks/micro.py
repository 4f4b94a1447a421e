"""What the Python of one request costs, without a socket: reader, environ, application, writer.

    python -m benchmarks.micro                 # pyperf: calibrated, in processes of their own
    python -m benchmarks.micro -o after.json   # then: pyperf compare_to before.json after.json
    python -m benchmarks.micro --events        # what part of it are events of state machines?

`request …` is the whole way: the bytes come, are read, become an environ, the application answers,
the response is framed, and the connection is ready for the next. "again" sends one head over and
over, as a client that keeps its connection does; "new" never the same twice, which the server has
not seen and has to read from the first byte to the last.

It does not measure: system calls, the hand-over between threads, and what an application does.
Needs `pyperf`, but for `--events`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from server.app.wsgi import wsgi
from server.config import Config
from server.http1.chunked import ChunkedReader
from server.http1.events import END_OF_REQUEST
from server.http1.head import kept_heads
from server.http1.messages import Request, RequestHead
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from statemachine import Binder, load_system, spec_folder
from statemachine.model import Arrow

CONTENT = b"<h1>hello</h1>\n" * 14
FIELDS = [("Content-Type", "text/html"), ("Content-Length", str(len(CONTENT)))]
DATE = b"Wed, 25 Nov 2026 12:00:00 GMT"

SHORT = b"GET /%b HTTP/1.1\r\nHost: 127.0.0.1:7878\r\n\r\n"
BROWSER = (
    b"GET /mission/%b?since=17 HTTP/1.1\r\nHost: ground.example:7878\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: http://ground.example:7878/mission/\r\nConnection: keep-alive\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Site: same-origin\r\nPriority: u=0, i\r\n\r\n"
)
POST = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: 10240\r\n\r\n" + b"x" * 10240
CHUNKED = (
    b"POST /%b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"400\r\n%s\r\n" % (b"x" * 1024) * 10
    + b"0\r\n\r\n"
)
KINDS = {"GET": SHORT, "browser's GET": BROWSER, "POST 10 KB": POST, "POST chunked": CHUNKED}


def hello(_: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The page, whatever is asked."""
    start_response("200 OK", FIELDS)
    return [CONTENT]


class Bench:
    """One connection's reader, an application and writers, of the server's own classes."""

    def __init__(self, hook: Callable[[object, Arrow], None] | None = None) -> None:
        binder = Binder(load_system(spec_folder()), hook=hook)
        self._chunked = binder.bind(ChunkedReader)
        reader_type = binder.bind(RequestReader)
        self.reader = reader_type(Config(), self._chunked, kept_heads(Config()))
        self.writer_type = binder.bind(ResponseWriter)
        self.handler = wsgi(hello)

    def read(self, data: bytes) -> Request:
        """The request that these bytes are; the reader is ready for the next."""
        head, content = self.reader.take_whole(data) or self._read_pieces(data)
        self.reader.renew()
        return Request(head, content, peer=("127.0.0.1", 1), local=("127.0.0.1", 7878))

    def _read_pieces(self, data: bytes) -> tuple[RequestHead, bytes]:
        reader = self.reader
        reader.receive(data)
        pieces = []
        head = None
        while (event := reader.next_event()) is not END_OF_REQUEST:
            if isinstance(event, RequestHead):
                head = event
            else:
                pieces.append(event.data)  # type: ignore[union-attr]
        assert head is not None
        return head, b"".join(pieces)

    def read_one(self, template: bytes, targets: Iterator[bytes]) -> Request:
        """The request of this kind for the next target."""
        return self.read(template.replace(b"%b", next(targets)))

    def serve_one(self, template: bytes, targets: Iterator[bytes]) -> bytes:
        """The response to it."""
        return self.answer(self.read_one(template, targets))

    def answer(self, request: Request) -> bytes:
        """The response's bytes."""
        response = self.handler(request)
        writer = self.writer_type(request.head)
        assert isinstance(response.content, bytes)
        return writer.message_of(response, response.content, date=DATE, persists=True)


def numbers() -> Iterator[bytes]:
    """Targets that never come twice."""
    return (b"%d" % number for number in itertools.count())


def main() -> None:
    """Measure each kind of request; see the module."""
    import pyperf  # noqa: PLC0415 - `--events` needs none

    runner = pyperf.Runner()
    bench = Bench()
    for name, template in KINDS.items():
        again, new = itertools.repeat(b""), numbers()
        for which, targets in (("again", again), ("new", new)):
            runner.bench_func(f"read {name}, {which}", bench.read_one, template, targets)
            runner.bench_func(f"request {name}, {which}", bench.serve_one, template, targets)
    request = bench.read(SHORT.replace(b"%b", b""))
    runner.bench_func("environ, application and writer", bench.answer, request)


def events() -> None:
    """The share of state machines' events in a request's Python, by the count and cost of each."""
    arrows: list[str] = []
    counted = Bench(hook=lambda _, arrow: arrows.append(arrow.id))
    data = SHORT.replace(b"%b", b"")
    counted.answer(counted.read(data))
    bench, times = Bench(), 20_000
    began = time.process_time()
    for _ in range(times):
        bench.answer(bench.read(data))
    whole = (time.process_time() - began) / times
    one = _event_seconds(times)
    share = len(arrows) * one / whole
    print(
        f"{len(arrows)} events ({' '.join(arrows)}), {one * 1e9:.0f} ns each, in a request of "
        f"{whole * 1e6:.1f} us without sockets: {share:.0%}"
    )


def _event_seconds(times: int) -> float:
    """The processor's seconds for one event, in the mean of a reader's cycle of three."""
    binder = Binder(load_system(spec_folder()))
    reader = binder.bind(RequestReader)(Config(), binder.bind(ChunkedReader))
    began = time.process_time()
    for _ in range(times):
        reader.began()
        reader.head_ended()
        reader.renewed()
    return (time.process_time() - began) / times / 3


if __name__ == "__main__":
    if "--events" in sys.argv:
        events()
    else:
        main()
