"""Generated from spec/ by `python -m statemachine generate`; do not edit."""

from statemachine._generated.chunked import ChunkedMachine, ChunkedState
from statemachine._generated.connection import ConnectionMachine, ConnectionState
from statemachine._generated.job import JobMachine, JobState
from statemachine._generated.listener import ListenerMachine, ListenerState
from statemachine._generated.pipe import PipeMachine, PipeState
from statemachine._generated.pool import PoolMachine, PoolState
from statemachine._generated.request import RequestMachine, RequestState
from statemachine._generated.response import ResponseMachine, ResponseState
from statemachine._generated.server import ServerMachine, ServerState
from statemachine._generated.worker import WorkerMachine, WorkerState

__all__ = [
    "ChunkedMachine",
    "ChunkedState",
    "ConnectionMachine",
    "ConnectionState",
    "JobMachine",
    "JobState",
    "ListenerMachine",
    "ListenerState",
    "PipeMachine",
    "PipeState",
    "PoolMachine",
    "PoolState",
    "RequestMachine",
    "RequestState",
    "ResponseMachine",
    "ResponseState",
    "ServerMachine",
    "ServerState",
    "WorkerMachine",
    "WorkerState",
]
