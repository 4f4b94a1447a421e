"""A running server takes its operator's orders."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.cli import main
from server.http1.messages import Request, Response
from tests.wire.conftest import Serve


def answer(_: Request) -> Response:
    return Response(200, (), b"here")


def test_the_orders(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "ctl")
    served = serve(answer, ctl_socket=path, threads=2)

    def told(*order: str, status: int = 0) -> str:
        assert main(["ctl", "--ctl-socket", path, *order]) == status
        out, err = capsys.readouterr()
        assert (err if status == 0 else out) == ""
        return err if status else out

    client = served.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    client.reply()
    served.until_taken("C11")
    lines = told("status").splitlines()
    assert lines[1] == "server SERVING, readiness READY, listener ACCEPTING, pool SERVING"
    assert lines[2] == "connections: 1 of 10000: PARKED 1"
    assert lines[3] == "queue: 0 of 1024"
    assert lines[4] == "workers: 2 of 2, 0 late, 0 in quarantine, 0 replaced"
    assert lines[5].startswith("ledger: accepted 1 = answered 1 + shed 0 ")
    assert told("ready") == "ready\n"
    assert told("resize", "4") == "workers: 4 from now on\n"
    served.until_taken("W1", 4)
    assert served.server.snapshot().workers.places == 4
    assert told("resize", "1") == "workers: 1 from now on\n"
    served.until_taken("W16", 3)
    assert served.server.snapshot().workers.standing == 1
    for wrong in ("0", "-1", "x", "99999", ""):
        assert "expected a number of workers, 1 to 10000" in told("resize", wrong, status=1)
    assert "reactor (" in told("threads")
    file = Path(told("trace", "dump").strip())
    assert file.read_text().startswith("{")
    assert "expected trace dump" in told("trace", status=1)
    assert "too much" in told("status", "now", status=1)
    assert "is no order" in told("rest", status=2)
    assert told("drain") == "asked to drain\n"
    assert served.wait() == 0
    assert "No such file" in told("status", status=2)
    assert not Path(path).exists()


def test_a_server_that_stops_is_neither_ready_nor_resized(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "ctl")
    served = serve(answer, ctl_socket=path, lame_duck_seconds=60.0)
    served.server.request_stop()
    served.until_taken("S3")
    assert main(["ctl", "--ctl-socket", path, "ready"]) == 1
    assert capsys.readouterr().err == "not ready\n"
    served.server.request_stop()
    assert served.wait() == 1
    assert not served.server.resize(3)
