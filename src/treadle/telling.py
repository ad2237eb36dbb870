"""How a long piece of work tells what it has done, so that a console can show it and a script can ignore it."""

from collections.abc import Callable

Tell = Callable[..., None]
"""Called as ``tell(kind, model=…, **facts)`` whenever something has been done; the kinds are those of the events."""


def nobody(_told: object, **_facts: object) -> None:
    """Tell nobody."""
