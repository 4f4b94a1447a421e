"""Whose socket has been closed is CLOSED: no arrow leads to the grave and says another state.

The reactor buries what its step has ended, and does not ask for the state again. So an arrow that
led elsewhere would be followed by the same burial, and only the state would be wrong.
"""

from __future__ import annotations

import pytest

from server.net.connection import Connection
from statemachine._generated import ConnectionState
from tests.fakes import FakeTransport
from tests.machines.conftest import Open
from tests.machines.test_connection_arrows import SCENES


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.arrow(one)) for one in SCENES]
)
def test_who_is_buried_is_closed(name: str, open_scene: Open) -> None:
    stage, settings = SCENES[name]
    scene = open_scene(**settings)
    stage(scene)
    scene.house.settle()
    met = [model for _, model in scene.house.witness.recorder._serials.values()]
    connections = [one for one in met if isinstance(one, Connection)]
    assert connections
    for one in connections:
        assert isinstance(one.transport, FakeTransport)
        if one.transport.closed:
            assert one.state is ConnectionState.CLOSED
        else:
            assert one.state is not ConnectionState.CLOSED
