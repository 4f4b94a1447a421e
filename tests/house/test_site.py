"""The documentation site's sources are whole: `make docs` builds what is checked here."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from docs._ext.built import dead_links
from docs._ext.contents import INSIDE, chapters
from docs._ext.fired import firings
from docs._ext.linking import DeadLink, Site, relinked
from docs._ext.options import Untold, rows
from docs._ext.staging import Staged, documents, stage
from server.config import Config, option
from statemachine import load_system
from tests.house.source import TOP, tracked

SYSTEM = load_system()
DIGEST = """\
import hashlib
from docs._ext.staging import stage
print(hashlib.sha256(repr(stage()).encode()).hexdigest())
"""


@cache
def staged() -> Staged:
    return stage()


def test_every_page_is_in_one_list() -> None:
    listed = Counter(
        line.partition("<")[2].rstrip(">") or line
        for text in staged().pages.values()
        for block in re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line and not line.startswith(":")
    )
    below = Counter({name.removeprefix(INSIDE): 1 for name in SYSTEM.machines})
    named = Counter(name for name in staged().pages if name != "index")
    machines = Counter(f"{INSIDE}{name}" for name in SYSTEM.machines)
    assert listed == named - machines + below


def test_a_page_that_no_chapter_names_is_listed_all_the_same() -> None:
    assert "new" in chapters(["index", "new", "states/README"])["The project"]


def test_every_document_has_a_page() -> None:
    there = {path.relative_to(TOP).as_posix() for path in tracked() if path.suffix == ".md"}
    assert there == documents(TOP).keys()


def test_the_same_project_gives_the_same_text() -> None:
    """Whatever order the interpreter gives its sets."""
    here = hashlib.sha256(repr(staged()).encode()).hexdigest()
    run = subprocess.run(
        [sys.executable, "-c", DIGEST],
        capture_output=True,
        cwd=TOP,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.strip() == here


def test_every_option_is_explained() -> None:
    text = staged().pages["reference/configuration"]
    for one in rows(TOP):
        assert f"### `{option(one.name)}`" in text
    (head,) = (one for one in rows(TOP) if one.name == "request_line_bytes_max")
    assert (head.unit, head.default) == ("bytes", "`8192` (8 KiB)")
    assert (head.group, head.precedent) == ("How large.", "nginx 8k, Apache 8190")
    (wait,) = (one for one in rows(TOP) if one.name == "queue_seconds_max")
    assert (wait.unit, wait.default, wait.precedent) == ("seconds", "`3`", "")
    assert "connection.QUEUED" in text.partition("### `--queue-seconds-max`")[2].partition("###")[0]


def test_a_field_without_a_meaning_is_found() -> None:
    @dataclasses.dataclass(frozen=True)
    class Changed(Config):
        patience: int = 1

    with pytest.raises(Untold, match=r"Config\.patience"):
        rows(TOP, dataclasses.fields(Changed))


def test_an_event_is_found_where_it_is_fired() -> None:
    found = firings(TOP, SYSTEM)
    files = {key: {place.file for place in places} for key, places in found.items()}
    assert files["server", "cut"] == {"server/supervisor.py"}
    assert "server/supervisor.py" not in files["connection", "cut"]
    assert files["pipe", "ended"] == {"server/net/pipe.py"}
    assert "Pool._supervise" not in {one.function for one in found["job", "taken"]}
    for places in found.values():
        for one in places:
            line = (TOP / one.file).read_text("utf-8").splitlines()[one.line - 1]
            assert "." in line
            assert one.function.split(".")[-1] in (TOP / one.file).read_text("utf-8")


def test_a_machine_s_page_says_where_and_what() -> None:
    text = staged().pages["states/worker"]
    assert '<figure class="drawn"' in text
    assert 'href="#W4">W4</a>' in text
    assert "```mermaid" not in text
    assert "| `took_job` |" in text.partition("## Where events are fired")[2]
    assert "../sources/server/net/worker.py.html#L-" in text
    assert "| `queue_has_job` | guard | The pool's queue is not empty. |" in text


SITE = Site(
    pages={"docs/a.md": "a", "docs/b/c.md": "b/c", "README.md": "overview"},
    anchors={"docs/a.md": frozenset({"C1"}), "docs/b/c.md": frozenset(), "README.md": frozenset()},
    pictures={"html/diagrams/x.svg": "diagrams/x.svg"},
    files=lambda path: path == "server/x.py",
)


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[a](../a.md)", "[a](../a.md)"),
        ("[a](../a.md#head)", "[a](../a.md#head)"),
        ("[a](../a.md#C1)", '<a class="reference internal" href="../a.html#C1">a</a>'),
        ("[r](../../README.md)", "[r](../overview.md)"),
        ("[`x`](../../server/x.py)", '<a {} href="../sources/server/x.py.html">`x`</a>'),
        ("[p](../../html/diagrams/x.svg)", '<a {} href="../diagrams/x.svg">p</a>'),
        ("[w](https://a.example/b.md)", "[w](https://a.example/b.md)"),
        ("```text\n[n](nowhere.md)\n```\n", "```text\n[n](nowhere.md)\n```\n"),
    ],
)
def test_a_link_leads_to_the_page(link: str, becomes: str) -> None:
    text = becomes.replace("{}", 'class="reference internal"')
    assert relinked(link, "docs/b/c.md", "b/c", SITE).text == text


def test_a_link_that_leads_nowhere_is_found() -> None:
    with pytest.raises(DeadLink, match=r"docs/a\.md: gone\.md leads nowhere"):
        relinked("[x](gone.md)", "docs/a.md", "a", SITE)


def test_a_dead_link_of_the_built_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<a href="https://a.example/">4</a><img src="d.png"><a href="#top">5</a><p id="top">',
        "utf-8",
    )
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>', "utf-8")
    assert dead_links(tmp_path) == [
        "index.html: b.html#gone: no such place",
        "index.html: c.html: no such file",
        "index.html: d.png: no such file",
    ]
