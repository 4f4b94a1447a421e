"""The form of a trace that people read, and other programs: a JSON object a line.

The first line is the header. Then each row is a line, with its number:

    {"row": 7, "object": 12, "arrow": "C1", "seconds": 3.5, "thread": 140, "on": "reactor", …}
    {"row": 8, "object": 14, "part_of": 12, "seconds": 3.5}    the one belongs to the other
    {"row": 9, "object": 12, "known_as": 3, "seconds": 3.5}    its number in the logs
    {"row": 10, "lost": 0, "seconds": 3.5}                     rows are missing, 0: unknown how many

`on` and `step` are for people, and are not read. Threads are named in lines of their own, and the
last line is the writer's ending, if it came so far.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from statemachine.model import BIRTH_STEP, System
from statemachine.noting import LINKED, LOST, NAMED, Row, numbered
from statemachine.tracefile import (
    Ending,
    Header,
    Trace,
    TraceError,
    ending_heard,
    ending_said,
    header_heard,
    header_said,
    threads_heard,
)

BLOCK_ROWS: Final = 4096
NUMBER_MAX: Final = (1 << 64) - 1
EXTRAS: Final = {"part_of": LINKED, "known_as": NAMED, "lost": LOST}
WORDS: Final = {code: word for word, code in EXTRAS.items()}


# --- writing -----------------------------------------------------------------------------------


def head(header: Header) -> str:
    """The first line."""
    return _line(header_said(header))


def events(system: System, first: int, rows: Iterable[Row], threads: Mapping[int, str]) -> str:
    """A line for each row; the first row has that number. The arrows' numbers are the system's."""
    arrows, text = list(system.arrows.values()), []
    for number, (code, extra, seconds) in enumerate(rows, first):
        birth, kind = divmod(code, BIRTH_STEP)
        said: dict[str, object] = {"row": number}
        if kind != LOST:
            said["object"] = birth
        if kind in WORDS:
            said |= {WORDS[kind]: extra, "seconds": seconds}
        else:
            arrow = arrows[kind]
            said |= {"arrow": arrow.id, "seconds": seconds}
            if extra:
                said |= {"thread": extra, "on": threads.get(extra, "")}
            move = f"{arrow.source} --{arrow.event}--> {arrow.target}"
            said["step"] = f"{arrow.machine} {move}"
        text.append(_line(said))
    return "".join(text)


def thread_names(names: Mapping[int, str]) -> str:
    """Names of threads, by ident."""
    return _line({"threads": {str(ident): name for ident, name in names.items()}})


def end(ending: Ending) -> str:
    """The last line."""
    return _line({"done": ending_said(ending)})


def converted(system: System, trace: Trace) -> Iterator[str]:
    """A trace of this system in this form, piece by piece. Raises TraceError as `trace` does."""
    yield head(trace.header)
    told: dict[int, str] = {}
    for first, rows in trace.blocks:
        if trace.threads != told:
            told = dict(trace.threads)
            yield thread_names(told)
        yield events(system, first, rows, told)
    if trace.ending is not None:
        yield end(trace.ending)


def _line(said: object) -> str:
    return json.dumps(said, ensure_ascii=False) + "\n"


# --- reading -----------------------------------------------------------------------------------


def read(file: Path, stream: BinaryIO) -> Trace:
    """The trace in a stream at its beginning. Raises TraceError, also while its blocks are read."""
    reader = _Reader(file, stream)
    header = header_heard(file, "line 1", reader.parsed(stream.readline()))
    reader.trace = trace = Trace(file, header, reader.blocks())
    return trace


class _Reader:
    """Reads line by line. `number` is the line's."""

    def __init__(self, file: Path, stream: BinaryIO) -> None:
        self.file = file
        self.stream = stream
        self.number = 1
        self.count = 0
        self.trace: Trace | None = None

    def wrong(self, says: str) -> TraceError:
        return TraceError(self.file, f"line {self.number}", says)

    def parsed(self, line: bytes) -> dict[str, object]:
        try:
            said = json.loads(line)
        except ValueError as error:
            raise self.wrong(f"expected JSON: {error}") from None
        if not isinstance(said, dict):
            raise self.wrong("expected a JSON object")
        return said

    def blocks(self) -> Iterator[tuple[int, Iterable[Row]]]:
        trace, rows = self.trace, list[Row]()
        assert trace is not None
        numbers = numbered(trace.header.arrows)
        for line in self.stream:
            self.number += 1
            if not line.endswith(b"\n"):
                trace.cut = f"it ends within line {self.number}"
                break
            said = self.parsed(line)
            if trace.ending is not None:
                raise self.wrong("expected the file's end, after the line `done`")
            if "row" in said:
                rows.append(self._row(said, numbers))
                if len(rows) == BLOCK_ROWS:
                    yield self.count - len(rows), rows
                    rows = []
            else:
                self._hear(trace, said)
        if rows:
            yield self.count - len(rows), rows
        if trace.ending is None and not trace.cut:
            trace.cut = "it ends after a whole line, and was not ended by its writer"

    def _row(self, said: Mapping[str, object], numbers: Mapping[str, int]) -> Row:
        if said["row"] != self.count:
            raise self.wrong(f"row {said['row']} comes next, expected row {self.count}")
        self.count += 1
        seconds = said.get("seconds", 0.0)
        if not isinstance(seconds, int | float):
            raise self.wrong(f"'seconds' is {seconds!r}, expected a number")
        word = next((one for one in EXTRAS if one in said), None)
        birth = 0 if word == "lost" else self._whole(said, "object", NUMBER_MAX // BIRTH_STEP)
        if word is not None:
            return birth * BIRTH_STEP + EXTRAS[word], self._whole(said, word), float(seconds)
        number = numbers.get(str(said.get("arrow")))
        if number is None:
            raise self.wrong(f"'arrow' is {said.get('arrow')!r}, expected one of the header's")
        thread = self._whole(said, "thread") if "thread" in said else 0
        return birth * BIRTH_STEP + number, thread, float(seconds)

    def _whole(self, said: Mapping[str, object], key: str, most: int = NUMBER_MAX) -> int:
        value = said.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self.wrong(f"{key!r} is {value!r}, expected a whole number, {most} at most")
        return value

    def _hear(self, trace: Trace, said: Mapping[str, object]) -> None:
        place = f"line {self.number}"
        threads, done = said.get("threads"), said.get("done")
        if isinstance(threads, dict):
            trace.threads |= threads_heard(self.file, place, threads)
        elif isinstance(done, dict):
            trace.ending = ending_heard(self.file, place, done)
            if trace.ending.rows != self.count:
                raise self.wrong(f"{trace.ending.rows} rows by its end, and {self.count} came")
        else:
            raise self.wrong("expected a row, `threads` or `done`")
