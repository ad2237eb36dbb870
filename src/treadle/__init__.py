"""Treadle: one description per model, and a loop that closes by itself.

Everything that the command line does is a function here: ``import treadle; treadle.train("churn")``. They live in ``treadle.api`` and are
loaded when they are first asked for, so that a server that imports the package does not load them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle.api import *  # noqa: F403 -- what the module offers is what __getattr__ below finds

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return a function of the API by its name."""
    if not name.startswith("_"):
        api = import_module("treadle.api")
        if name in api.__all__:
            return getattr(api, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module("treadle.api").__all__])
