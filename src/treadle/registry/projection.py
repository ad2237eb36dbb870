"""What MLflow's aliases must be, and which of them were moved by hand. Pure; ``aliases`` does the reading and writing.

The deployment table decides what an alias names. Which moves are by hand is found from the generation that was projected
last: since then an alias may only have had a value that some generation gave it. An alias that merely lags behind a new
deployment is therefore no offence.
"""

from collections.abc import Mapping, Sequence

from treadle.state.deployments import Deployment

CHAMPION = "champion"
CHALLENGER = "challenger"
ALIASES = (CHAMPION, CHALLENGER)

Aliases = Mapping[str, int | None]
"""The version that each alias names; None: the alias is not set."""


def wanted(deployment: Deployment) -> Aliases:
    """Return what each alias must name: the champion, and as challenger the canary or else the first arm."""
    challengers = [slot.version for role in ("canary", "arm") for slot in deployment.slots if slot.role == role]
    champion = deployment.champion
    return {CHAMPION: champion.version if champion else None, CHALLENGER: challengers[0] if challengers else None}


def archived(history: Sequence[Deployment]) -> frozenset[int]:
    """Return the versions that had a role in some generation and have none in the last one."""
    roles = [frozenset(slot.version for slot in deployment.slots) for deployment in history]
    return frozenset().union(*roles) - roles[-1]


def overridden(found: Aliases, history: Sequence[Deployment], projected: int | None) -> tuple[str, ...]:
    """Return the aliases that were moved by hand since generation ``projected`` was written (None: none has been yet).

    ``history`` must have been read after ``found``, so that it holds every generation that another process may have projected.
    """
    if projected is None:
        return ()
    since = [wanted(deployment) for deployment in history if deployment.generation >= min(projected, history[-1].generation)]
    return tuple(alias for alias in ALIASES if found.get(alias) not in {aliases[alias] for aliases in since})
