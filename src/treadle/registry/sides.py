"""What is known of a version, gathered from where it is kept: bundle, MLflow, snapshots, and the record of decisions."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import NotDeployed, RoleEmpty, TrackingUnavailable
from treadle.registry.diff import Difference, Side, compare, named, require_one_model
from treadle.registry.tracking import Registered, Tracking
from treadle.settings import Workspace
from treadle.state import consents, deployments, verdicts
from treadle.state.schema import verdicts as verdict_table
from treadle.state.store import Store
from treadle.state.verdicts import Verdict
from treadle.times import when


def difference(workspace: Workspace, store: Store, first: str, second: str) -> Difference:
    """Return how two versions differ, each named as in churn@3 or churn@champion.

    Raises:
        VersionNameInvalid, ModelsDiffer: the names name no two versions of one model.
        NotDeployed, RoleEmpty: nobody has the role that is named.
        VersionNotFound, VersionNotSealed, TrackingUnavailable: MLflow does not know the version, or cannot be asked.
        BundleNotFound, BundleCorrupt: what was sealed is gone or damaged.
    """
    names = named(first), named(second)
    model = require_one_model(*names)
    sides = [_side(workspace, store, model, _number(store, model, name.which)) for name in names]
    return compare(model, *sides)


def _number(store: Store, model: str, which: int | str) -> int:
    """Return the number of a version that is named by its number or by its role."""
    if isinstance(which, int):
        return which
    with store.read() as conn:
        present = deployments.current(conn, model)
    if present is None:
        raise NotDeployed(model)
    version = next((slot.version for slot in present.slots if slot.role == which), None)
    if version is None:
        raise RoleEmpty(model, which)
    return version


def _side(workspace: Workspace, store: Store, model: str, version: int) -> Side:
    tracking = Tracking(workspace)
    found = tracking.version(model, version)
    bundle = BundlePlace.of(workspace).get(found.digest)
    lineage = bundle.manifest.lineage
    kept = SnapshotPlace.of(workspace).find(model, lambda one: one.dvc_md5 == lineage.snapshot)
    params, latency = _run(tracking, found)
    with store.read() as conn:
        decided = tuple(told for _, told in sorted(_decided(conn, model, found)))
    return Side(
        version=version,
        digest=found.digest,
        interface=bundle.interface,
        lineage=lineage,
        card=bundle.card,
        snapshot=kept.digest if kept else None,
        params=params,
        latency=latency,
        decided=decided,
    )


def _run(tracking: Tracking, found: Registered) -> tuple[dict[str, str], float | None]:
    """Return the parameters of the run that made a version, and its latency; nothing where the run is gone."""
    if not found.run_id:
        return {}, None
    try:
        with tracking.client() as client:
            data = client.get_run(found.run_id).data
    except TrackingUnavailable:
        return {}, None
    return dict(data.params), data.metrics.get("latency_p95")


def _decided(conn: Connection, model: str, found: Registered) -> Iterator[tuple[float, str]]:
    """Yield what was decided about a version, each with its time: verdicts, what people said of them, and roles."""
    of_version = (verdict_table.c.model == model, verdict_table.c.version == found.version)
    for key in conn.execute(select(verdict_table.c.id).where(*of_version)).scalars().all():
        verdict = verdicts.get(conn, key)
        if verdict is not None:
            yield verdict.at, f"{when(verdict.at)}: {_judged(verdict)}"
            yield from ((said.at, f"{when(said.at)}: {said.actor} says {said.decision}. {said.reason}") for said in consents.on(conn, key))
    before: set[str] = set()
    for item in deployments.history(conn, model):
        roles = {str(slot.role) for slot in item.slots if slot.digest == found.digest}
        for role in sorted(roles - before):
            yield item.at, f"{when(item.at)}: it becomes {role} in generation {item.generation}, by {item.actor}. {item.reason}"
        before = roles


def _judged(verdict: Verdict) -> str:
    said = "lets it pass" if verdict.passed else "refuses it"
    return f"the {verdict.kind} {said}. {' '.join(verdict.reasons)}"
