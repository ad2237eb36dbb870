"""Carry a plan out, so that a kill at any moment leaves nothing that names what is gone.

What names goes first, and goes out of sight in one step: a version leaves MLflow and its bundle's folder gets another name,
both under the store's write lock, where what holds them is read again. Only then are bytes deleted. What a kill leaves
behind is nobody's any more, and the next sweep takes it.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from treadle.registry import disposal
from treadle.retention.inventory import Ground, read
from treadle.retention.plan import Plan, Removal, plan
from treadle.retention.references import needs, read_standing
from treadle.retention.things import SWEPT, Key, Kind
from treadle.spec import Policy
from treadle.state import events, pruning
from treadle.state.pruning import Pruned
from treadle.telling import Tell, nobody

BITE = 1000
"""Predictions that one transaction deletes: the shipper waits for it."""

ROUND = 10
"""Versions, runs, bundles and snapshots that are taken out of sight under one hold of the write lock."""

NAMED = 20
"""How many names an event lists."""

NAMING: frozenset[Kind] = frozenset({"version", "run", "bundle", "snapshot"})


@dataclass
class Swept:
    """What has gone: things and bytes by kind; ``spared`` are those that something has come to need since the plan."""

    counts: dict[Kind, int] = field(default_factory=dict)
    freed: int = 0
    spared: list[Key] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, kind: Kind, count: int, size: int) -> None:
        """Note that so much has gone."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.freed += size


class Sweep:
    """One sweep over a workspace. ``rest`` is called with the seconds that the last bite took, to let others write."""

    def __init__(
        self,
        ground: Ground,
        policies: Mapping[str, Policy],
        *,
        clock: Callable[[], float] = time.time,
        rest: Callable[[float], None] = time.sleep,
        tell: Tell = nobody,
    ) -> None:
        self._ground = ground
        self._policies = policies
        self._clock = clock
        self._rest = rest
        self._tell = tell
        self._swept = Swept()
        self._doomed: frozenset[Key] = frozenset()

    def run(self, decided: Plan) -> Swept:
        """Remove what was decided and still may go."""
        self._doomed = frozenset(one.thing.key for one in decided.removals)
        for model in dict.fromkeys(one.thing.key.model for one in decided.removals if one.thing.key.kind == "log"):
            self._forget(model, [one for one in decided.removals if one.thing.key.kind == "log" and one.thing.key.model == model])
        self._delete_plain([one for one in decided.removals if one.thing.key.kind not in {*NAMING, "log", "download"}])
        naming = [one for one in decided.removals if one.thing.key.kind in NAMING]
        for model in dict.fromkeys(one.thing.key.model for one in naming):
            mine = [one for one in naming if one.thing.key.model == model]
            for begin in range(0, len(mine), ROUND):
                self._unname(model, mine[begin : begin + ROUND])
        self._delete_plain([one for one in decided.removals if one.thing.key.kind == "download"])
        return self._swept

    # the log

    def _forget(self, model: str, removals: Sequence[Removal]) -> None:
        """Delete a model's rows up to the last stretch that goes, a bite at a time."""
        wanted, gone, size = max(one.thing.at for one in removals), Pruned(), sum(one.thing.size for one in removals)
        while True:
            began = time.monotonic()
            with self._ground.store.write() as conn:
                until = min([wanted, *(need.since for need in needs(read_standing(conn, model), self._policies[model], self._clock()))])
                taken = pruning.bite(conn, model, until=until, limit=BITE)
                gone += taken
                if not taken.rows and gone.rows:
                    told = {"predictions": gone.predictions, "labels": gone.labels, "parts": gone.parts, "until": until}
                    self._record(conn, "log", model, count=gone.rows, bytes=size, reason=removals[0].reason, **told)
            if not taken.rows:
                break
            self._rest(time.monotonic() - began)
        self._swept.add("log", gone.rows, size if gone.rows else 0)

    # what names, and is named

    def _unname(self, model: str, removals: Sequence[Removal]) -> None:
        """Take some things of a model out of sight under the lock, where what holds them is looked at again; then delete their bytes."""
        with self._ground.snapshots.writing(), self._ground.store.write() as conn:
            events.lock(conn)
            free = self._still_free(conn, model)
            going = [one for one in removals if one.thing.key in free]
            self._swept.spared += [one.thing.key for one in removals if one.thing.key not in free]
            places = self._places(model, going)
            hidden = [self._out_of_sight(one.thing.key) for one in going]
            self._record_each(conn, going)
        self._delete_files(path for path in hidden if path is not None)
        self._swept.left += disposal.delete_files(places, self._ground.artifacts)

    def _places(self, model: str, going: Iterable[Removal]) -> list[str]:
        """Return where the files of the runs lie that go."""
        names = {one.thing.key.name for one in going if one.thing.key.kind == "run"}
        known = disposal.runs(self._ground.tracking, model) if names else []
        return [place for run in known if run.id in names for place in run.places]

    def _still_free(self, conn: Connection, model: str) -> set[Key]:
        """Return what may go by the state as it is now: nothing holds it, and nothing that stays names it."""
        now = self._clock()
        inventory = read(self._ground, conn, models=[model], policies=self._policies, now=now)
        present = plan(inventory, {model: self._policies[model].retention}, now=now)
        free = {one.thing.key for one in present.removals} | {one.thing.key for one in present.kept if not one.held}
        staying = [thing for thing in inventory.things if thing.key not in self._doomed]
        return free - {named for thing in staying for named in thing.refers}

    def _out_of_sight(self, key: Key) -> Path | None:
        """Take one thing away from whoever could ask for it; return the folder that is left to delete, if there is one."""
        match key.kind:
            case "version":
                disposal.delete_version(self._ground.tracking, key.model, int(key.name))
            case "run":
                disposal.delete_run(self._ground.tracking, key.name)
            case "bundle":
                return self._ground.bundles.hide(key.name)
            case "snapshot":
                self._ground.snapshots.remove(key.model, key.name)
        return None

    # files that nothing names

    def _delete_plain(self, removals: Sequence[Removal]) -> None:
        if not removals:
            return
        self._delete_files(self._path(one.thing.key) for one in removals)
        with self._ground.store.write() as conn:
            self._record_each(conn, removals)

    def _path(self, key: Key) -> Path:
        return self._ground.workspace.home / "logs" / f"train-{key.name}.log" if key.kind == "training log" else Path(key.name)

    def _delete_files(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if path.exists():
                self._swept.left.append(str(path))

    # what is told

    def _record_each(self, conn: Connection, removals: Sequence[Removal]) -> None:
        """Record one event per kind and model."""
        groups: dict[tuple[Kind, str], list[Removal]] = {}
        for one in removals:
            groups.setdefault((one.thing.key.kind, one.thing.key.model), []).append(one)
        for (kind, model), group in sorted(groups.items(), key=lambda item: SWEPT.index(item[0][0])):
            size = sum(one.thing.size for one in group)
            names = [one.thing.key.name for one in group][:NAMED]
            self._record(conn, kind, model, count=len(group), bytes=size, reason=group[0].reason, names=names)
            self._swept.add(kind, len(group), size)

    def _record(self, conn: Connection, kind: Kind, model: str, **facts: object) -> None:
        events.append(conn, "gc.removed", at=self._clock(), model=model or None, data={"what": kind, **facts})
        self._tell("gc.removed", model=model or None, what=kind, **facts)
