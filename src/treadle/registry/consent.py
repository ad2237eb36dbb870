"""Whether people agree that a version takes a role. Pure: what they have said, the policy and the time in, a standing out.

Each person's last word about a bundle counts. A yes is about one verdict and holds for ``approval.expire``. A no is about the bundle: it
holds, whatever the gate or the policy says later, until the same person says yes.
Somebody is one person by whatever way the name came, so that four eyes are never two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from treadle.identity import same
from treadle.spec import ApprovalPolicy
from treadle.state.consents import Consent
from treadle.state.verdicts import Verdict
from treadle.times import when


@dataclass(frozen=True)
class Standing:
    """How a verdict stands with the people: who agrees, how many must, and the refusals that hold.

    ``of`` names those whose consent counts, nobody: everybody who may approve. ``awaited``: a turn of the loop waits for it, and goes on
    by itself. ``champion``: the version has all the traffic already; ``replaceable``: a rollback would bring another one back.
    """

    model: str
    version: int
    people: int
    approvals: tuple[Consent, ...] = ()
    refusals: tuple[Consent, ...] = ()
    of: tuple[str, ...] = ()
    awaited: bool = False
    champion: bool = False
    replaceable: bool = False

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
            return f"{told(self.refusals)} It stands until the same person approves it."
        agreed = f"approved by {' and '.join(one.actor for one in self.approvals)}" if self.approvals else "approved by nobody yet"
        wanted = f"the policy asks for {self.people} (approval.people)" if self.people else "the policy asks for nobody (approval.people)"
        return f"Version {self.version} is {agreed}; {wanted}{f', {self.missing} missing' if self.missing else ''}."

    @property
    def next(self) -> str:
        """What brings it on: the command, and who must type it where that is not anybody."""
        if self.given:
            return f"`treadle promote {self.model} --version {self.version}`"
        agree = f'`treadle approve {self.model} --version {self.version} --reason "..."`'
        if self.refusals:
            return f"{_typed(_listed(self.refusals))} {agree}, or `treadle train {self.model}` makes another version"
        return f"{_typed(self._missing_people)} {agree}".strip()

    @property
    def _missing_people(self) -> tuple[str, bool]:
        """Whose turn it is, and whether they are several; empty where anybody can be the one."""
        silent = [name for name in self.of if not any(same(name, one.actor) for one in self.approvals)]
        if silent and self.missing == 1:
            return " or ".join(silent), False
        if silent:
            return " and ".join(silent) if len(silent) == self.missing else f"{self.missing} of {', '.join(silent)}", True
        if self.approvals:
            return "a second person", False
        return ("", False) if self.missing == 1 else ("two people", True)


def standing(verdict: Verdict, said: Sequence[Consent], policy: ApprovalPolicy, *, now: float) -> Standing:
    """Return how ``verdict`` stands with the people at ``now``; what was ``said`` about another bundle does not count."""
    words = _last_words(said, verdict.digest)
    agreed = [one for one in words if one.decision == "approve" and one.verdict == verdict.id and policy.asks(one.actor)]
    approvals = tuple(one for one in agreed if now - one.at <= policy.expire)
    return Standing(verdict.model, verdict.version, policy.people, approvals, refusals(said, verdict.digest), policy.of)


def refusals(said: Iterable[Consent], digest: str) -> tuple[Consent, ...]:
    """Return the refusals of the bundle ``digest`` that hold, oldest first: each is somebody's last word about it.

    Whoever has refused had a say then: a list in the policy that is edited later does not take it back.
    """
    return tuple(one for one in _last_words(said, digest) if one.decision == "reject")


def told(refusals: Iterable[Consent]) -> str:
    """Return who has refused, when and why, in sentences."""
    return " ".join(f"{one.actor} has refused version {one.version} on {when(one.at)}: {one.reason.rstrip('.')}." for one in refusals)


def _last_words(said: Iterable[Consent], digest: str) -> list[Consent]:
    """Return the last thing that each person has said about a bundle, oldest first; of two at the same moment the no."""
    words: list[Consent] = []
    mine = (one for one in said if one.digest == digest)
    for one in sorted(mine, key=lambda one: (one.at, one.decision == "reject", one.actor, one.id)):
        words = [*(other for other in words if not same(other.actor, one.actor)), one]
    return words


def _typed(people: tuple[str, bool]) -> str:
    who, several = people
    return f"{who} {'type' if several else 'types'}" if who else ""


def _listed(words: Sequence[Consent]) -> tuple[str, bool]:
    return " and ".join(one.actor for one in words), len(words) > 1
