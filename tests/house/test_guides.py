"""The guides are true: what they configure is accepted, and what they quote is what is said."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server.cli import make_parser
from server.config import Config
from statemachine import check, load_system, spec_folder
from tests.house.documents import blocks
from tests.house.source import TOP

DEPLOY = TOP / "docs/guides/deploy.md"
STATE = TOP / "docs/guides/add-a-state.md"
SLACK_SECONDS = 4


def only(kind: str) -> str:
    (text,) = blocks(DEPLOY, kind)
    return text


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    (tmp_path / "station.conf").write_text(only("nginx"), "utf-8")
    around = "events {{}}\npid {0}/pid;\nerror_log stderr;\nhttp {{ access_log off;{1}\n"
    kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f" {name}_temp_path {tmp_path}/{name};" for name in kept)
    text = around.format(tmp_path, folders) + f"include {tmp_path}/station.conf;\n}}\n"
    (tmp_path / "nginx.conf").write_text(text, "utf-8")
    run("nginx", "-t", "-c", str(tmp_path / "nginx.conf"))


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed")
def test_haproxy_takes_its_file(tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text(only("haproxy"), "utf-8")
    said = run("haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert "WARNING" not in said


def test_who_stops_it_grants_the_time() -> None:
    """A grace of less than the phases together kills a drain."""
    config = Config()
    unit, pod = only("ini"), only("yaml")
    duck = int(_value(r"--lame-duck-seconds (\d+)", unit))
    phases = duck + config.drain_seconds_max + config.cut_seconds_max
    assert int(_value(r"TimeoutStopSec=(\d+)", unit)) == phases + SLACK_SECONDS
    duck, drain = (
        int(_value(rf"--{name}=(\d+)", pod)) for name in ("lame-duck-seconds", "drain-seconds-max")
    )
    grace = int(_value(r"terminationGracePeriodSeconds: (\d+)", pod))
    assert grace == duck + drain + config.cut_seconds_max + SLACK_SECONDS


def test_proxies_let_go_of_idle_connections_first() -> None:
    kept = [
        _value(r"keepalive_timeout (\d+)s", only("nginx")),
        _value(r"pool-purge-delay (\d+)s", only("haproxy")),
        _value(r"timeout http-keep-alive (\d+)s", only("haproxy")),
    ]
    assert all(int(seconds) < Config().idle_seconds_max for seconds in kept)


def _value(pattern: str, text: str) -> str:
    (found,) = re.findall(pattern, text)
    return str(found)


@pytest.mark.parametrize("kind", ["ini", "yaml"])
def test_options_of_what_is_deployed_exist(kind: str) -> None:
    known = {option for action in make_parser()._actions for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", only(kind)))
    assert named
    assert named <= known


def test_the_new_state_is_added_as_the_guide_says(tmp_path: Path) -> None:
    """Each step's rows, and what `check` says after it."""
    folder = Path(shutil.copytree(spec_folder(), tmp_path / "trial"))
    rows = [text for text in blocks(STATE, "text") if text.startswith(("{ id", "RESTING"))]
    said = [text for text in blocks(STATE, "console") if " check " in text]
    state, way_there, ways_out, steps = rows
    machine, composition = folder / "readiness.toml", folder / "composition.toml"

    _insert(machine, "[states]\n", state)
    _insert(machine, "transitions = [\n", way_there)
    assert _findings(folder) == said[0].splitlines()[1:]
    _insert(machine, "transitions = [\n", ways_out)
    assert _findings(folder) == said[1].splitlines()[1:]
    _insert(composition, "steps = [\n", steps)
    text = composition.read_text("utf-8")
    composition.write_text(text.replace('["H4", "H6"]', '["H4", "H6", "H23"]'), "utf-8")
    assert _findings(folder) == []
    assert said[2].rstrip().endswith("no findings")


def _insert(file: Path, behind: str, text: str) -> None:
    whole = file.read_text("utf-8")
    assert whole.count(behind) == 1
    file.write_text(whole.replace(behind, behind + text), "utf-8")


def _findings(folder: Path) -> list[str]:
    """Each finding once: a row that two checks find is told twice."""
    return list(dict.fromkeys(str(one) for one in check(load_system(folder))))
