"""Messages by grammar, from a seed: mostly sound, each part now and then one that is odd or wrong.

Parts are drawn from literal tables, so that what a table lacks is seen by reading it. The same
parts serve a random generator, which is fast, and hypothesis, which shrinks.
"""

from __future__ import annotations

import random
import re
from typing import Final

METHODS: Final = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"OPTIONS",
    b"CONNECT",
    b"PATCH",
    b"get",
    b"X-~",
)
ODD_METHODS: Final = (b"", b"G(T", b"G\xcbT", b"M" * 33, b"G\tT", b" GET", b"\x16")

TARGETS: Final = (
    *(b"/", b"/a/b?c=d", b"/%41", b"*", b"http://b/", b"http://b:80/x?y", b"b:80", b"/|^[]"),
    *(b"//x", b"/?", b"/?%"),
)
ODD_TARGETS: Final = (
    *(
        b"",
        b"a",
        b"/\x00",
        b"/\xe9",
        b"/ /",
        b"/#f",
        b"/%zz",
        b"ftp://b/",
        b"https://b/",
        b"http://u@b/",
        b'/"',
    ),
    *(b"http:///", b"http://b:99999/", b"/a\rb", b"?", b"mailto:x"),
)

VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")
ODD_VERSIONS: Final = (
    *(
        b"HTTP/1.9",
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1",
        b"",
        b"HTTP/1.10",
    ),
    *(b"HTTP /1.1", b"HTTP/1,1"),
)

ENDS: Final = (b"\r\n",)
ODD_ENDS: Final = (
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b" \r\n",
    b"\r\n ",
    b"\x0b\r\n",
    b"",
)

HOSTS: Final = (b"a", b"a:80", b"[::1]:8", b"", b"a%20b", b"1.2.3.4")
ODD_HOSTS: Final = (b"a b", b"a:b", b"[::1", b"a/b", b"u@a", b"a:99999", b"\xe9", b"a,b", b"a\x00")

FIELDS: Final = (
    *(b"X: y", b"X:y", b"X:  y \t", b"X:", b"Accept: a, b", b"X: \xe9", b"X_1.~: y:z"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: x, CLOSE", b"Connection: te"),
    *(b"Expect: 100-continue", b"Transfer-Encodin: chunked", b"Trailer: X", b"Upgrade: h2c"),
)
ODD_FIELDS: Final = (
    *(b"X : y", b" X: y", b"\tX: y", b"X", b": y", b"X: \x00", b"X: \x7f", b"X: \x1b", b"X\xe9: y"),
    *(
        b"X: a\rb",
        b"X(: y",
        b"X: \x0c",
        b"Expect: 200-ok",
        b"Connection: ,",
        b"X: \x85",
        b"X\x0b: y",
    ),
)

LENGTHS: Final = (b"0", b"1", b"3", b"003", b"5")
ODD_LENGTHS: Final = (
    *(
        b"+3",
        b"-1",
        b"3,3",
        b"3, 4",
        b"0x3",
        b"",
        b" 3",
        b"3 3",
        b"1e1",
        b"\xb3",
        b"9" * 19,
        b"3_0",
    ),
    *(b"9" * 21, b"3\x0b", b'"3"', b"2000000"),
)

CODINGS: Final = (b"chunked", b"Chunked", b"chunked \t")
ODD_CODINGS: Final = (
    *(b"identity", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked;q=1", b""),
    *(
        b"chunked,",
        b"\x0bchunked",
        b"xchunked",
        b"gzip",
        b'"chunked"',
        b"chunked\x00",
        b"chunked c",
    ),
)

SIZES: Final = (
    b"1",
    b"3",
    b"0003",
    b"a",
    b"A",
    b"0",
    b"3;x",
    b"3;x=y",
    b'3;x="y;\\""',
    b"3 ;x = y",
)
ODD_SIZES: Final = (
    *(
        b"",
        b"x",
        b"-1",
        b"+1",
        b"0x3",
        b"3 ",
        b" 3",
        b"3;",
        b"3;x=",
        b"f" * 16,
        b"f" * 21,
        b"3\x0b",
    ),
    *(b"0" * 16 + b"3", b"3_0", b"3,3", b"3;\x00", b"3;x y", b"\xb3", b"1000000", b"3\t", b"3;x\n"),
)

TRAILERS: Final = (b"", b"", b"T: u\r\n", b"T: u\r\nV: w\r\n")
ODD_TRAILERS: Final = (
    *(b"T : u\r\n", b"T\r\n", b"Content-Length: 3\r\n", b"Host: b\r\n", b"T: u\n", b" T: u\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: gzip\r\n"),
    *(b"connection: close\r\n", b"T: \x00\r\n"),
)

CONTENT: Final = b"GET / HTTP/1.1\r\nHost: c\r\n\r\n"
"""Content that would be a request, if a reader lost its place."""

SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,4}(?![0-9A-Fa-f])")
"""A chunk size that the generator can keep."""

REQUESTS_MAX: Final = 3


class Author:
    """Writes what a client sends on one connection.

    `oddness` is how often a part is odd, of 0 (never) to 1.
    """

    def __init__(self, draw: random.Random, *, oddness: float = 0.05) -> None:
        self._draw = draw
        self._oddness = oddness

    def connection(self) -> bytes:
        """Some requests, one after the other; now and then cut short or with bytes left over."""
        wire = b"".join(self.request() for _ in range(self._draw.randint(1, REQUESTS_MAX)))
        if self._is_odd():
            wire = wire[: self._draw.randint(0, len(wire))]
        return wire + (self._draw.choice(ODD_ENDS) if self._is_odd() else b"")

    def request(self) -> bytes:
        """One request, with what may precede it."""
        line = b" ".join(
            (
                self._pick(METHODS, ODD_METHODS),
                self._pick(TARGETS, ODD_TARGETS),
                self._pick(VERSIONS, ODD_VERSIONS),
            )
        )
        lines = [line, *self._fields()]
        framing, body = self._framed()
        lines[1:1] = framing
        head = b"".join(one + self._pick(ENDS, ODD_ENDS) for one in lines)
        before = self._draw.choice((b"\r\n", b"\n", b"\r\n\r\n", b"\r")) if self._is_odd() else b""
        return before + head + self._pick(ENDS, ODD_ENDS) + body

    def _fields(self) -> list[bytes]:
        lines = [self._pick(FIELDS, ODD_FIELDS) for _ in range(self._draw.choice((0, 0, 1, 2, 4)))]
        hosts = self._draw.choice((0, 2)) if self._is_odd() else 1
        lines += [b"Host: " + self._pick(HOSTS, ODD_HOSTS) for _ in range(hosts)]
        self._draw.shuffle(lines)
        return lines

    def _framed(self) -> tuple[list[bytes], bytes]:
        """The field lines that frame the content, and the content so framed."""
        kind = self._draw.choice(("none", "none", "length", "length", "chunked", "chunked"))
        length, coding = b"Content-Length: ", b"Transfer-Encoding: "
        lines, body = [], b""
        if kind == "length" or self._is_odd():
            value = self._pick(LENGTHS, ODD_LENGTHS)
            lines += [length + value] * (2 if self._is_odd() else 1)
            size = int(value) if value.isdigit() and len(value) < 4 else 3
            body = CONTENT[: size + (self._draw.randint(-1, 1) if self._is_odd() else 0)]
        if kind == "chunked" or self._is_odd():
            lines += [coding + self._pick(CODINGS, ODD_CODINGS)] * (2 if self._is_odd() else 1)
            body = self._chunks()
        return lines, body

    def _chunks(self) -> bytes:
        pieces = []
        for _ in range(self._draw.randint(0, 3)):
            line = self._pick(SIZES, ODD_SIZES)
            digits = SIZE.match(line)
            size = int(digits[0], 16) if digits else 3
            size = max(size + (self._draw.randint(-1, 1) if self._is_odd() else 0), 0)
            pieces += [line, self._pick(ENDS, ODD_ENDS), CONTENT[:size], self._pick(ENDS, ODD_ENDS)]
        last = self._pick((b"0", b"000", b"0;x"), ODD_SIZES)
        trailers = self._pick(TRAILERS, ODD_TRAILERS)
        return b"".join((*pieces, last, self._pick(ENDS, ODD_ENDS), trailers)) + self._pick(
            ENDS, ODD_ENDS
        )

    def _pick(self, sound: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
        return self._draw.choice(odd if self._is_odd() else sound)

    def _is_odd(self) -> bool:
        return self._draw.random() < self._oddness
