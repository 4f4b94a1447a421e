"""The dashboard's files: those that belong to it, with what the browser may load said in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config import html_folder
from server.ops.assets import Assets
from statemachine import load_system

HERE = Assets(html_folder())


def test_what_the_page_needs_is_there() -> None:
    names = load_system().machines
    diagrams = [f"diagrams/live/{way}{name}.svg" for name in names for way in ("", "narrow/")]
    scripts = [p.name for p in (html_folder() / "dashboard").glob("*.js")]
    for path in ("", "dashboard.css", "dashboard.js", "favicon.svg", *diagrams):
        assert path in HERE
    assert all(f"dashboard/{name}" in HERE for name in scripts)


@pytest.mark.parametrize(
    "path",
    ["index.html", "../pyproject.toml", "dashboard", "dashboard/", "dashboard/uplot/LICENSE"],
)
def test_nothing_else_is(path: str) -> None:
    assert path not in HERE


def test_the_browser_is_told_to_load_nothing_from_elsewhere() -> None:
    for path in ("", "dashboard.js", "diagrams/live/connection.svg"):
        fields = dict(HERE(path).fields)
        policy = fields["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert fields["X-Content-Type-Options"] == "nosniff"
    assert dict(HERE("").fields)["Content-Type"] == "text/html; charset=utf-8"


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    for name in ("dashboard.html", "dashboard.js"):
        (tmp_path / name).write_text("here", encoding="utf-8")
    assets = Assets(tmp_path)
    assert assets("").content == b"here"
    (tmp_path / "dashboard.js").unlink()
    assert assets("dashboard.js").status == 404
