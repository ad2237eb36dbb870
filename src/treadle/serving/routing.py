"""Which version answers a key: pure, the same on every worker, and sticky.

Each version that carries weight draws a number from the hash of (model, version, key), and the smallest draw in proportion to the
weight wins. So the shares follow the weights, a key stays with its version, and a canary that grows takes keys but gives none back.
"""

import hashlib
import math
from dataclasses import dataclass

from treadle.state.deployments import Deployment, Slot

_DRAWS = 2**64


@dataclass(frozen=True, slots=True)
class Table:
    """The slots of one generation of one model. ``weighted`` answer callers, ``champion`` and ``fallback`` stand in for them."""

    model: str
    generation: int
    slots: tuple[Slot, ...]
    weighted: tuple[Slot, ...]
    champion: Slot
    fallback: Slot | None


def table(deployment: Deployment) -> Table:
    """Return the routing table of a deployment, which always has a champion.

    Raises:
        ValueError: the deployment has no champion.
    """
    if deployment.champion is None:
        message = f"generation {deployment.generation} of {deployment.model} has no champion"
        raise ValueError(message)
    weighted = tuple(slot for slot in deployment.slots if slot.weight > 0)
    return Table(deployment.model, deployment.generation, deployment.slots, weighted, deployment.champion, deployment.fallback)


def choose(table: Table, key: str) -> Slot:
    """Return the slot that answers ``key``."""
    if len(table.weighted) == 1:
        return table.weighted[0]
    return min(table.weighted, key=lambda slot: _draw(table.model, slot.version, key) / slot.weight)


def _draw(model: str, version: int, key: str) -> float:
    """Return an exponentially distributed number: the smallest of several, each divided by its weight, falls to each by its weight."""
    digest = hashlib.blake2b(f"{model}\0{version}\0{key}".encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(digest, "big") + 1) / _DRAWS)
