"""Drills about a bad challenger: it passes the real gate, and does harm only on live rows that carry a mark.

The challenger is the champion's own graph with a part more (see ``sabotage``). It is registered, gated and rolled out as any other;
the running loop starts its canary, watches it, and must take it out. Afterwards its version is removed from MLflow again.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import numpy as np

from treadle.bundle.place import MODEL_FILE, Bundle, BundlePlace
from treadle.data.frame import matrix
from treadle.data.snapshot import SnapshotPlace
from treadle.drills.marked import Marked
from treadle.drills.report import Plan, Seen
from treadle.drills.sabotage import Harm, Mark, mark_for, sabotaged
from treadle.drills.scene import Scene
from treadle.engine.encode import example, to_matrix
from treadle.engine.session import Engine, Graph
from treadle.errors import DrillImpossible, NoCanary, TurnClosed
from treadle.loop import Loop
from treadle.monitoring.canary import CanaryDecision
from treadle.registry import disposal, origin, promotion, runs
from treadle.registry.tracking import Registered, Tracking
from treadle.retraining.decide import DRILL
from treadle.simulation.traffic import Tally, Traffic
from treadle.spec import NumberFeature
from treadle.state import deployments, log, pauses, turns, verdicts
from treadle.state.turns import Turn

HARMFUL_SECONDS = 0.15
"""How long a marked row takes at least in a slow challenger; never less than half more than ``slo.latency`` allows."""

LONGEST_SECONDS = 3.0
POLL_SECONDS = 0.5

TRIED = 100
"""Rounds of a slow graph by which its speed is measured."""

LOGGED = 50_000
"""Newest logged rows that must not carry the mark: those of an earlier drill do."""

_LEFT = (
    "Nothing that can take a role: the version is removed from MLflow, its canary with it. Verdicts and events stay, as a record; "
    "the rows that were sent stay in the log; `treadle gc` clears the bundle away."
)

PLANS: dict[Harm, Plan] = {
    "slow": Plan(
        broken="A challenger that passes the gate, but is slow on some live rows, goes out as canary.",
        expected="At its first look or the next the loop finds it slower than the champion, takes it out, and the champion goes on.",
        watch=("treadle status", "treadle events {model} --follow", "treadle why {model}"),
        left=_LEFT,
    ),
    "failing": Plan(
        broken="A challenger that passes the gate, but fails on some live rows, goes out as canary.",
        expected="Callers get the champion's answer instead; at its first look or the next the loop counts the failures and takes it out.",
        watch=("treadle status", "treadle events {model} --follow", "treadle why {model}"),
        left=_LEFT,
    ),
}


def challenger(scene: Scene, harm: Harm) -> Seen:
    """Plant a harmful challenger, send it marked rows, and wait until the loop has judged it."""
    scene.require_service()
    scene.require_controller()
    _require_calm(scene)
    champion = BundlePlace.of(scene.workspace).get(scene.champion().digest)
    mark = find_mark(scene, champion)
    graph = harmful(champion, mark, harm, scene.project.contract.policy.slo.latency)
    world = Marked(scene.world(), mark, scene.project.contract.interface)
    with planted(scene, champion, graph, harm) as (registered, turn):
        passed = f"Version {registered.version} passed the gate, and the loop starts its canary."
        scene.tell(f"{passed} It does harm where {mark.feature} lies halfway between two steps of 1/{mark.scale:g}.")
        tally = asyncio.run(_watched(scene, world, turn))
        return _judged(scene, registered, turn, tally)


def find_mark(scene: Scene, champion: Bundle) -> Mark:
    """Return a mark that no row carries that the champion has learned from or answered lately.

    Raises:
        DrillImpossible: no feature can carry one.
    """
    interface, now = champion.interface, scene.clock()
    trained = matrix(interface, origin.rows(scene.workspace, champion))
    with scene.store.read() as conn:
        logged = log.recent_rows(conn, scene.model, version=scene.champion().version, since=0.0, until=now, limit=LOGGED).matrix
    known = np.concatenate([trained, logged]) if len(logged) else trained
    for column, feature in enumerate(interface.features):
        if isinstance(feature, NumberFeature) and feature.type == "number":
            mark = mark_for(feature.name, column, known[:, column])
            if mark is not None:
                return mark
    fix = "Try `treadle break drift`, or a model that has a feature of type number."
    raise DrillImpossible("no feature of the model is a number with fractions, by which harmful rows could be marked", fix)


def _require_calm(scene: Scene) -> None:
    """Refuse to disturb what goes on already.

    Raises:
        DrillImpossible: a turn is open, a canary runs, or the loop is paused.
    """
    with scene.store.read() as conn:
        turn, present = turns.current(conn, scene.model), deployments.require(conn, scene.model)
        paused = pauses.current(conn, scene.model)
    if turn is not None:
        raise DrillImpossible(
            f"a turn of {scene.model} is open, at the step {turn.step!r}", f"Wait for its end; `treadle why {scene.model}`."
        )
    if present.canary is not None:
        raise DrillImpossible(f"version {present.canary.version} runs as canary", f"`treadle rollback {scene.model}` ends it.")
    if paused is not None:
        raise DrillImpossible(f"the loop of {scene.model} is paused", f"`treadle resume {scene.model}` lets it go on.")


def harmful(champion: Bundle, mark: Mark, harm: Harm, promised: float) -> bytes:
    """Return the champion's graph with harm for marked rows; a slow one takes as long as it needs to be seen."""
    content, interface = champion.files[MODEL_FILE], champion.interface
    if harm == "failing":
        return sabotaged(content, mark, harm)
    wanted = min(LONGEST_SECONDS, max(HARMFUL_SECONDS, 1.5 * promised))
    engine = Engine(Graph("a slow challenger", sabotaged(content, mark, harm, TRIED), interface))
    row = to_matrix(interface, [example(interface)])
    row[:, mark.column] = 0.5 / mark.scale
    engine.run(row)
    began = time.perf_counter()
    engine.run(row)
    rounds = round(TRIED * wanted / max(time.perf_counter() - began, 1e-6))
    return sabotaged(content, mark, harm, max(TRIED, rounds))


@contextmanager
def planted(scene: Scene, champion: Bundle, graph: bytes, harm: Harm) -> Iterator[tuple[Registered, Turn]]:
    """Register a challenger, let the gate judge it, and open a turn for it; remove all of that at the end, whatever happens."""
    tracking = Tracking(scene.workspace)
    with runs.started(tracking, scene.model, name=f"drill: {harm}", turn_id=None) as run:
        lineage = msgspec.structs.replace(champion.manifest.lineage, run_id=run.id, turn_id=None)
        bundle = BundlePlace.of(scene.workspace).put({**champion.files, MODEL_FILE: graph}, scene.model, lineage)
        run.log(tags={"treadle.drill": harm})
        registered = run.register(bundle, None)
    turn: Turn | None = None
    try:
        verdict = Loop(scene.workspace, scene.store, clock=scene.clock).gate(scene.project, registered.version)
        if not verdict.passed:
            fix = f"`treadle gate {scene.model}` shows what the gate says of the champion's own version."
            raise DrillImpossible(f"the gate refuses a copy of the champion: {' '.join(verdict.reasons)}".rstrip("."), fix)
        turn = _open_turn(scene, champion, registered, verdict.id, harm)
        yield registered, turn
    finally:
        _remove(scene, registered, turn)
        disposal.delete_version(tracking, scene.model, registered.version)
        disposal.delete_run(tracking, run.id)


def _open_turn(scene: Scene, champion: Bundle, registered: Registered, verdict: str, harm: Harm) -> Turn:
    """Open a turn at the step before the canary, with all that its steps may ask for."""
    lineage = champion.manifest.lineage
    snapshots = SnapshotPlace.of(scene.workspace).list(scene.model)
    data = {
        DRILL: harm,
        "champion": scene.champion().version,
        "onset": scene.clock(),
        "version": registered.version,
        "digest": registered.digest,
        "cut": lineage.cut or 0.0,
        "snapshot": next((one.digest for one in snapshots if one.dvc_md5 == lineage.snapshot), ""),
        "rows": lineage.rows,
        "rehearsed": None,
        "verdict": verdict,
    }
    with scene.store.write() as conn:
        cause = f"A drill: version {registered.version} is {harm} on marked rows."
        return turns.open_turn(conn, scene.model, cause=cause, episode=None, step="consent", at=scene.clock(), data=data)


async def _watched(scene: Scene, world: Marked, turn: Turn) -> Tally:
    """Send traffic until the turn has ended or time is up; rows carry the mark from when the canary answers."""
    traffic: Traffic = scene.traffic(world, labels=False)
    stop = asyncio.Event()
    sending = asyncio.create_task(traffic.run(scene.seconds, stop=stop))
    while not sending.done() and not stop.is_set():
        await asyncio.sleep(POLL_SECONDS)
        with scene.store.read() as conn:
            open_turn, present = turns.current(conn, scene.model), deployments.require(conn, scene.model)
        if present.canary is not None and not world.on:
            scene.tell(
                f"Version {present.canary.version} answers {present.canary.weight:.0%} of the traffic as canary; now every row does harm."
            )
            world.on = True
        if open_turn is None or open_turn.id != turn.id:
            stop.set()
    return await sending


def _judged(scene: Scene, registered: Registered, turn: Turn, tally: Tally) -> Seen:
    """Return what became of the challenger."""
    with scene.store.read() as conn:
        ended = next(one for one in turns.recent(conn, scene.model) if one.id == turn.id)
        seen = verdicts.latest(conn, scene.model, registered.version, "canary")
        champion = deployments.require(conn, scene.model).champion
    sent = f"{tally.rows} rows were sent; {tally.failed} of {tally.requests} requests failed."
    if ended.outcome is None:
        rollout = scene.project.contract.policy.rollout
        where = f"After {scene.seconds:.0f} s the turn still stands at the step {ended.step!r}; the drill ends it."
        more = f"The first look comes after {rollout.rows // rollout.looks} rows of the canary (rollout.rows, rollout.looks)"
        return Seen(held=False, sentences=(sent, where, f"{more}: give it more time with --seconds."))
    verdict = " ".join(seen.reasons) if seen else (ended.reason or "")
    stays = f"Version {champion.version if champion else '?'} is champion, as before."
    held = ended.outcome == "aborted" and champion is not None and champion.version == turn.data["champion"]
    return Seen(held, (sent, f"The turn ended as {ended.outcome!r}. {verdict}", stays))


def _remove(scene: Scene, registered: Registered, turn: Turn | None) -> None:
    """End what still goes on: the turn, and the canary."""
    ended = CanaryDecision("abort", None, ("The drill is over.",), 0)
    with scene.store.read() as conn:
        canary = deployments.require(conn, scene.model).canary
    if turn is not None:
        with suppress(TurnClosed), scene.store.write() as conn:
            turns.close(conn, turn, outcome="drill over", reason="The drill is over.", at=scene.clock())
    if canary is not None and canary.digest == registered.digest:
        with suppress(NoCanary):
            promotion.abort_canary(scene.store, scene.project, ended, at=scene.clock())
