"""The benchmark's harness reads and shows what was measured, and hides nothing that went wrong."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from benchmarks.speed import chart, readme, report
from benchmarks.speed.__main__ import takes_part
from benchmarks.speed.contenders import CONTENDERS
from benchmarks.speed.load import WrkFailed, outcome
from benchmarks.speed.scenarios import SCENARIOS, Round

PRINTED = """\
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Latency Distribution
     50%   61.11us
     99%    1.25ms
  30 requests in 1.00s, 6.00KB read
{}Requests/sec:     30.50
Transfer/sec:      6.00KB
"""
AT: dict[str, Any] = {
    "date": "2026-11-25",
    "python": "3.11.7",
    "system": "Linux x86_64",
    "processor": "P",
    "cores": 2,
    "threads": 4,
    "seconds": 1,
    "rounds": 2,
    "load": 0.5,
    "contenders": [
        {"name": "Interlock", "version": "0.1.0", "setting": ""},
        {"name": "waitress", "version": None, "setting": "x"},
    ],
}


def run(ours: list[Round], theirs: list[Round], unit: str = "req/s") -> report.Run:
    scenario = {"name": "hello-1", "asks": "hello", "unit": unit}
    results = {"Interlock": ours, "waitress": theirs}
    return {"conditions": AT, "scenarios": [{**scenario, "results": results}]}


def test_wrk_is_read_with_its_errors() -> None:
    assert outcome(PRINTED.format("")).trouble == ""
    found = outcome(
        PRINTED.format(
            "  Socket errors: connect 0, read 2, write 0, timeout 3\n"
            "  Non-2xx or 3xx responses: 7\n"
        )
    )
    assert (found.rate, found.p99_ms) == (30.5, 1.25)
    assert found.trouble == "2 cut off, 3 timed out, 7 not 2xx"


def test_wrk_without_figures_is_a_failure() -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        outcome("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_ratio_is_of_pairs_and_above_one_where_interlock_is_better() -> None:
    ours: list[Round] = [{"rate": 20.0}, {"rate": 5.0}, {"rate": 30.0}]
    theirs: list[Round] = [{"rate": 10.0}, {"failure": "x"}, {"rate": 10.0}]
    assert report.ratio(ours, theirs, "rate") == 2.5
    assert report.ratio([{"cost": 2.0}], [{"cost": 8.0}], "cost") == 4.0
    assert report.ratio([{"failure": "x"}], theirs, "rate") is None


def test_both_of_ours_are_held_against_others() -> None:
    shown = run([{"rate": 20.0, "p99_ms": 4.0}], [{"rate": 10.0, "p99_ms": 8.0}])
    scenario = shown["scenarios"][0]
    scenario["results"] = {
        "Interlock": scenario["results"]["Interlock"],
        "Interlock, compiled": [{"rate": 30.0}],
        "waitress": scenario["results"]["waitress"],
    }
    names = ("Interlock", "Interlock, compiled", "waitress")
    assert [report.times(scenario, one, "rate") for one in names] == ["", "×1.50", "×2.00, ×3.00"]
    assert report.times(scenario, "waitress", "p99_ms") == "×0.50"
    drawn = chart.drawn(shown)
    assert drawn.count(chart.OURS) == 2
    assert drawn.count(chart.THEIRS) == 1


def test_a_failure_is_shown_and_not_averaged_away() -> None:
    shown = run([{"rate": 20.0}, {"rate": 22.0}], [{"rate": 10.0, "trouble": "3 timed out"}])
    assert "| hello, req/s | 21 | 10 (×2.00) ⚠ |" in report.table(shown)
    assert "! 3 timed out" in report.printed(shown)
    assert report.notes(shown) == "- hello, waitress: 3 timed out\n"
    failed = run([{"rate": 20.0}], [{"failure": "did not start"}])
    assert "| failed: did not start |" in report.table(failed)
    assert "! did not start" in report.printed(failed)
    assert ">failed<" in chart.drawn(failed)


def test_who_is_no_server_is_shown_apart() -> None:
    pools = run([{"rate": 20.0}], [{"rate": 10.0}], "jobs/s")
    assert report.others(pools) == "\n"
    pools["scenarios"][0]["results"]["Executor"] = [{"rate": 8.0}]
    assert report.others(pools) == "- hello: Executor, 8 (×2.50) jobs/s\n"


def test_the_chart_is_a_picture_whose_longest_bar_is_the_best() -> None:
    drawn = ET.fromstring(chart.drawn(run([{"rate": 20.0}], [{"rate": 10.0}])))
    bars = [one for one in drawn.iter() if one.tag.endswith("rect")][1:]
    widths = [float(one.attrib["width"]) for one in bars]
    assert widths[0] == 2 * widths[1] > 0


def test_who_takes_part_in_what() -> None:
    installed = [one for one in CONTENDERS if one.version() is not None]
    for scenario in SCENARIOS:
        names = {one.name for one in installed if takes_part(one, scenario)}
        assert "Interlock" in names
        assert ("nginx" in names) <= scenario.served.is_file
        assert names <= {"Interlock", "Interlock, compiled"} or not scenario.alone


def test_scenarios_have_names_of_their_own() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(names) == len(set(names))
    assert set(readme.IN_SHORT) <= set(names)


def test_the_place_of_the_tables_must_be_there() -> None:
    text = "before\n<!-- measured: speed -->\nold\n<!-- end -->\nafter\n"
    assert readme.up_to_date(text, "new\n") == text.replace("old", "\nnew\n")
    with pytest.raises(ValueError, match="0 places"):
        readme.up_to_date("no place", "new\n")


def test_what_is_drawn_is_the_kept_run_s() -> None:
    for path, text in readme.drawings(report.read(report.KEPT)).items():
        assert path.read_text(encoding="utf-8") == text, "run python -m benchmarks.speed.readme"
