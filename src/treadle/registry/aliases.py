"""MLflow's aliases as a projection of the deployments: written by Treadle, read by people and by MLflow's users.

An alias that somebody moves by hand is put back, and told. The generation that was projected last is kept as a tag of the
registered model.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from treadle.errors import TrackingUnavailable
from treadle.registry.library import MlflowClient
from treadle.registry.projection import Aliases, archived, overridden, wanted
from treadle.registry.tracking import Tracking
from treadle.state import deployments, events
from treadle.state.deployments import Deployment
from treadle.state.store import Store

ARCHIVED_TAG = "archived"
GENERATION_TAG = "treadle.generation"


@dataclass(frozen=True)
class Override:
    """An alias that was moved by hand: it named ``found`` and names ``restored`` again (None: it is not set)."""

    model: str
    alias: str
    found: int | None
    restored: int | None


def reconcile(tracking: Tracking, store: Store, *, at: float) -> list[Override]:
    """Make the aliases of every deployed model what its deployment says; return and record those that were moved by hand.

    Raises:
        TrackingUnavailable: MLflow cannot be reached, or no longer has a deployed version. That model's aliases lag behind,
            and nothing else does: the other models are done first.
    """
    with store.read() as conn:
        models = list(deployments.current_all(conn))
    moved: list[Override] = []
    failures: list[TrackingUnavailable] = []
    for model in models:
        try:
            moved += _reconcile(tracking, store, model, at)
        except TrackingUnavailable as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return moved


def _reconcile(tracking: Tracking, store: Store, model: str, at: float) -> list[Override]:
    with tracking.exclusive():
        found, tags = tracking.aliases(model)
        with store.read() as conn:
            history = deployments.history(conn, model)
        now, last = wanted(history[-1]), tags.get(GENERATION_TAG, "")
        names = overridden(found, history, int(last) if last.isdigit() else None)
        moved = [Override(model, alias, found.get(alias), now[alias]) for alias in names]
        if moved:
            # Told before it is mended: what dies in between tells it twice rather than never.
            with store.write() as conn:
                for override in moved:
                    events.append(conn, "alias.overridden", at=at, model=model, data=asdict(override))
        with tracking.client() as client:
            _point(client, model, found, now)
            if last != str(history[-1].generation):
                _mark(client, model, history)
                client.set_registered_model_tag(model, GENERATION_TAG, str(history[-1].generation))
    return moved


def _point(client: MlflowClient, model: str, found: Aliases, now: Aliases) -> None:
    for alias, version in now.items():
        if version is None and found.get(alias) is not None:
            client.delete_registered_model_alias(model, alias)
        elif version is not None and found.get(alias) != version:
            client.set_registered_model_alias(model, alias, str(version))


def _mark(client: MlflowClient, model: str, history: Sequence[Deployment]) -> None:
    """Tag the versions that have lost their role as archived, and take the tag from those that have one (again)."""
    gone = archived(history)
    for item in client.search_model_versions(f"name = '{model}'"):
        version, tagged = int(item.version), ARCHIVED_TAG in item.tags
        if version in gone and not tagged:
            client.set_model_version_tag(model, str(version), ARCHIVED_TAG, "true")
        elif tagged and version not in gone:
            client.delete_model_version_tag(model, str(version), ARCHIVED_TAG)
