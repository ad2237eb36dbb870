"""Whether a verdict lets a version take a role. Pure: the verdict as it stands in the record, and what is true now."""

from treadle.spec import Policy
from treadle.state.deployments import Deployment
from treadle.state.verdicts import Verdict


def objection(verdict: Verdict | None, version: tuple[str, int, str], policy: Policy, present: Deployment | None) -> str | None:
    """Return the sentence why ``verdict`` does not permit a role, whatever people say; None if it does.

    Args:
        verdict: what the record holds, None if nothing.
        version: model, number and bundle digest of the version that is to get a role.
        policy: the policy as it is now.
        present: the deployment as it is now; its champion must be the one that the version was compared with.
    """
    if verdict is None:
        return "the verdict is not in the record."
    judged = (verdict.model, verdict.version, verdict.digest)
    champion = present.champion.digest if present and present.champion else None
    objections = (
        (judged != version, f"the verdict is about {_named(judged)}, not about {_named(version)}."),
        (champion == version[2], "it is the champion already."),
        (verdict.kind != "gate", f"the verdict is the {verdict.kind}'s, not the gate's."),
        (not verdict.passed, f"the gate refused it. {' '.join(verdict.reasons)}"),
        (verdict.policy_digest != policy.digest, "the policy has changed since the verdict."),
        (verdict.evidence.get("champion") != champion, "the champion has changed since the verdict."),
    )
    return next((sentence for holds, sentence in objections if holds), None)


def outdated(verdict: Verdict, newest: Verdict | None) -> str | None:
    """Return the sentence why ``verdict`` is not the gate's last word on its version; None if it is."""
    if newest is None or newest.id == verdict.id:
        return None
    said = "has refused it" if not newest.passed else "has judged it anew"
    return f"the gate {said} since. {' '.join(newest.reasons)}"


def _named(version: tuple[str, int, str]) -> str:
    model, number, digest = version
    return f"{model} version {number} with bundle {digest[:12]}"
