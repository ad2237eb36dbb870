"""`treadle gc` as one piece of work: look at everything, decide, sweep."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from treadle.errors import TrackingUnavailable
from treadle.projects import find
from treadle.retention.inventory import Ground, merged, read, read_log, read_rest
from treadle.retention.plan import Plan, plan
from treadle.retention.sweep import Sweep, Swept
from treadle.retention.things import Inventory
from treadle.spec import Policy
from treadle.telling import Tell, nobody

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Collected:
    """What was decided, and what became of it; ``swept`` is None after a dry run."""

    plan: Plan
    swept: Swept | None


def collect(  # noqa: PLR0913 - what one collection can be told
    ground: Ground,
    *,
    model: str | None = None,
    dry_run: bool = False,
    vacuum: bool = False,
    downloads: bool = False,
    clock: Callable[[], float] = time.time,
    rest: Callable[[float], None] = time.sleep,
    tell: Tell = nobody,
) -> Collected:
    """Remove what the policies do not keep and nothing needs; of one ``model``, or of the whole workspace. It waits for a backup.

    Raises:
        ProjectNotFound, ContractInvalid: ``model`` has no contract that says what may go.
        StoreUnavailable: the store is away.
    """
    if model is not None:
        find(ground.workspace, model)
    now = clock()
    decided, policies = decide(ground, model, now=now, downloads=downloads)
    if dry_run:
        return Collected(decided, None)
    with uncollected(ground.workspace.home):
        swept = Sweep(ground, policies, clock=clock, rest=rest, tell=tell).run(decided)
    if vacuum:
        ground.store.compact()
    return Collected(decided, swept)


@contextmanager
def uncollected(home: Path) -> Iterator[None]:
    """Let no other process take anything away from a workspace by a collection as long as the block runs."""
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "gc.lock"):
        yield


def decide(ground: Ground, model: str | None, *, now: float, downloads: bool = False) -> tuple[Plan, Mapping[str, Policy]]:
    """Return what goes and what stays, and the policies by which that was decided."""
    with ground.store.read() as conn:
        try:
            models = [model] if model is not None else ground.models(conn)
        except TrackingUnavailable:
            models = ground.models_logged(conn)  # what MLflow knows is told as missing below
        policies = ground.policies(models)
        parts = [read(ground, conn, models=models, policies=policies, now=now)]
        parts += [read_log(conn, one, policy, now=now) for one, policy in policies.items()]
        rest = read_rest(ground, conn, policies)
    whole = merged([*parts, rest if model is None else Inventory((), total=rest.total, rooms=rest.rooms)])
    # A cap is of the whole home folder: one model alone is not to pay for the others.
    cap = int(ground.workspace.settings.cap_gb * GIGABYTE) if model is None else 0
    retention = {name: policy.retention for name, policy in policies.items()}
    return plan(whole, retention, now=now, cap=cap, downloads=downloads), policies
