"""Whether a version may take a role, as the store has it: by its verdict, and by what people have said.

It reads the store alone: whoever only asks, or says yes or no, waits neither for MLflow nor for a graph to be loaded.
"""

from sqlalchemy import Connection

from treadle.errors import ConsentMissing, NotPermitted, RollbackRefused, VersionNotFound
from treadle.identity import same
from treadle.projects import Project
from treadle.registry import consent, permission
from treadle.state import consents, deployments, events, verdicts
from treadle.state.consents import Consent
from treadle.state.deployments import Deployment
from treadle.state.verdicts import Verdict


def require_there(conn: Connection, model: str, version: int | None, verdict: Verdict | None) -> None:
    """Refuse a version that the record tells nothing of, or of which it tells that it was removed.

    MLflow, where versions are kept, is not asked: it would take longer to load than all the rest.

    Raises:
        VersionNotFound: there is no such version, or (``version`` None) none at all.
    """
    told = [
        event for kind in ("version.registered", "gc.removed", "model.reset") for event in events.newest(conn, None, model=model, kind=kind)
    ]
    there: dict[int, bool] = {}
    for event in sorted(told, key=lambda event: event.seq):
        if event.kind == "version.registered":
            there[event.data["version"]] = True
        elif event.kind == "model.reset":
            there.clear()
        elif event.data["what"] == "version":
            there |= dict.fromkeys(map(int, event.data["names"]), False)
    number = version if verdict is None else verdict.version
    missing = not any(there.values()) if number is None else not there.get(number, verdict is not None)
    if missing:
        raise VersionNotFound(model, number, [one for one, still in there.items() if still])


def objection(
    conn: Connection, project: Project, version: tuple[int, str], verdict: Verdict, *, newest: bool = True
) -> tuple[Deployment | None, str | None]:
    """Return the present deployment, and why ``verdict`` does not let a version (number, digest) take a role in it; None if it does.

    ``newest``: it must be the gate's last word on the version. A canary that runs keeps the verdict that it has started under.
    """
    number, digest = version
    present, recorded = deployments.current(conn, project.name), verdicts.get(conn, verdict.id)
    sentence = permission.objection(recorded, (project.name, number, digest), project.contract.policy, present)
    if sentence is None and newest:
        sentence = permission.outdated(verdict, verdicts.latest(conn, project.name, number, "gate"))
    return present, sentence


def standing(conn: Connection, project: Project, verdict: Verdict, *, now: float) -> consent.Standing:
    """Return how ``verdict`` stands with the people whom the policy asks."""
    said = consents.about(conn, project.name, verdict.digest)
    return consent.standing(verdict, said, project.contract.policy.approval, now=now)


def refused_by(conn: Connection, verdict: Verdict, name: str) -> bool:
    """Tell whether ``name`` has refused the bundle of ``verdict`` and has not approved it since."""
    return any(same(one.actor, name) for one in _refusals(conn, verdict.model, verdict.digest))


def require_permitted(
    conn: Connection, project: Project, version: tuple[int, str], verdict: Verdict, *, newest: bool = True
) -> Deployment | None:
    """Return the present deployment if ``verdict`` lets a version take a role in it.

    Raises:
        NotPermitted: it does not.
    """
    present, sentence = objection(conn, project, version, verdict, newest=newest)
    if sentence is not None:
        raise NotPermitted(project.name, version[0], sentence)
    return present


def require_agreed(conn: Connection, project: Project, verdict: Verdict, now: float) -> None:
    """Make sure that people agree, as far as the policy asks.

    Raises:
        ConsentMissing: they do not.
    """
    found = standing(conn, project, verdict, now=now)
    if not found.given:
        raise ConsentMissing(project.name, verdict.version, found.sentence, found.next, refused=bool(found.refusals))


def require_unrefused(conn: Connection, back: Deployment) -> None:
    """Refuse a generation that comes back with a champion which a person has refused.

    Raises:
        RollbackRefused: somebody has, and has not approved it since.
    """
    if back.champion is None:
        return
    refusals = _refusals(conn, back.model, back.champion.digest)
    if not refusals:
        return
    older = [(item.generation, item.champion.digest) for item in deployments.history(conn, back.model)[:-2] if item.champion is not None]
    free = [number for number, digest in older if not _refusals(conn, back.model, digest)]
    raise RollbackRefused(back.model, back.champion.version, consent.told(refusals), free)


def _refusals(conn: Connection, model: str, digest: str) -> tuple[Consent, ...]:
    return consent.refusals(consents.about(conn, model, digest), digest)
