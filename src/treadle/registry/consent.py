"""Whether people agree that a version takes a role. Pure: what they have said, the policy and the time in, a standing out.

Each person's last word about a bundle counts. A yes is about one verdict and holds for ``approval.expire``. A no is about the bundle: it
holds, whatever the gate or the policy says later, until the same person says yes.
Somebody is one person by whatever way the name came, so that four eyes are never two.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from treadle.identity import same
from treadle.spec import ApprovalPolicy
from treadle.state.consents import Consent
from treadle.state.verdicts import Verdict
from treadle.times import when


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
            return f"{' '.join(_refused(one) for one in self.refusals)} It stands until the same person approves it."
        agreed = f"approved by {' and '.join(one.actor for one in self.approvals)}" if self.approvals else "approved by nobody yet"
        wanted = f"the policy asks for {self.people} (approval.people)" if self.people else "the policy asks for nobody (approval.people)"
        return f"Version {self.version} is {agreed}; {wanted}{f', {self.missing} missing' if self.missing else ''}."

    @property
    def next(self) -> str:
        """The command that brings it on."""
        if self.given:
            return f"`treadle promote {self.model} --version {self.version}`"
        if self.refusals:
            who = " and ".join(one.actor for one in self.refusals)
            return f'{who}: `treadle approve {self.model} --version {self.version} --reason "..."`; or `treadle train {self.model}`'
        return f'`treadle approve {self.model} --version {self.version} --reason "..."`'


def standing(verdict: Verdict, said: Iterable[Consent], policy: ApprovalPolicy, *, now: float) -> Standing:
    """Return how ``verdict`` stands with the people at ``now``; what was ``said`` about another bundle does not count."""
    words = _last_words(one for one in said if one.digest == verdict.digest)
    agreed = [one for one in words if one.decision == "approve" and one.verdict == verdict.id and policy.asks(one.actor)]
    approvals = tuple(one for one in agreed if now - one.at <= policy.expire)
    # Whoever has refused had a say then: a list that is edited later does not take it back.
    refusals = tuple(one for one in words if one.decision == "reject")
    return Standing(verdict.model, verdict.version, policy.people, approvals, refusals)


def refused(said: Iterable[Consent], digest: str) -> str | None:
    """Return who has refused the bundle ``digest`` and has not approved it since, in sentences; None if nobody has."""
    words = _last_words(one for one in said if one.digest == digest)
    return " ".join(_refused(one) for one in words if one.decision == "reject") or None


def refusers(said: Iterable[Consent], digest: str) -> set[str]:
    """Return the folded names of those who have refused the bundle ``digest`` and have not approved it since."""
    return {one.actor.casefold() for one in _last_words(one for one in said if one.digest == digest) if one.decision == "reject"}


def _last_words(said: Iterable[Consent]) -> list[Consent]:
    """Return the last thing that each person has said, oldest first; of two at the same moment the no."""
    words: list[Consent] = []
    for one in sorted(said, key=lambda one: (one.at, one.decision == "reject", one.actor, one.id)):
        words = [*(other for other in words if not same(other.actor, one.actor)), one]
    return words


def _refused(consent: Consent) -> str:
    return f"{consent.actor} has refused version {consent.version} on {when(consent.at)}: {consent.reason.rstrip('.')}."
