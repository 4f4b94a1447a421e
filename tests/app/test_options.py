"""What the operator may say about files: mounts, links, dotfiles, Cache-Control."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.app.dispatch import make_app
from server.cli import main, make_parser
from server.config import Config, Mount
from server.errors import ConfigError, StartError
from server.http1.messages import Request, Response
from tests.app.requests import content_of, descriptors, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for path in (
        "root/index.html",
        "root/404.html",
        "root/docs/root's own.txt",
        "root/.env",
        "root/.git/config",
        "docs/index.html",
        "docs/a b.txt",
        "docs/api/old.txt",
        "docs/.hidden",
        "api/new.txt",
        "api/deep/index.html",
        "outside.txt",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def served(top: Path, *mounts: tuple[str, str], **settings: str) -> App:
    config = Config.of(
        {
            "root": top / "root",
            "mounts": tuple(Mount(prefix, top / folder) for prefix, folder in mounts),
            **settings,
        }
    )
    return make_app(config, ManualClock())


def text(app: App, target: str) -> str:
    return content_of(app(request(target))).decode()


# --- mounts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/", "root/index.html"),
        ("/docs/", "docs/index.html"),
        ("/docs/a%20b.txt", "docs/a b.txt"),
        ("/do%63s/a%20b.txt", "docs/a b.txt"),
        ("/docs/api/new.txt", "api/new.txt"),
        ("/docs/api/deep/", "api/deep/index.html"),
        ("/docs/api/old.txt", "root/404.html"),  # the longer prefix hides the shorter one's folder
        ("/docs/root's%20own.txt", "root/404.html"),  # and a mount hides the root's
        ("/docs/.hidden", "root/404.html"),
        ("/docs/nope", "root/404.html"),
        ("/docsx/", "root/404.html"),
        ("/api/new.txt", "root/404.html"),
        ("/docs/../outside.txt", "root/404.html"),
        ("/docs/%2e%2e/outside.txt", "root/404.html"),
    ],
)
def test_mounts(top: Path, target: str, content: str) -> None:
    for order in (
        (("/docs", "docs"), ("/docs/api", "api")),
        (("/docs/api", "api"), ("/docs", "docs")),
    ):
        before = descriptors()
        assert text(served(top, *order), target) == content
        assert descriptors() == before


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/docs", "/docs/"),
        ("/docs?a=b", "/docs/?a=b"),
        ("/do%63s", "/docs/"),
        ("/docs/api", "/docs/api/"),
        ("/docs/api/deep", "/docs/api/deep/"),
    ],
)
def test_a_mount_without_its_slash(top: Path, target: str, location: str) -> None:
    app = served(top, ("/docs", "docs"), ("/docs/api", "api"))
    response = app(request(target))
    assert (response.status, field(response, "location")) == (301, location)


def test_a_mount_that_is_named_as_a_page_of_ours_wins(top: Path) -> None:
    app = served(top, ("/sleep", "docs"))
    assert text(app, "/sleep/") == "docs/index.html"
    assert app(request("/sleep")).status == 301


def test_a_well_known_folder_of_its_own(top: Path) -> None:
    assert text(served(top, ("/.well-known", "api")), "/.well-known/new.txt") == "api/new.txt"
    app = served(top, ("/.well-known/acme", "api"))
    assert text(app, "/.well-known/acme/new.txt") == "api/new.txt"


def test_methods_below_a_mount(top: Path) -> None:
    app = served(top, ("/docs", "docs"))
    assert app(request("/docs/", method="POST")).status == 405
    assert app(request("/docs/", method="OPTIONS")).status == 204
    assert app(request("/docs/", method="HEAD")).status == 200


def test_a_very_deep_path_costs_no_more_than_its_mounts(top: Path) -> None:
    app = served(top, ("/docs", "docs"))
    assert app(request("/docs" + "/a" * 3000)).status == 404


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "docs",
        "/docs/",
        "//docs",
        "/a//b",
        "/a/../b",
        "/.a",
        "/a/.b",
        "/a/.well-known",
        "/a b",
        "/a%20b",
        "/ä",
        "/a?b",
        "/a#b",
        "/a\n",
        "*",
    ],
)
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ConfigError, match="--mount") as raised:
        Mount.of(f"{prefix}=/tmp")
    assert "\n" not in str(raised.value)


def test_a_prefix_is_named_once(top: Path) -> None:
    with pytest.raises(ConfigError, match="/docs twice"):
        served(top, ("/docs", "docs"), ("/api", "api"), ("/docs", "api"))


@pytest.mark.parametrize("folder", ["nowhere", "outside.txt"])
def test_a_folder_that_cannot_be_mounted(top: Path, folder: str) -> None:
    with pytest.raises(StartError, match=f"--mount /docs: .*{folder} cannot be served"):
        served(top, ("/docs", folder))


# --- links ------------------------------------------------------------------------------------


def test_links_that_leave_are_followed_when_they_may(top: Path) -> None:
    (top / "root" / "relative.txt").symlink_to("../outside.txt")
    (top / "root" / "absolute.txt").symlink_to(top / "outside.txt")
    (top / "root" / "folder").symlink_to("../docs")
    (top / "root" / "loop").symlink_to("loop")
    inside, anywhere = served(top), served(top, symlinks="any")
    before = descriptors()
    for target, content in (
        ("/relative.txt", "outside.txt"),
        ("/absolute.txt", "outside.txt"),
        ("/folder/", "docs/index.html"),
        ("/folder/a%20b.txt", "docs/a b.txt"),
        ("/", "root/index.html"),
    ):
        assert text(anywhere, target) == content
        assert text(inside, target) == (content if target == "/" else "root/404.html")
    assert field(anywhere(request("/folder")), "location") == "/folder/"
    for target in ("/loop", "/folder/../outside.txt", "/%2e%2e/outside.txt", "/folder/nope"):
        assert anywhere(request(target)).status == 404
    assert descriptors() == before


def test_a_mount_is_held_to_the_same_rule(top: Path) -> None:
    (top / "docs" / "link.txt").symlink_to("../outside.txt")
    assert text(served(top, ("/docs", "docs")), "/docs/link.txt") == "root/404.html"
    anywhere = served(top, ("/docs", "docs"), symlinks="any")
    assert text(anywhere, "/docs/link.txt") == "outside.txt"


# --- dotfiles ---------------------------------------------------------------------------------


def test_dotfiles_are_served_when_they_may(top: Path) -> None:
    app = served(top, ("/docs", "docs"), dotfiles="served")
    assert text(app, "/.env") == "root/.env"
    assert text(app, "/.git/config") == "root/.git/config"
    assert text(app, "/docs/.hidden") == "docs/.hidden"
    (top / "root" / "...").write_text("three dots")
    assert text(app, "/...") == "three dots"


@pytest.mark.parametrize(
    "target",
    [
        "/.",
        "/..",
        "/./",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/.git/../.env",
        "/.git/./config",
        "/docs/../outside.txt",
        "/%2e/index.html",
    ],
)
def test_dots_alone_are_never_names(top: Path, target: str) -> None:
    app = served(top, ("/docs", "docs"), dotfiles="served")
    assert text(app, target) == "root/404.html"


# --- Cache-Control ----------------------------------------------------------------------------


@pytest.mark.rfc("9111-5.2")
def test_cache_control_is_said_of_files(top: Path) -> None:
    app = served(top, ("/docs", "docs"), cache_control="public, max-age=60")
    for target in ("/", "/docs/"):
        assert field(app(request(target)), "cache-control") == "public, max-age=60"
    for target in ("/nope", "/docs", "/%zz"):
        assert field(app(request(target)), "cache-control") is None
    assert field(served(top)(request("/")), "cache-control") is None


@pytest.mark.rfc("9110-5.5")
@pytest.mark.parametrize("value", [" a", "a ", "\ta", "a\r\nX: y", "a\0", "ä", "a\x7f"])
def test_what_is_no_field_value(value: str) -> None:
    with pytest.raises(ConfigError, match="--cache-control"):
        Config(cache_control=value)


# --- the command line -------------------------------------------------------------------------


def test_mounts_are_given_one_by_one() -> None:
    options = make_parser().parse_args(["--mount", "/a=x", "--mount", "/b/c=y=z"])
    assert options.mounts == ["/a=x", "/b/c=y=z"]
    assert Mount.of("/b/c=y=z") == Mount("/b/c", Path("y=z"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mount", "docs=x"], "--mount has the prefix 'docs'"),
        (["--mount", "/docs"], "--mount is '/docs', expected /PREFIX=DIR"),
        (["--mount", "/docs="], "--mount is '/docs=', expected /PREFIX=DIR"),
        (["--mount", "/a=x", "--mount", "/a=y"], "--mount names the prefix /a twice"),
        (["--symlinks", "all"], "--symlinks is 'all', expected one of inside, any"),
        (["--dotfiles", ""], "--dotfiles is '', expected one of hidden, served"),
        (["--cache-control", "a\nb"], "--cache-control is 'a\\nb'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "0", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"interlock: {says}")
    assert error.count("\n") == 1


@pytest.fixture
def signals() -> Iterator[None]:
    """What handles signals is the process's own, and is given back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_folder_that_is_missing_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "0", "--mount", f"/docs={tmp_path / 'nowhere'}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("interlock: --mount /docs: ")
    assert "cannot be served: No such file or directory\n" in error


def test_the_help_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for option in ("--mount /PREFIX=DIR", "--symlinks inside|any", "--dotfiles hidden|served"):
        assert option in shown
