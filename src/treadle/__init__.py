"""Treadle: one description per model, and a loop that closes by itself.

Everything that the command line does is a function here: ``import treadle; treadle.train("churn")``. They live in ``treadle.api`` and are
loaded when they are first asked for, so that a server that imports the package does not load them. The same holds for ``treadle.Client``
and ``treadle.AsyncClient``, which ask a running service and load nothing else of the package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle.api import *  # noqa: F403 -- what the module offers is what __getattr__ below finds
    from treadle.client import AsyncClient as AsyncClient
    from treadle.client import Client as Client

__version__ = "0.1.0"

_CLIENTS = ("AsyncClient", "Client")


def __getattr__(name: str) -> Any:
    """Return a client, or a function of the API, by its name."""
    if name in _CLIENTS:
        return getattr(import_module("treadle.client"), name)
    if not name.startswith("_"):
        api = import_module("treadle.api")
        if name in api.__all__:
            return getattr(api, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*globals(), *_CLIENTS, *import_module("treadle.api").__all__])
