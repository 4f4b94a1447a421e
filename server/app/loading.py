"""What answers the requests: the application that `--app MODULE:CALLABLE` names, or the pages."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

from server.clock import Clock
from server.config import Config
from server.errors import ConfigError, StartError
from server.events import Hub
from server.http1.messages import Request, Response

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from server.app.dispatch import App

LOG = logging.getLogger("interlock.app")

_NAME: Final = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<names>\w+(?:\.\w+)*)(?P<calls>\(\))?")


def handler_of(config: Config, clock: Clock, events: Hub) -> Callable[[Request], Response]:
    """The WSGI application that the Config names, with its mounts; else the files below its root.

    `events` is where the application publishes. Raises StartError, and ConfigError for a name that
    is none of an application.
    """
    if not config.app:
        return _files_of(config, clock)
    from server.app.wsgi import wsgi  # noqa: PLC0415 - files alone need none

    application = wsgi(load_application(config.app), events=events)
    if not config.mounts:
        return application
    from server.app.dispatch import beside  # noqa: PLC0415 - an application alone needs none

    return beside(application, _files_of(config, clock))


def _files_of(config: Config, clock: Clock) -> App:
    from server.app.dispatch import make_app  # noqa: PLC0415 - an application alone needs none

    return make_app(config, clock)


def load_application(name: str) -> WSGIApplication:
    """The WSGI application that `name` says: `module:callable`, `package.module:object.attribute`,
    or `module:factory()`, whose result it is then.

    Modules are looked for in the current folder first, as `python -m` does. Raises ConfigError
    for a name of another form, StartError otherwise, one line each; the traceback of what failed
    goes to the log at its debug level.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ConfigError(
            f"--app is {name!r}, expected MODULE:CALLABLE, like shop.wsgi:application or "
            "shop:make_app()"
        )
    _look_here_first()
    module = _import(name, found["module"])
    application: object = module
    for attribute in found["names"].split("."):
        try:
            application = getattr(application, attribute)
        except AttributeError:
            owner = found["module"] if application is module else type(application).__name__
            raise StartError(f"--app {name}: {owner} has no attribute {attribute}") from None
    if found["calls"]:
        factory = _checked(name, application)
        try:
            application = factory()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is told
            raise _failed(name, f"{found['names']}()", error) from None
    return cast("WSGIApplication", _checked(name, application))


def _look_here_first() -> None:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _import(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is told
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        # Its own name or its package's: it is not there. Another: it is, and imports what is not.
        if missing and f"{module}.".startswith(f"{missing}."):
            raise StartError(f"--app {name}: there is no module {missing}") from None
        raise _failed(name, f"importing {module}", error) from None


def _failed(name: str, what: str, error: BaseException) -> StartError:
    LOG.debug("--app %s: %s failed", name, what, exc_info=error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return StartError(f"--app {name}: {what} failed: {text}{_place(error)}")


def _place(error: BaseException) -> str:
    """Where an error was raised: ` (shop.py, line 7)`."""
    frames = traceback.extract_tb(error.__traceback__)
    told = [one for one in frames if not one.filename.startswith(("<frozen ", __file__))]
    return f" ({os.path.basename(told[-1].filename)}, line {told[-1].lineno})" if told else ""


def _checked(name: str, found: object) -> Callable[..., object]:
    if not callable(found):
        raise StartError(f"--app {name} is a {type(found).__name__}, expected a callable")
    return found
