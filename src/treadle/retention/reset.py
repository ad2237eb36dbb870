"""Begin anew: forget one model, or all state of a workspace. What a person wrote (projects, keys, data) is never touched."""

import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, delete, func, inspect, select

from treadle.errors import BundleCorrupt, BundleInvalid, ProjectNotFound, ServiceRunning, StillRunning, StoreUnavailable
from treadle.projects import names
from treadle.registry import disposal
from treadle.retention.inventory import LONGEST_TRAINING, Ground
from treadle.retraining.controller import LEASE
from treadle.serving.shipper import Shipper
from treadle.serving.supervisor import only_one
from treadle.state import deployments, events, lease, turns
from treadle.state.lease import Lease
from treadle.state.schema import events as events_table
from treadle.state.schema import leases, metadata

STATE = ("state.db*", "mlflow.db*", "mlartifacts", "bundles", "data", "spool", "metrics", "logs", "reports", "audit", "demo-*", "*.lock")
"""What Treadle keeps in its home folder, what names before what is named. Nothing else is ever deleted there."""

KEYS = ("keys.json", "pseudonyms.key")

RESET_SECONDS = 3600.0
"""How long a reset keeps controllers away at most: one that is killed must not do so for ever."""


@dataclass(frozen=True)
class Cleared:
    """How much went, by what it is; ``left`` tells in sentences what stays though it belongs to what was reset."""

    counts: dict[str, int]
    left: tuple[str, ...]


def require_known(ground: Ground, model: str) -> None:
    """Refuse a name of which there is neither a project nor anything else.

    Raises:
        ProjectNotFound: there is nothing of that name.
        TrackingUnavailable: MLflow cannot be reached.
    """
    with ground.store.read() as conn:
        known = {*ground.models(conn), *names(ground.workspace)}
    if model not in known:
        raise ProjectNotFound(model, sorted(known))


def require_still(ground: Ground, *, now: float) -> None:
    """Refuse while something of this workspace runs.

    Raises:
        StillRunning: something does; each process is named.
        TrackingUnavailable: MLflow cannot be asked which trainings run.
    """
    home = ground.workspace.home
    running = [*_services([home, *home.glob("demo-*")]), *_controllers(ground, now), *_trainings(ground, now)]
    if running:
        raise StillRunning(home, running)


@contextmanager
def kept_still(ground: Ground) -> Iterator[None]:
    """Look once more, and let neither a service nor a controller of this workspace start as long as the block runs.

    Raises:
        StillRunning, TrackingUnavailable: as ``require_still``.
    """
    home, now = ground.workspace.home, time.time()
    with ExitStack() as stack:
        try:
            stack.enter_context(only_one(ground.workspace))
        except ServiceRunning as error:
            raise StillRunning(home, list(_services([home]))) from error
        running = [*_services(home.glob("demo-*")), *_trainings(ground, now)]
        # Under a name of our own: nobody who runs renews it.
        held = lease.acquire(ground.store, LEASE, f"reset:{uuid.uuid4()}", ttl=RESET_SECONDS, now=now)
        running += _controllers(ground, now) if held is None else []
        if held is not None:
            stack.callback(_give_back, ground, held)
        if held is None or running:
            raise StillRunning(home, running)
        yield


def forget(ground: Ground, model: str, *, at: float, actor: str) -> Cleared:
    """Remove the rows, versions, bundles and snapshots of one model. Its project stays, and so do the events of what happened.

    Raises:
        TrackingUnavailable, StoreUnavailable: nothing, or not everything, could be removed; the same call goes on from there.
    """
    _ship(ground)
    with ground.store.read() as conn:
        logs = [ground.workspace.home / "logs" / f"train-{turn}.log" for turn, owner in turns.models(conn).items() if owner == model]
        digests = {slot.digest for item in deployments.history(conn, model) for slot in item.slots}
    runs = disposal.runs(ground.tracking, model) if ground.tracked else []
    digests |= {one.digest for one in ground.tracking.versions(model)} if ground.tracked else set()
    with ground.store.write() as conn:
        events.lock(conn)
        rows = _delete_rows(conn, model)
        events.append(conn, "model.reset", at=at, model=model, actor=actor, data={"rows": rows})
    left = _leave_mlflow(ground, model, runs) if ground.tracked else []
    bundles = [hidden for digest in _owned(ground, model, digests) if (hidden := ground.bundles.hide(digest)) is not None]
    snapshots = _remove_snapshots(ground, model)
    home = ground.workspace.home
    for path in [*bundles, *logs, home / "mlartifacts" / model, *home.glob(f"reports/*/{model}"), ground.snapshots.folder / model]:
        _delete(path)
    return Cleared({"rows": rows, "runs": len(runs), "bundles": len(bundles), "snapshots": snapshots}, tuple(left))


def clear(ground: Ground, *, keys: bool = False) -> Cleared:
    """Remove all state of a workspace. The caller lets nothing run, and opens the store anew afterwards.

    Raises:
        TrackingUnavailable, StoreUnavailable: as ``forget``.
    """
    left, counts = [], {"rows": 0, "runs": 0, "bundles": 0}
    with ground.store.read() as conn:
        models = ground.models(conn)
        counts["rows"] = sum(
            conn.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables if table is not leases
        )
        digests = {slot.digest for model in models for item in deployments.history(conn, model) for slot in item.slots}
    outside = not ground.bundles.folder.is_relative_to(ground.workspace.home)
    for model in models if ground.tracked else []:
        runs = disposal.runs(ground.tracking, model)
        digests |= {one.digest for one in ground.tracking.versions(model)}
        counts["runs"] += len(runs)
        if ground.workspace.settings.tracking_url:
            left += _leave_mlflow(ground, model, runs)
    counts["bundles"] = len(digests)
    with ground.store.write() as conn:
        metadata.drop_all(conn)
    ground.store.close()
    if ground.workspace.settings.store_url:
        left.append(f"The database {ground.store.url} is still there; only Treadle's tables in it have gone.")
    if ground.bundles.shared:
        left.append(f"What other hosts may use stays in the shared place {ground.workspace.settings.remote_url}.")
    outside = outside and not ground.bundles.shared
    for path in [hidden for digest in digests if outside and (hidden := ground.bundles.hide(digest)) is not None]:
        _delete(path)
    home = ground.workspace.home
    for pattern in (*STATE, *(KEYS if keys else ())):
        for path in home.glob(pattern):
            _delete(path)
    left += [f"{path} stays." for path in sorted(home.glob("*"))]
    return Cleared(counts, tuple(left))


def _services(places: Iterable[Path]) -> Iterator[str]:
    for place in places:
        if _locked(place / "serve.lock"):
            yield f"the service in {place}: stop `treadle serve`, `treadle up` or the demo with Ctrl-C"


def _controllers(ground: Ground, now: float) -> Iterator[str]:
    with ground.store.read() as conn:
        holder = lease.holder(conn, LEASE, now=now)
    if holder is not None:
        yield f"the controller {holder}: stop `treadle loop` with Ctrl-C; a killed one is forgotten within a minute"


def _trainings(ground: Ground, now: float) -> Iterator[str]:
    with ground.store.read() as conn:
        models = ground.models(conn)
    for model in models if ground.tracked else []:
        for run in disposal.runs(ground.tracking, model):
            if disposal.goes_on(run, now=now, longest=LONGEST_TRAINING):
                yield f"a training of {model}, process {run.maker or 'unknown'}: wait for it, or stop it with Ctrl-C"


def _give_back(ground: Ground, held: Lease) -> None:
    """Give the lease back where there still is one: with a cleared store it has gone, and must not be made anew."""
    path = ground.workspace.home / "state.db"
    if ground.workspace.settings.store_url or path.exists():
        with suppress(StoreUnavailable):
            with ground.store.read() as conn:
                if not inspect(conn).has_table("leases"):
                    return
            lease.release(ground.store, held)


def _locked(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _ship(ground: Ground) -> None:
    """Bring what lies in the spool into the store: otherwise it would come back with the next service."""
    seconds = ground.workspace.settings.profile_seconds
    shipper = Shipper(ground.store, ground.workspace.spool_dir, ground.bundles, bucket_seconds=seconds)
    while shipper.step():
        pass


def _delete_rows(conn: Connection, model: str) -> int:
    """Delete a model's rows from every table that has some, but for the events, which only ever grow."""
    mine = [table for table in metadata.sorted_tables if "model" in table.c and table is not events_table]
    return sum(conn.execute(delete(table).where(table.c.model == model)).rowcount for table in mine)


def _leave_mlflow(ground: Ground, model: str, runs: list[disposal.RunFacts]) -> list[str]:
    """Take a model out of MLflow; return what stays there."""
    disposal.delete_model(ground.tracking, model)
    for run in runs:
        disposal.delete_run(ground.tracking, run.id)
    files = disposal.delete_files((place for run in runs for place in run.places), ground.artifacts)
    left = [f"The empty experiment {model} stays in MLflow, which could make no other one of its name."] if runs else []
    return left + [f"Files may still lie at {place}." for place in files]


def _owned(ground: Ground, model: str, named: set[str]) -> Iterator[str]:
    """Yield the bundles that the model's versions or roles name, and those whose manifest says that they are the model's."""
    for digest in ground.bundles.digests():
        with suppress(BundleCorrupt, BundleInvalid):
            if ground.bundles.listing(digest).model == model:
                yield digest
                continue
        if digest in named:
            yield digest


def _remove_snapshots(ground: Ground, model: str) -> int:
    found = ground.snapshots.list(model)
    if found:
        with ground.snapshots.writing():
            for one in found:
                ground.snapshots.remove(model, one.digest)
    return len(found)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
