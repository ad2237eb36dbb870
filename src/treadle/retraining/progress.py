"""How far an open turn is, in a sentence and two numbers."""

from dataclasses import dataclass

from sqlalchemy import Connection

from treadle.projects import Project
from treadle.registry import admission
from treadle.state import deployments, log, verdicts
from treadle.state.turns import Turn


@dataclass(frozen=True)
class Progress:
    """What a turn is doing; ``done`` of ``total`` rows where the step counts rows, else 0 of 0."""

    text: str
    done: int = 0
    total: int = 0


def progress(conn: Connection, project: Project, turn: Turn, *, now: float) -> Progress:
    """Return how far ``turn`` is at its present step."""
    if turn.step in ("judge", "consent") and (deployment := deployments.current(conn, project.name)) is not None and deployment.arms:
        version = turn.data["version"]
        return Progress(f"Version {version} waits until the A/B test has ended: `treadle ab report {project.name}` says how it stands.")
    policy = project.contract.policy
    ripe, missing = now - policy.labels.maturity, policy.labels.missing
    if turn.step == "collect":
        done, total = log.count_labelled(conn, project.name, since=turn.data["onset"], until=ripe, missing=missing), policy.retrain.min_rows
        return Progress(f"Collecting labelled rows to train on: {min(done, total)} of {total}.", done, total)
    if turn.step == "train":
        return Progress(f"Training a challenger on {turn.data['rows']} logged rows.")
    if turn.step == "judge":
        done, total = log.count_labelled(conn, project.name, since=turn.data["cut"], until=ripe, missing=missing), policy.retrain.judge_rows
        return Progress(f"Collecting later rows to judge version {turn.data['version']} on: {min(done, total)} of {total}.", done, total)
    if turn.step == "consent":
        return _asked(conn, project, turn, now)
    version, total = turn.data["version"], policy.rollout.rows
    done = log.canary_counts(conn, project.name, since=turn.data["canary_at"])[version].rows
    return Progress(
        f"Version {version} answers {policy.rollout.weight:.0%} of the traffic as canary: {min(done, total)} of {total} rows.", done, total
    )


def _asked(conn: Connection, project: Project, turn: Turn, now: float) -> Progress:
    """Say who has agreed to the challenger, and how many must."""
    passed = f"Version {turn.data['version']} has passed the gate and waits for consent."
    verdict = verdicts.latest(conn, project.name, turn.data["version"], "gate")
    if verdict is None:
        return Progress(passed)
    found = admission.standing(conn, project, verdict, now=now)
    done = min(len(found.approvals), found.people)
    following = "" if found.given or found.refusals else f" Next: {found.next}."
    return Progress(f"{passed} {found.sentence}{following}", done, found.people)
