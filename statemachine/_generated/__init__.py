"""Generated from spec/ by `python -m statemachine generate`; do not edit."""

from statemachine._generated.baton import BatonMachine, BatonState
from statemachine._generated.chunked import ChunkedMachine, ChunkedState
from statemachine._generated.connection import ConnectionMachine, ConnectionState
from statemachine._generated.fleet import FleetMachine, FleetState
from statemachine._generated.job import JobMachine, JobState
from statemachine._generated.listener import ListenerMachine, ListenerState
from statemachine._generated.pipe import PipeMachine, PipeState
from statemachine._generated.pool import PoolMachine, PoolState
from statemachine._generated.process import ProcessMachine, ProcessState
from statemachine._generated.readiness import ReadinessMachine, ReadinessState
from statemachine._generated.request import RequestMachine, RequestState
from statemachine._generated.response import ResponseMachine, ResponseState
from statemachine._generated.server import ServerMachine, ServerState
from statemachine._generated.subscription import SubscriptionMachine, SubscriptionState
from statemachine._generated.worker import WorkerMachine, WorkerState

__all__ = [
    "BatonMachine",
    "BatonState",
    "ChunkedMachine",
    "ChunkedState",
    "ConnectionMachine",
    "ConnectionState",
    "FleetMachine",
    "FleetState",
    "JobMachine",
    "JobState",
    "ListenerMachine",
    "ListenerState",
    "PipeMachine",
    "PipeState",
    "PoolMachine",
    "PoolState",
    "ProcessMachine",
    "ProcessState",
    "ReadinessMachine",
    "ReadinessState",
    "RequestMachine",
    "RequestState",
    "ResponseMachine",
    "ResponseState",
    "ServerMachine",
    "ServerState",
    "SubscriptionMachine",
    "SubscriptionState",
    "WorkerMachine",
    "WorkerState",
]
