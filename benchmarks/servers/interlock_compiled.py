"""The same as `interlock_wsgi`, with the compiled core, which must be there."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from compiled import install

if not install():
    sys.exit("there is no compiled core: run `make compiled`")
runpy.run_path(str(Path(__file__).with_name("interlock_wsgi.py")), run_name="__main__")
