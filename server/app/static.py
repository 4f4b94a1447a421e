"""The files below the root, as responses."""

from __future__ import annotations

import functools
import os
from typing import Final
from urllib.parse import quote

from server.app.conditional import Validators, evaluate
from server.app.errors import HTML_FIELDS, Refused, error_response
from server.app.folder import Folder, OpenFile
from server.app.media_types import content_type
from server.app.paths import Names, path_of
from server.clock import Clock, imf_fixdate
from server.http1.messages import Content, Field, FileRegion, Request, Response

SMALL_BYTES_MAX: Final = 64 * 1024
"""Up to this size a file is read at once and leaves with its head, in one write; a larger one is
sent from its descriptor, and never lies in memory as a whole."""

SETTLED_NS: Final = 2_000_000_000
"""How long a file must have rested for its tag to be strong. Within one tick of a file system's
clock (2 s on FAT, 4 ms on most) it may change twice and keep its size and its date."""

_NOSNIFF: Final[Field] = ("X-Content-Type-Options", "nosniff")
_INDEX: Final = "index.html"
_NOT_FOUND: Final = "404.html"


class Site:
    """Pages from one folder. Threads: any; a Site holds no state but its folder."""

    __slots__ = ("_clock", "_folder")

    def __init__(self, folder: Folder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def page(self, request: Request, names: Names) -> Response:
        """The file at `names`, or a folder's index.html, or the way to it.

        Raises Refused where there is none to give. A HEAD is answered as its GET: the writer leaves
        the content out, and closes it.
        """
        if not names[-1]:
            return self.file(request, (*names[:-1], _INDEX))
        found = self._folder.open(names)
        if found is None:
            return _redirect(path_of((*names, "")), request.head.query)
        return self._answer(request, names[-1], found)

    def file(self, request: Request, names: Names) -> Response:
        """The file at exactly `names`. Raises Refused where there is none to give."""
        found = self._folder.open(names)
        if found is None:
            raise Refused(404, "There is no page for this folder.")
        return self._answer(request, names[-1], found)

    def index(self, request: Request, _: Names) -> Response:
        """The root's index.html, whatever the path was."""
        return self.file(request, (_INDEX,))

    def not_found(self, detail: str) -> Response:
        """404 with the root's own page for it, else with one that says `detail`."""
        try:
            found = self._folder.open((_NOT_FOUND,))
        except Refused:
            found = None
        if found is None:
            return error_response(404, detail)
        # No validators: they would be those of /404.html, which is another resource.
        return Response(404, HTML_FIELDS, _content(found))

    def _answer(self, request: Request, name: str, file: OpenFile) -> Response:
        try:
            now = self._clock.wall()
            have = validators(file, now=now)
            status = evaluate(request.head.fields, have, now=now)
        except BaseException:
            os.close(file.descriptor)
            raise
        if status == 200:
            fields = (
                ("Content-Type", content_type(name)),
                ("Last-Modified", _http_date(have.modified)),
                ("ETag", have.etag),
                _NOSNIFF,
            )
            return Response(200, fields, _content(file))
        os.close(file.descriptor)
        if status == 304:
            # RFC 9110 15.4.5: the fields that tell which stored response is meant, and no more.
            return Response(304, (("ETag", have.etag),))
        return error_response(412, "The file is not the one that the request was made for.")


def validators(file: OpenFile, *, now: float) -> Validators:
    """The entity tag and date of an open file; `now` is in POSIX seconds.

    The tag is weak while the file is younger than SETTLED_NS, for until then an equal tag would not
    prove equal bytes (RFC 9110 8.8.1). A date in the future is replaced by now (8.8.2.1).
    """
    weak = "W/" if int(now * 1e9) - file.modified_ns < SETTLED_NS else ""
    modified = min(file.modified_ns // 1_000_000_000, int(now))
    return Validators(f'{weak}"{file.size:x}-{file.modified_ns:x}"', modified)


@functools.lru_cache(maxsize=1024)  # a site's files have few dates, and a date's text never changes
def _http_date(second: int) -> str:
    return imf_fixdate(second).decode("ascii")


def _content(file: OpenFile) -> Content:
    """The file's content. Its descriptor is closed here, or by whoever sends the region."""
    if file.size > SMALL_BYTES_MAX:
        close = functools.partial(os.close, file.descriptor)
        return FileRegion(file.descriptor, 0, file.size, close)
    try:
        # A read may stop short of the size where the file shrank since it was looked at.
        content = os.read(file.descriptor, file.size)
        while len(content) < file.size:
            more = os.read(file.descriptor, file.size - len(content))
            if not more:
                break
            content += more
    finally:
        os.close(file.descriptor)
    return content


def _redirect(path: str, query: str) -> Response:
    # `path` is written anew from decoded names, and has no empty one among them: it cannot begin
    # with `//`, which would name another host. What is no URI in the query is encoded.
    location = path
    if query:
        location += "?" + quote(query, safe="!$&'()*+,;=:@/?%", encoding="latin-1")
    detail = "The page is at this path with a slash at its end."
    return error_response(301, detail, fields=(("Location", location),))
