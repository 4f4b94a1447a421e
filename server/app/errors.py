"""The pages that say no: small, whole in themselves, and the same for every status."""

from __future__ import annotations

from typing import Final

from server.http1.messages import Field, Response

TITLES: Final = {
    301: "Moved Permanently",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
"""RFC 9110 section 15 (431: RFC 6585 section 5). Another status has the title `Error`."""

HTML_FIELDS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
)

# As html.escape, whose module brings the table of all named characters along.
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%(status)d %(title)s</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
p { overflow-wrap: anywhere }
</style>
<h1>%(status)d %(title)s</h1>
<p>%(detail)s</p>
</html>
"""


class Refused(Exception):
    """A resource cannot be given. Raised where that is known, answered once, in `dispatch`.

    `status` is the answer that RFC 9110 names for it, `detail` one sentence for its reader.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def error_response(status: int, detail: str, *, fields: tuple[Field, ...] = ()) -> Response:
    """A page that names `status` and says `detail`, one sentence of plain text, which is escaped.

    It asks for nothing more: no style sheet, no image, no script. `fields` follow its own. Whether
    the connection persists is for the caller to say.
    """
    title = TITLES.get(status, "Error")
    page = _PAGE % {"status": status, "title": title, "detail": detail.translate(_ESCAPES)}
    return Response(status, HTML_FIELDS + fields, page.encode("utf-8", "backslashreplace"))
