"""What there is: the store, the folders and MLflow, read into things that name each other. Nothing is changed here."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import Snapshot, SnapshotPlace
from treadle.errors import BundleCorrupt, BundleInvalid, TrackingUnavailable, TreadleError
from treadle.projects import find
from treadle.registry import disposal
from treadle.registry.disposal import RunFacts
from treadle.registry.tracking import Registered, Tracking
from treadle.retention.references import Standing, holds, needs, read_standing
from treadle.retention.things import Hold, Inventory, Key, Need, Thing
from treadle.settings import Workspace
from treadle.spec import Policy
from treadle.state import deployments, pruning, turns
from treadle.state.store import Store

SLICES = 20
"""Stretches into which the log between its age limit and what is needed is cut, for a full disk to take the oldest first."""

LONGEST_TRAINING = 86400.0
"""Seconds after which a run of another machine that says RUNNING is taken for abandoned."""


class Ground:
    """The places of a workspace, and the policy of each model in it."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self.workspace = workspace
        self.store = store
        self.bundles = BundlePlace.of(workspace)
        self.snapshots = SnapshotPlace.of(workspace)
        self.tracking = Tracking(workspace)
        self.artifacts = workspace.home / "mlartifacts"

    def models(self, conn: Connection) -> list[str]:
        """Return every model of which there is anything, sorted.

        Raises:
            TrackingUnavailable: MLflow cannot be reached.
        """
        known = set(self.models_logged(conn))
        if self.tracked:
            known |= set(disposal.experiments(self.tracking)) & set(self._projects())
        return sorted(known)

    def models_logged(self, conn: Connection) -> list[str]:
        """Return the models of which the store or the snapshots hold anything, sorted."""
        folders = [path.name for path in self.snapshots.folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
        return sorted({*deployments.generations(conn), *pruning.models(conn), *folders})

    @property
    def tracked(self) -> bool:
        """Whether there is an MLflow to ask: one of our own is made only by the first training."""
        return bool(self.workspace.settings.tracking_url) or (self.workspace.home / "mlflow.db").exists()

    def policies(self, models: Iterable[str]) -> dict[str, Policy]:
        """Return the policy of each model whose contract can be read."""
        found = {}
        for model in models:
            try:
                found[model] = find(self.workspace, model).contract.policy
            except TreadleError:
                continue
        return found

    def _projects(self) -> list[str]:
        return [path.name for path in self.workspace.projects_dir.glob("*") if path.is_dir()]


@dataclass(frozen=True)
class _Model:
    """What MLflow, the snapshots and the state know of one model."""

    name: str
    standing: Standing
    policy: Policy | None
    versions: list[Registered]
    runs: list[RunFacts]
    snapshots: list[Snapshot]


def read(ground: Ground, conn: Connection, *, models: Iterable[str], policies: Mapping[str, Policy], now: float) -> Inventory:
    """Return what there is of ``models`` in MLflow, among the bundles and among the snapshots, and what the state holds of it.

    Where MLflow cannot be reached nobody knows what it names: then all of that is left out.
    """
    try:
        known = [_model(ground, conn, model, policies.get(model)) for model in models]
    except TrackingUnavailable as error:
        return Inventory((), missing=(f"{error.what} So no version, run, bundle or snapshot is looked at.",))
    things = [thing for model in known for thing in _things(ground, model)]
    things += _bundles(ground, known)
    found = [*(hold for model in known for hold in _holds(model, now)), *_shared(ground, things)]
    return Inventory(tuple(things), tuple(found), tuple(need for model in known for need in _needs(model, now)))


def read_log(conn: Connection, model: str, policy: Policy, *, now: float) -> Inventory:
    """Return the log of a model, cut where its age limit lies and on to where something needs it."""
    found = tuple(needs(read_standing(conn, model), policy, now))
    first, needed = pruning.oldest(conn, model), min(need.since for need in found)
    if first is None:
        return Inventory(())
    limit = min(now - policy.retention.log, needed)
    edges = [first, *([limit] if first < limit else []), *_between(max(first, limit), needed)]
    size = pruning.row_bytes(conn, model)
    things = []
    for begin, end in pairwise(edges):
        rows = pruning.count(conn, model, since=begin, until=end)
        taken = rows.predictions * size.predictions + rows.labels * size.labels + rows.parts * size.parts
        if rows.rows:
            things.append(Thing(Key("log", model, repr(end)), taken, end, count=rows.rows))
    return Inventory(tuple(things), needs=found)


def read_rest(ground: Ground, conn: Connection, policies: Mapping[str, Policy]) -> Inventory:
    """Return what belongs to no version: logs of trainings, downloads, what killed processes have left; and the size of it all."""
    home, things = ground.workspace.home, []
    of_turn = turns.models(conn)
    for path in sorted((home / "logs").glob("train-*.log")):
        turn = path.stem.removeprefix("train-")
        model = of_turn.get(turn, "")
        key = Key("training log", model, turn) if model in policies else Key("leftover", "", str(path))
        things.append(Thing(key, _size(path), _made(path)))
    killed = [*ground.bundles.leftovers(), *ground.snapshots.leftovers()]
    left = [*killed, *(home / "spool").glob("*.new"), *(home / "downloads").glob("fresh-*")]
    things += [Thing(Key("leftover", "", str(path)), _size(path), _made(path)) for path in left]
    kept = [path for path in sorted((home / "downloads").glob("*")) if not path.name.startswith("fresh-")]
    things += [Thing(Key("download", "", str(path)), _size(path), _made(path)) for path in kept]
    rooms = _rooms(ground)
    return Inventory(tuple(things), total=sum(rooms.values()), rooms=rooms)


def merged(parts: Iterable[Inventory]) -> Inventory:
    """Return several inventories as one."""
    known = list(parts)
    return Inventory(
        tuple(thing for part in known for thing in part.things),
        tuple(hold for part in known for hold in part.holds),
        tuple(need for part in known for need in part.needs),
        sum(part.total for part in known),
        {name: size for part in known for name, size in part.rooms.items()},
        tuple(dict.fromkeys(sentence for part in known for sentence in part.missing)),
    )


def _between(begin: float, end: float) -> list[float]:
    """Return the inner edges and the end of the stretches between two times; none where nothing lies between them."""
    width = (end - begin) / SLICES
    return [begin + width * place for place in range(1, SLICES)] + [end] if width > 0 else []


def _model(ground: Ground, conn: Connection, model: str, policy: Policy | None) -> _Model:
    tracked = ground.tracked
    versions = ground.tracking.versions(model) if tracked else []
    runs = disposal.runs(ground.tracking, model) if tracked else []
    return _Model(model, read_standing(conn, model), policy, versions, runs, ground.snapshots.list(model))


def _things(ground: Ground, model: _Model) -> Iterator[Thing]:
    for version in model.versions:
        refers = {Key("bundle", model.name, version.digest), Key("run", model.name, version.run_id)}
        # A bundle is sealed right before its version is registered; the run may have begun long before that.
        sealed = ground.bundles.made(version.digest)
        yield Thing(Key("version", model.name, str(version.version)), 0, sealed, frozenset(refers))
    for run in model.runs:
        yield Thing(Key("run", model.name, run.id), sum(_size_at(place) for place in run.places), run.began)
    for one in model.snapshots:
        dvc_file = one.path.with_name(f"{one.path.name}.dvc")
        cached = ground.snapshots.folder / ".dvc" / "cache" / "files" / "md5" / one.dvc_md5[:2] / one.dvc_md5[2:]
        yield Thing(Key("snapshot", model.name, one.digest), _size(one.path, cached), _made(dvc_file))
    yield from (Thing(Key("leftover", model.name, str(path)), _size(path), _made(path)) for path in _orphans(ground, model))


def _orphans(ground: Ground, model: _Model) -> list[Path]:
    """Return the folders of artefacts whose run MLflow no longer shows."""
    return disposal.orphans(ground.artifacts / model.name, model.runs) if ground.tracked else []


def _bundles(ground: Ground, models: Iterable[_Model]) -> Iterator[Thing]:
    """Yield the bundles of these models, each with the run and the snapshot that its lineage names."""
    known = {model.name: model for model in models}
    for digest in ground.bundles.digests():
        path = ground.bundles.folder / digest
        try:
            manifest = ground.bundles.listing(digest)
        except (BundleCorrupt, BundleInvalid):
            continue  # Nobody can tell whose it is.
        model = known.get(manifest.model)
        if model is None:
            continue
        names = {one.dvc_md5: one.digest for one in model.snapshots}
        refers = {Key("run", model.name, manifest.lineage.run_id)}
        if manifest.lineage.snapshot in names:
            refers |= {Key("snapshot", model.name, names[manifest.lineage.snapshot])}
        yield Thing(Key("bundle", model.name, digest), _size(path), ground.bundles.made(digest), frozenset(refers))


def _holds(model: _Model, now: float) -> Iterator[Hold]:
    """Yield what the state holds of a model, and what a training that runs may need: nobody knows which rows it has taken."""
    if model.policy is not None:
        yield from holds(model.standing, model.policy.retention.generations)
    longest = max(LONGEST_TRAINING, model.policy.retrain.time_limit if model.policy else 0.0)
    for run in model.runs:
        if disposal.goes_on(run, now=now, longest=longest):
            by = "a training runs"
            yield Hold(Key("run", model.name, run.id), by)
            yield from (Hold(Key("snapshot", model.name, one.digest), by) for one in model.snapshots)
    turn = model.standing.turn
    for one in model.snapshots:
        if turn is not None and one.meta.get("turn") == turn.id:
            yield Hold(Key("snapshot", model.name, one.digest), f"a turn is open, at the step {turn.step!r}")


def _shared(ground: Ground, things: Iterable[Thing]) -> Iterator[Hold]:
    """Yield the bundles that MLflow does not name, and that another workspace may: their place is not this workspace's alone."""
    inside = ground.bundles.folder.is_relative_to(ground.workspace.home)
    shared = ground.bundles.digests_shared()
    if inside and not shared:
        return
    known = list(things)
    named = {key for thing in known if thing.key.kind == "version" for key in thing.refers}
    where = "lies outside this one's home" if not inside else "is a cache of a place that hosts share"
    for thing in known:
        if thing.key.kind == "bundle" and thing.key not in named and (not inside or thing.key.name in shared):
            yield Hold(thing.key, f"another workspace may use the folder of bundles, which {where}")


def _needs(model: _Model, now: float) -> Iterator[Need]:
    if model.policy is not None:
        yield from needs(model.standing, model.policy, now)


def _rooms(ground: Ground) -> dict[str, int]:
    """Return how many bytes lie where in the home folder; the database counts with what it holds, not with its free pages."""
    home = ground.workspace.home
    places = {
        "log and record (state.db)": [*home.glob("state.db*")],
        "bundles": [home / "bundles"],
        "snapshots (data)": [home / "data"],
        "MLflow": [*home.glob("mlflow.db*"), home / "mlartifacts"],
        "unshipped log (spool)": [home / "spool"],
        "logs": [home / "logs"],
        "downloads": [home / "downloads"],
    }
    sizes = {name: _size(*paths) for name, paths in places.items()}
    sizes["other"] = _size(home) - sum(sizes.values())
    used = ground.store.used_bytes()
    if not ground.workspace.settings.store_url and used:
        sizes["log and record (state.db)"] = used
    return sizes


def _size_at(place: str) -> int:
    folder = disposal.local(place)
    return _size(folder) if folder is not None else 0


def _size(*paths: Path) -> int:
    """Return how many bytes these files and folders take up; a file with two names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in paths:
        for folder, _, names in os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]:
            for name in names:
                try:
                    status = Path(folder, name).lstat()
                except OSError:
                    continue  # It has gone meanwhile.
                seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())


def _made(path: Path) -> float:
    """Return when a file or folder was last changed; the past where it has gone meanwhile."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
