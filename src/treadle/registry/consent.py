"""Whether people agree that a version takes a role. Pure: what they have said, the policy and the time in, a standing out.

Each person's last word counts. A yes holds for ``approval.expire``; a no holds until the version is judged anew or the same person
says yes. Somebody is one person by whatever way the name came, so that four eyes are never two.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from treadle.identity import same
from treadle.spec import ApprovalPolicy
from treadle.state.consents import Consent
from treadle.state.verdicts import Verdict


@dataclass(frozen=True)
class Standing:
    """How a verdict stands with the people: who agrees, how many must, and the refusals that hold.

    ``awaited``: a turn of the loop waits for it, and goes on by itself.
    """

    model: str
    version: int
    people: int
    approvals: tuple[Consent, ...] = ()
    refusals: tuple[Consent, ...] = ()
    awaited: bool = False

    @property
    def missing(self) -> int:
        """How many people must still agree."""
        return max(self.people - len(self.approvals), 0)

    @property
    def given(self) -> bool:
        """Whether the version may take a role, as far as people are concerned."""
        return not self.refusals and not self.missing

    @property
    def sentence(self) -> str:
        """Who has said what, and how many are missing."""
        if self.refusals:
            return f"{' '.join(_refused(one) for one in self.refusals)} It stands until the version is judged anew or they approve it."
        agreed = f"approved by {' and '.join(one.actor for one in self.approvals)}" if self.approvals else "approved by nobody yet"
        wanted = f"the policy asks for {self.people} (approval.people)" if self.people else "the policy asks for nobody (approval.people)"
        return f"Version {self.version} is {agreed}; {wanted}{f', {self.missing} missing' if self.missing else ''}."

    @property
    def next(self) -> str:
        """The command that brings it on."""
        if self.given:
            return f"`treadle promote {self.model} --version {self.version}`"
        if self.refusals:
            return f"`treadle gate {self.model} --version {self.version}`"
        return f'`treadle approve {self.model} --version {self.version} --reason "..."`'


def standing(verdict: Verdict, said: Iterable[Consent], policy: ApprovalPolicy, *, now: float) -> Standing:
    """Return how ``verdict`` stands with the people at ``now``; what was ``said`` about another verdict or bundle does not count."""
    heard = [one for one in said if (one.verdict, one.digest) == (verdict.id, verdict.digest) and policy.asks(one.actor)]
    words = _last_words(heard)
    approvals = tuple(one for one in words if one.decision == "approve" and now - one.at <= policy.expire)
    refusals = tuple(one for one in words if one.decision == "reject")
    return Standing(verdict.model, verdict.version, policy.people, approvals, refusals)


def _last_words(said: Iterable[Consent]) -> list[Consent]:
    """Return the last thing that each person has said, oldest first; of two at the same moment the no."""
    words: list[Consent] = []
    for one in sorted(said, key=lambda one: (one.at, one.decision == "reject", one.actor, one.id)):
        words = [*(other for other in words if not same(other.actor, one.actor)), one]
    return words


def _refused(consent: Consent) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(consent.at))
    return f"{consent.actor} has refused version {consent.version} on {when}: {consent.reason.rstrip('.')}."
