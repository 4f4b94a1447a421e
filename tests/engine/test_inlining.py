"""Guards and effects as lines of the sealed event: which are, which are called, and that it makes
no difference.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from pathlib import Path

import pytest

from server.app.wsgi import wsgi
from server.config import Config
from server.server import Server, sound_system
from statemachine import Binder, GuardRefused, inlining
from statemachine._generated import JobState
from statemachine._generated.job import JobMachine
from statemachine.inlining import inlined

LIMIT = 3
TEXT = "ready"


def wrapped(method: Callable[..., bool]) -> Callable[..., bool]:
    def call(self: Words) -> bool:
        return not method(self)

    return call


class Words:
    """Methods of all sorts. Those of PLAIN can be written out, the others cannot."""

    held: list[int] | None
    limit: int
    name: str

    def one_line(self) -> bool:
        return self.limit is None

    def with_a_docstring(self) -> bool:
        """Whether there is none."""
        return not self.held

    def with_a_local(self) -> bool:
        held = self.held
        return held is not None and len(held) < LIMIT

    def over_two_lines(self) -> bool:
        return self.name is not TEXT and (
            self.limit in (1, 2)
        )  # fmt: skip

    def an_answer_that_is_none(self) -> object:
        return self.limit

    def an_effect(self) -> None:
        self.limit = len(self.name)

    def a_swap(self) -> None:
        self.limit, self.name = 0, self.name.strip()

    @wrapped
    def a_wrapped_one(self) -> bool:
        return self.limit is None

    def a_branch(self) -> bool:
        if self.limit:
            self.held = []
        return True

    def a_loop(self) -> bool:
        return any(one > TEXT for one in self.name)

    def a_private_name(self) -> bool:
        return bool(self.__dict__)

    def an_unknown_name(self) -> bool:
        return nowhere  # type: ignore[name-defined,no-any-return] # noqa: F821

    def another_argument(self, limit: int = 3) -> bool:
        return limit > 2

    def four_statements(self) -> bool:
        one = self.limit
        two = self.held
        three = self.name
        return bool(one or two or three)

    def an_addition(self) -> None:
        self.limit += 1


PLAIN = {
    "one_line": ((), "self.limit is None", True),
    "with_a_docstring": ((), "not self.held", True),
    "with_a_local": (
        ("with_a_local_held = self.held",),
        (
            "with_a_local_held is not None and "
            "with_a_local_len(with_a_local_held) < with_a_local_LIMIT"
        ),
        False,
    ),
    "over_two_lines": (
        (),
        "self.name is not over_two_lines_TEXT and self.limit in (1, 2)",
        True,
    ),
    "an_answer_that_is_none": ((), "self.limit", False),
    "an_effect": (("self.limit = an_effect_len(self.name)",), "None", False),
    "a_swap": (("self.limit, self.name = (0, self.name.strip())",), "None", False),
}
METHODS = {name for name, one in vars(Words).items() if callable(one)}


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_plain_method_is_written_out(name: str) -> None:
    found = inlined(getattr(Words, name))
    assert found is not None
    assert (found.lines, found.value, found.is_boolean) == PLAIN[name]


def test_globals_keep_their_values() -> None:
    found = inlined(Words.with_a_local)
    assert found is not None
    assert found.names == {"with_a_local_len": len, "with_a_local_LIMIT": LIMIT}


@pytest.mark.parametrize("name", sorted(METHODS - PLAIN.keys()))
def test_any_other_is_called(name: str) -> None:
    assert inlined(getattr(Words, name)) is None


def test_a_method_that_was_patched_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = compile("def one_line(self):\n    return self.limit is not None\n", __file__, "exec")
    names: dict[str, Callable[..., bool]] = {}
    exec(patched.replace(co_firstlineno=1), {}, names)
    monkeypatch.setattr(Words.one_line, "__code__", names["one_line"].__code__)
    assert inlined(Words.one_line) is None


def test_a_file_that_has_changed_since_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "guard.py"
    file.write_text("def guard(self):\n    return self.a is self.b\n", encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
    assert inlined(names["guard"]) is not None
    file.write_text("def guard(self):\n    return self.a is self.c\n", encoding="utf-8")
    linecache.checkcache(str(file))
    assert inlined(names["guard"]) is None
    file.unlink()
    linecache.checkcache(str(file))
    assert inlined(names["guard"]) is None


def test_tools_can_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlining, "enabled", False)
    assert inlined(Words.one_line) is None


# --- in a machine ------------------------------------------------------------------------------


class Letter(JobMachine):
    """A job whose guard answers what it is told to."""

    __slots__ = ("answer",)
    answer: object

    def pool_accepts(self) -> bool:
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize("is_inlined", [False, True])
@pytest.mark.parametrize("answer", [True, False, 1, 2, "yes", None])
def test_an_answer_counts_where_it_equals_true(
    monkeypatch: pytest.MonkeyPatch, is_inlined: bool, answer: object
) -> None:
    monkeypatch.setattr(inlining, "enabled", is_inlined)
    letter = Binder(sound_system(), engine="sealed").bind(Letter)()
    letter.answer = answer
    if answer == True:  # noqa: E712 - as the stock engine asks
        letter.accepted()
        assert letter.state is JobState.QUEUED
    else:
        with pytest.raises(GuardRefused):
            letter.accepted()
    if answer == False:  # noqa: E712
        letter.refused()
        assert letter.state is JobState.REFUSED


def test_no_guard_of_a_usual_request_is_called() -> None:
    server = Server(Config(port=0), wsgi(lambda _, __: []))
    server.start()
    try:
        sealed = {
            name: "".join(entry[2])
            for name, entry in linecache.cache.items()
            if name.startswith("<sealed ") and len(entry) > 2
        }
    finally:
        server.stop()
    usual = ("job.accepted", "worker.took_job", "request.head_ended", "response.content_ended")
    for event, guard in zip(
        usual, ("pool_accepts", "queue_has_job", "has_content", "content_is_exact"), strict=True
    ):
        text = sealed[f"<sealed {event}>"]
        assert f"self.{guard}()" not in text, text
