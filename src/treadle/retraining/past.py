"""Read a model's past from the store and the bundles, for a replay of it under two policies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from treadle.bundle.place import BundlePlace
from treadle.engine.answer import label_index
from treadle.errors import BundleCorrupt, BundleNotFound, NotDeployed
from treadle.projects import CONTRACT_FILE, Project
from treadle.retraining.replay import Past, Played, Record, Reign, grid, play
from treadle.settings import Workspace
from treadle.spec import Policy, load_contract
from treadle.state import deployments, pruning, recorded, turns
from treadle.state.deployments import Deployment
from treadle.state.store import Store

MOST_TURNS = 10_000


@dataclass(frozen=True)
class Change:
    """A key of the policy that the new one sets otherwise."""

    key: str
    present: Any
    proposed: Any


@dataclass(frozen=True)
class Replay:
    """The past of a model under its present policy and under a proposed one, looked at every ``step`` seconds.

    Times are epoch seconds; ``notes`` say in sentences what was taken for granted and what could not be seen.
    """

    model: str
    since: float
    until: float
    step: float
    changes: tuple[Change, ...]
    present: Played
    proposed: Played
    notes: tuple[str, ...]


def replay_policy(  # noqa: PLR0913 - a past and a policy, by name
    workspace: Workspace, store: Store, project: Project, policy: Path, *, now: float, since: float, step: float
) -> Replay:
    """Replay the time from ``since`` to ``now`` under the policy as it is and with the file ``policy`` laid over it.

    Raises:
        ContractInvalid: the file is not a policy; each problem names its key.
        NotDeployed: the model never had a champion.
        LabelInvalid: a recorded label is no value of the target.
    """
    proposed = load_contract(project.folder / CONTRACT_FILE, workspace.settings.overlay, tried=policy)
    both = (project.contract, proposed)
    longest = max(max(one.policy.drift.window, one.policy.labels.maturity + one.policy.quality.window) for one in both)
    with store.read() as conn:
        record, gone = read_record(conn, BundlePlace.of(workspace), project, since=since - longest, until=now)
        first = pruning.oldest(conn, project.name)
    times = grid(record, since=since, now=now, step=step)
    enabled = workspace.settings.retraining
    present, new = (play(record, contract, times, enabled=enabled) for contract in both)
    notes = _notes(times[0], first, gone, enabled=enabled)
    differ = tuple(changes(project.contract.policy, proposed.policy))
    return Replay(project.name, times[0], now, step, differ, present, new, notes)


def read_record(conn: Connection, bundles: BundlePlace, project: Project, *, since: float, until: float) -> tuple[Record, list[int]]:
    """Return what is known of the time from ``since`` to ``until``, and the champions whose bundle is gone.

    Raises:
        NotDeployed: the model never had a champion.
    """
    history = deployments.history(conn, project.name)
    if not history:
        raise NotDeployed(project.name)
    pasts: dict[int, Past] = {}
    gone: list[int] = []
    for version, digest in dict.fromkeys((one.champion.version, one.champion.digest) for one in history if one.champion is not None):
        try:
            pasts[version] = _past(conn, bundles, project, (version, digest), since=since, until=until)
        except (BundleNotFound, BundleCorrupt):
            gone.append(version)
    answered, labelled = (recorded.answered_at(conn, project.name, labelled=only) for only in (False, True))
    record = Record(project.name, reigns(history), pasts, turns.recent(conn, project.name, MOST_TURNS), answered, labelled)
    return record, gone


def reigns(history: Sequence[Deployment]) -> list[Reign]:
    """Return which version was champion when, oldest first."""
    found: list[Reign] = []
    for item, until in [*((one, after.at) for one, after in pairwise(history)), (history[-1], math.inf)]:
        if item.champion is None:
            continue
        if found and found[-1].version == item.champion.version and found[-1].until == item.at:
            found[-1] = Reign(found[-1].version, found[-1].since, until)
        else:
            found.append(Reign(item.champion.version, item.at, until))
    return found


def changes(present: Policy, proposed: Policy) -> list[Change]:
    """Return the keys in which two policies differ."""
    before, after = (_flat(policy.model_dump(mode="json")) for policy in (present, proposed))
    return [
        Change(key, before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)
    ]


def _past(conn: Connection, bundles: BundlePlace, project: Project, version: tuple[int, str], *, since: float, until: float) -> Past:
    number, digest = version
    bundle = bundles.get(digest)
    interface = bundle.interface
    parts = recorded.read_parts(conn, project.name, number, bundle.profile.digest, since=since, until=until)
    answers = recorded.read_answers(conn, project.name, number, digest, n_scores=interface.score_count, since=since, until=until)
    return Past(bundle, parts, answers, label_index(interface, answers.value), interface.negative_index)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: inner for name, part in value.items() for key, inner in _flat(part, f"{path}.{name}" if path else str(name)).items()}
    return {path: value}


def _notes(begin: float, first: float | None, gone: Sequence[int], *, enabled: bool) -> tuple[str, ...]:
    said = [
        "The versions that served stay those of the record: what another turn would have made, nobody knows.",
        "A turn that opens ends as and when the record's next turn ended, or when the champion was replaced; otherwise it stays open.",
        "It begins with no episode and no turn open, and no pause is replayed.",
    ]
    if first is not None and first > begin:
        said.append("The log begins only after the replay: before its first rows nothing could alarm.")
    if gone:
        named = ", ".join(map(str, gone))
        said.append(f"The bundle of version {named} is no longer there (`treadle gc`): while it was champion nothing is seen.")
    if not enabled:
        said.append("Retraining is switched off by the setting retraining, so no turn opens under any policy.")
    return tuple(said)
