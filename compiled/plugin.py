"""For pytest: `-p compiled.plugin` runs the tests on the compiled core, which must be there."""

from __future__ import annotations

from compiled import CompiledError, install

if not install():
    raise CompiledError("there is no compiled core: run `make compiled`")
