"""Files below one folder, and never another's.

A path is walked name by name, the first opened below the root's own path, each other relative to
the descriptor of the folder before it, and none by following a link. So what the walk holds was
reached from the root by real folders; a rename or a new link on the way makes it end, or find what
is there now, but cannot lead it out.
A check of the whole path before opening it (`realpath`) could: between the two the tree may change.

A link is followed by walking its target in the same way: from the folder it lies in, `..` being
one step back towards the root, never the kernel's. An absolute target, one that steps back beyond
the root, and a chain of more than LINKS_MAX are refused. Targets may have hidden names: they were
chosen by whoever owns the tree (a volume of Kubernetes links every file to `..data/…`).

Nothing here waits: opened without blocking, a FIFO or a device is seen for what it is and closed.
What is not kept out: hard links and mounts inside the root, which no test tells from its own files.

Where the operator lets links lead anywhere (`--symlinks any`), none of this holds but the last
paragraph's first sentence: the kernel follows them, as for any other program.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.app.errors import Refused
from server.config import Symlinks
from server.errors import StartError

LINKS_MAX: Final = 16  # Linux follows 40; a web tree that needs more than a few is broken

_HARMLESS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_AS_FILE: Final = os.O_RDONLY | _HARMLESS
_AS_FILE_BY_LINKS: Final = _AS_FILE & ~os.O_NOFOLLOW
# To pass through a folder takes the right to search it, not to list it: O_PATH where it exists.
_AS_FOLDER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_IN_PASSING: Final = _AS_FOLDER | os.O_NOFOLLOW

_NOTHING_HERE: Final = (404, "There is nothing at this path.")
_OUT_OF_DESCRIPTORS: Final = (503, "Too many files are open. Try again soon.")
_REFUSALS: Final = {
    errno.ENOENT: _NOTHING_HERE,
    errno.ENOTDIR: _NOTHING_HERE,
    errno.ENAMETOOLONG: _NOTHING_HERE,
    errno.ELOOP: _NOTHING_HERE,
    errno.ENXIO: _NOTHING_HERE,  # a socket, or a device without its hardware
    errno.ENODEV: _NOTHING_HERE,
    errno.EINVAL: _NOTHING_HERE,  # some file systems' word for a name they cannot have
    errno.EILSEQ: _NOTHING_HERE,
    errno.EACCES: (403, "This may not be read."),
    errno.EPERM: (403, "This may not be read."),
    errno.EMFILE: _OUT_OF_DESCRIPTORS,
    errno.ENFILE: _OUT_OF_DESCRIPTORS,
}
"""What an error of the system means to the client. Any other one is a fault of ours or the disk's,
and is raised as it is: the exchange ends with 500 and a traceback in the log."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading. Whoever is given it closes `descriptor`, once.

    `size` is in bytes, `modified_ns` in nanoseconds since 1970.
    """

    descriptor: int
    size: int
    modified_ns: int

    def read(self, first: int, size: int) -> bytes:
        """`size` bytes from `first`. Raises Refused (503) where there are no longer as many."""
        content = os.pread(self.descriptor, size, first)
        while len(content) < size:
            more = os.pread(self.descriptor, size - len(content), first + len(content))
            if not more:
                # Tag, date and range were those of a longer file: nothing is promised yet, so
                # nothing is sent under them.
                raise Refused(503, "The file became shorter while it was read. Ask again.")
            content += more
        return content

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file as it was when all of it was read. It has no descriptor, and may be used for ever.

    `notes` has a place for what is made of the file alone, as `RequestHead.notes` has for a head.
    """

    content: bytes
    modified_ns: int
    notes: dict[object, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content)

    def read(self, first: int, size: int) -> bytes:
        """`size` bytes from `first`."""
        return self.content[first : first + size]

    def close(self) -> None:
        """There is nothing to give back."""


class Folder:
    """A root of what is served. Threads: any; a Folder holds no descriptor and no state.

    Each walk begins at the root's path anew, so that a root which was replaced as a whole, as
    deployments do, is served at once. It may itself be a link: the operator named it.
    """

    __slots__ = ("_root", "_symlinks")

    def __init__(self, root: Path, *, symlinks: Symlinks = "inside", named: str = "--root") -> None:
        """Raises StartError, which says how `root` was `named`, where it is no folder or may not be
        searched.
        """
        self._root = os.fspath(root)
        self._symlinks = symlinks
        try:
            descriptor = os.open(self._root, _AS_FOLDER)
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else str(error)
            raise StartError(f"{named} {root} cannot be served: {what}") from error
        os.close(descriptor)

    def open(self, names: tuple[str, ...]) -> OpenFile | None:
        """The regular file at `names`, or None where they name a folder.

        `names` are single components, as `paths.names_of` gives them. Raises Refused where there is
        nothing to give, and OSError where the system failed.
        """
        try:
            if self._symlinks == "any":
                return _regular_file(os.open(self._path(names), _AS_FILE_BY_LINKS))
            return _Walk(self._root, names).run()
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            raise Refused(*_REFUSALS[error.errno]) from error
        except UnicodeEncodeError as error:  # the locale's encoding has no such name
            raise Refused(*_NOTHING_HERE) from error

    def beside(self, names: tuple[str, ...], suffixes: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `suffixes` that, put after the last of `names`, are names there too.

        A link counts wherever it leads. Cheaper than `open`, and only a hint, for links on the way
        are followed: what it says decides whether to look, never what is given.
        """
        path = self._path(names)
        return tuple(
            [one for one in suffixes if os.access(path + one, os.F_OK, follow_symlinks=False)]
        )

    def _path(self, names: tuple[str, ...]) -> str:
        return "/".join((self._root, *names))


class _Walk:
    """One path's walk from the root. It holds two descriptors at most, however deep the path is."""

    __slots__ = ("ahead", "behind", "here", "links", "root")

    def __init__(self, root: str, names: tuple[str, ...]) -> None:
        self.root = root
        self.ahead = list(names[::-1])  # the next name is the last
        self.behind: list[str] = []  # real folders' names, from the root to `here`
        self.links = 0
        self.here: int | None = None  # None: at the root, which its path names

    def run(self) -> OpenFile | None:
        try:
            while self.ahead:
                name = self.ahead.pop()
                if name == "..":
                    self.step_back()
                elif self.ahead:
                    self.pass_through(name)
                elif (descriptor := self.open(name, _AS_FILE)) is not None:
                    return _regular_file(descriptor)
        finally:
            self.leave()
        return None  # a link led to a folder, and nothing was ahead of it

    def pass_through(self, name: str) -> None:
        descriptor = self.open(name, _IN_PASSING)
        if descriptor is not None:
            self.leave()
            self.here = descriptor
            self.behind.append(name)

    def step_back(self) -> None:
        # From the root again, by name: the kernel's own `..` is wherever the folder was moved to.
        if not self.behind:
            raise Refused(*_NOTHING_HERE)
        self.leave()
        self.ahead += self.behind[-2::-1]
        self.behind.clear()

    def leave(self) -> None:
        here, self.here = self.here, None
        if here is not None:
            os.close(here)

    def at(self, name: str) -> str:
        return f"{self.root}/{name}" if self.here is None else name

    def open(self, name: str, flags: int) -> int | None:
        """The descriptor of `name`; None where it is a link, whose target is then what is ahead."""
        try:
            return os.open(self.at(name), flags, dir_fd=self.here)
        except OSError as error:
            # O_NOFOLLOW meets a link with ELOOP; together with O_DIRECTORY, Linux says ENOTDIR.
            if error.errno not in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
                raise
            self.follow(name, error)
            return None

    def follow(self, name: str, error: OSError) -> None:
        try:
            target = os.readlink(self.at(name), dir_fd=self.here)
        except OSError:
            raise error from None  # no link after all, or no longer
        self.links += 1
        if self.links > LINKS_MAX or target.startswith("/"):
            raise Refused(*_NOTHING_HERE)
        self.ahead += [one for one in reversed(target.split("/")) if one not in {"", "."}]


def _regular_file(descriptor: int) -> OpenFile | None:
    try:
        status = os.fstat(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if stat.S_ISREG(status.st_mode):
        return OpenFile(descriptor, status.st_size, status.st_mtime_ns)
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return None
    raise Refused(*_NOTHING_HERE)
