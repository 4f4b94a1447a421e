"""The same servers as in tests/wire: both engines, each one's whole trace held against the spec."""

from __future__ import annotations

from tests.wire.conftest import serve

__all__ = ["serve"]
