"""The files below a root, as responses: which file answers a path, and in which of its forms.

A file may lie on the disk in more forms than one: `app.js`, and beside it `app.js.br`, `app.js.zst`
or `app.js.gz`, the same content coded. Which of them is sent, the client says (RFC 9110 12.5.3). A
form that is older than the file itself is passed over: somebody changed the one and forgot the
other, and to send what the file once was would be wrong, where to send it uncoded is only larger.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import quote

from server.app.codings import CODINGS, IDENTITY, ranked
from server.app.errors import HTML_FIELDS, Refused, error_response
from server.app.folder import Folder, OpenFile
from server.app.media_types import content_type
from server.app.paths import Names, path_of
from server.app.representation import Renderer, Representation, whole
from server.app.shelf import Shelf
from server.http1.messages import Request, Response

_INDEX: Final = "index.html"
_NOT_FOUND: Final = "404.html"
_SECOND_NS: Final = 1_000_000_000
_SUFFIXES: Final = tuple(CODINGS)
_CODINGS: Final = tuple(CODINGS.values())


class Site:
    """Pages from one folder, below the path `at`. Threads: any; nothing in it changes."""

    __slots__ = ("_depth", "_folder", "_renderer", "_shelf")

    def __init__(self, folder: Folder, renderer: Renderer, shelf: Shelf, *, at: Names = ()) -> None:
        self._folder = folder
        self._renderer = renderer
        self._shelf = shelf
        self._depth = len(at)

    def page(self, request: Request, names: Names) -> Response:
        """The file at `names`, or a folder's index.html, or the way to it.

        `names` are the request's, those of the site's own path among them. Raises Refused where
        there is no file to give.
        """
        below = names[self._depth :]
        if not below:
            return _redirect(names, request.head.query)
        if not below[-1]:
            return self._file(request, (*below[:-1], _INDEX))
        return self._page(request, below) or _redirect(names, request.head.query)

    def index(self, request: Request, _: Names) -> Response:
        """The root's index.html, whatever the path was."""
        return self._file(request, (_INDEX,))

    def not_found(self, detail: str) -> Response:
        """404 with the root's own page for it, else with one that says `detail`."""
        try:
            found = self._folder.open((_NOT_FOUND,))
            if found is not None:
                # No validators: they would be those of /404.html, which is another resource.
                return Response(404, HTML_FIELDS, whole(found))
        except Refused:
            pass
        return error_response(404, detail)

    def _file(self, request: Request, names: Names) -> Response:
        response = self._page(request, names)
        if response is None:
            raise Refused(404, "There is no page for this folder.")
        return response

    def _page(self, request: Request, names: Names) -> Response | None:
        """The file at `names`, None where they name a folder. Raises Refused."""
        shelf, accepted = self._shelf, ", ".join(request.head.fields.all("accept-encoding"))
        # By what the client's words come to, for there are many ways to say the same.
        key, now = (self, ranked(accepted, _CODINGS), *names), shelf.now()
        chosen = shelf.get(key, now)
        if chosen is None:
            found = self._folder.open(names)
            if found is None:
                return None
            selected = self._choose(accepted, names, found)
            if selected is None:
                detail = "The file is here, but in no content coding that the request accepts."
                return error_response(406, detail, fields=(("Vary", "Accept-Encoding"),))
            chosen = shelf.put(key, selected, now)
        return self._renderer.respond(request, chosen)

    def _choose(self, accepted: str, names: Names, file: OpenFile) -> Representation | None:
        """The form of `file` that the client likes best; None where it accepts none of them.

        All files but that one are closed.
        """
        suffixes = () if names[-1].endswith(_SUFFIXES) else self._folder.beside(names, _SUFFIXES)
        forms = {CODINGS[suffix]: suffix for suffix in suffixes}
        chosen: OpenFile | None = None
        try:
            for coding in ranked(accepted, tuple(forms)):
                chosen = file if coding == IDENTITY else self._form(names, forms[coding], file)
                if chosen is not None:
                    media_type = content_type(names[-1])
                    return Representation(chosen, media_type, coding, varies=bool(forms))
            return None
        finally:
            if chosen is not file:
                os.close(file.descriptor)

    def _form(self, names: Names, suffix: str, file: OpenFile) -> OpenFile | None:
        """The coded form of `file` whose name ends so, or None where there is no current one."""
        try:
            form = self._folder.open((*names[:-1], names[-1] + suffix))
        except Refused:  # a link that leads out, or it is gone by now
            return None
        if form is not None and not _is_current(form, file):
            os.close(form.descriptor)
            return None
        return form


def _is_current(form: OpenFile, file: OpenFile) -> bool:
    """Whether a coded form was made of the file as it is now, as far as dates can tell."""
    made_of = file.modified_ns
    if form.modified_ns % _SECOND_NS == 0:
        # Tools that give their output the date of their input may drop the fraction (brotli 1.0.9).
        made_of -= made_of % _SECOND_NS
    return form.modified_ns >= made_of


def _redirect(names: Names, query: str) -> Response:
    # The path is written anew from decoded names, and has no empty one among them: it cannot begin
    # with `//`, which would name another host. What is no URI in the query is encoded.
    location = path_of((*names, ""))
    if query:
        location += "?" + quote(query, safe="!$&'()*+,;=:@/?%", encoding="latin-1")
    detail = "The page is at this path with a slash at its end."
    return error_response(301, detail, fields=(("Location", location),))
