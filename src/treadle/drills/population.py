"""Drills about whom the model meets: the world changes, or nobody tells what was true."""

from treadle.drills.report import Plan, Seen
from treadle.drills.scene import Scene
from treadle.state import episodes

DRIFT = Plan(
    broken="The world of the model changes: rows are drawn from after the shift, and their labels follow two seconds later.",
    expected="Drift alarms once enough rows of the window have come (drift.min_rows), an episode opens, and a turn of the loop begins.",
    watch=("treadle status", "treadle drift {model}", "treadle why {model}"),
    left="The rows stay in the log like any others; the episode closes when the world is as before, or a new champion takes over.",
)

NO_LABELS = Plan(
    broken="Nobody tells what was true: ordinary rows are sent, and no label follows.",
    expected="Predictions go on; quality says that it has too few labelled rows to judge, and no quality alarm is invented.",
    watch=("treadle status", "treadle drift {model}"),
    left="The rows stay in the log without labels; when they are as old as labels.maturity they count as labels.missing says.",
)


def drift(scene: Scene) -> Seen:
    """Send rows from after the shift, with labels."""
    scene.require_service()
    traffic = scene.traffic(scene.world())
    traffic.shifted = True
    tally = scene.send(traffic)
    found = scene.observe()
    with scene.store.read() as conn:
        opened = [one for one in episodes.open_ones(conn, scene.model) if one.signal in {"drift", "prediction"}]
    told = [
        f"{tally.rows} rows were sent, {tally.failed} requests failed, {tally.labels} labels were told.",
        *found.drift.reasons,
        *found.drift.prediction_reasons,
    ]
    if opened:
        told.append(f"An episode of {opened[0].signal} is open; the loop acts on it as the policy says.")
    elif scene.controller() is None:
        told.append("No controller runs, so nobody opens an episode: `treadle loop` starts one.")
    else:
        told.append("The controller has opened no episode yet: it looks once a round (controller_seconds).")
    return Seen(found.drift.drifted or bool(opened), tuple(told))


def no_labels(scene: Scene) -> Seen:
    """Send ordinary rows, and no labels."""
    scene.require_service()
    with scene.store.read() as conn:
        before = {one.id for one in episodes.open_ones(conn, scene.model) if one.signal == "quality"}
    tally = scene.send(scene.traffic(scene.world(), labels=False), labels=False)
    found = scene.observe()
    with scene.store.read() as conn:
        invented = [one for one in episodes.open_ones(conn, scene.model) if one.signal == "quality" and one.id not in before]
    told = [
        f"{tally.rows} rows were sent, {tally.failed} requests failed, no label was told.",
        *found.quality.reasons,
        "A quality alarm was opened." if invented else "No quality alarm was opened.",
    ]
    return Seen(not invented and not tally.failed, tuple(told))
