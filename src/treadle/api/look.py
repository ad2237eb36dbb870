"""Look and change nothing: status, drift, why, diff, schema, doctor."""

import time
from typing import TYPE_CHECKING, Any

from treadle.api.opening import Place, found, opened
from treadle.errors import WorkspaceNotFound

if TYPE_CHECKING:
    from treadle.checking.outcome import Outcome
    from treadle.console.overview import ModelOverview
    from treadle.monitoring.observe import Observation
    from treadle.registry.diff import Difference


def status(*, workspace: Place = None) -> "list[ModelOverview]":
    """Return every model: versions by role, drift, quality, and where the loop stands."""
    from treadle.console import overview

    with opened(workspace) as (place, store):
        return overview.read(place, store, now=time.time())


def drift(model: str, *, workspace: Place = None) -> "Observation":
    """Return the drift of each feature and of the predictions over the policy's window, and the quality of what is labelled."""
    from treadle.bundle.place import BundlePlace
    from treadle.monitoring.observe import observe
    from treadle.projects import find

    with opened(workspace) as (place, store):
        return observe(store, BundlePlace.of(place), find(place, model), now=time.time())


def why(model: str, *, workspace: Place = None) -> list[str]:
    """Return the last decision about a model in sentences, from its record."""
    from treadle.console import overview
    from treadle.projects import find

    with opened(workspace) as (place, store):
        return overview.explain(place, store, find(place, model), now=time.time())


def diff(first: str, second: str, *, workspace: Place = None) -> "Difference":
    """Return how two versions of a model differ: data, parameters, interface, metrics, importances, costs, and who decided.

    Args:
        first: a version as in churn@3, or in churn@champion for the one that has a role now.
        second: another version of the same model.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.projects import find
    from treadle.registry.diff import named, require_one_model
    from treadle.registry.sides import difference

    model = require_one_model(named(first), named(second))
    with opened(workspace) as (place, store):
        find(place, model)
        return difference(place, store, first, second)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a model.yaml, which editors complete from."""
    from treadle.spec import contract_schema

    return contract_schema()


def doctor(*, workspace: Place = None) -> "list[Outcome]":
    """Check the machine, the settings, the ports, the data mirror and the state, and say what to do about what is wrong."""
    from treadle.checking import machine

    try:
        place = found(workspace)
    except WorkspaceNotFound:
        return machine.examine(None)
    return machine.examine(place)
