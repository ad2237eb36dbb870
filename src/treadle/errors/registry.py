"""Failures of the registry: versions, gates, roles."""

from collections.abc import Iterable, Sequence

from treadle.errors.base import TreadleError, choose_from
from treadle.errors.bundle import BundleNotFound


class TrackingUnavailable(TreadleError):
    """MLflow cannot be reached, or refuses what it is asked."""

    def __init__(self, url: str, reason: str) -> None:
        full = any(words in reason for words in ("disk is full", "No space left"))
        room = "Make room on that disk (`treadle gc --dry-run` shows what could go), or name another one for all state with TREADLE_HOME."
        up = "Check the setting tracking_url (TREADLE_TRACKING_URL), and that its server or database is up."
        super().__init__(f"MLflow at {url} cannot be used: {reason}", fix=room if full else up)


class VersionNotFound(TreadleError):
    """A model has no such version, or none at all."""

    def __init__(self, model: str, version: int | None, known: Iterable[int]) -> None:
        wanted = "version" if version is None else f"version {version}"
        super().__init__(f"{model} has no {wanted}: {choose_from(map(str, known))}.", fix=f"`treadle train {model}` makes one.")


class VersionNotSealed(TreadleError):
    """A version was registered in MLflow by something else, and names no bundle."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"{model} version {version} names no sealed bundle: it has no tag treadle.digest in MLflow.",
            fix=f"Only versions that `treadle train {model}` has made can have a role.",
        )


class RowsOverlap(TreadleError):
    """Rows that were to judge a version are rows that it may have learnt from."""

    def __init__(self, model: str, version: int, overlaps: Sequence[str]) -> None:
        super().__init__(
            f"The rows cannot judge {model} version {version}: it may have learnt from them.",
            problems=overlaps,
            fix="Judge it on rows predicted after its training cut, of entities that are not among its training rows.",
        )


class NotPermitted(TreadleError):
    """A version may not have a role, because no verdict lets it."""

    exit_code = 3

    def __init__(self, model: str, version: int, reason: str) -> None:
        super().__init__(
            f"{model} version {version} may not have a role: {reason}", fix=f"`treadle gate {model} --version {version}` judges it anew."
        )


class ConsentMissing(TreadleError):
    """The gate lets a version take a role, but people must agree, or one of them has refused."""

    def __init__(self, model: str, version: int, said: str, following: str, *, refused: bool = False) -> None:
        self.exit_code = 3 if refused else 4
        super().__init__(
            f"The gate lets {model} version {version} pass, but {'a person does not' if refused else 'people must agree'}. {said}",
            fix=f"Next: {following}.",
        )


class AlreadyChampion(TreadleError):
    """A version was to be promoted that has all the traffic it can have."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"{model} version {version} is the champion already.",
            fix=f"`treadle train {model}` makes a newer one; `treadle status` shows which version has which role.",
        )


class NothingToConsent(TreadleError):
    """Somebody agrees to a version, or refuses it, that the gate has not let pass as things are now."""

    def __init__(self, model: str, version: int | None, reason: str) -> None:
        named = f"{model} version {version}" if version is not None else model
        again = f"`treadle gate {model}{f' --version {version}' if version is not None else ''}`"
        super().__init__(f"There is nothing to say about {named}: {reason}", fix=f"{again} judges it; then say yes or no to that.")


class NoCanary(TreadleError):
    """A canary was to be promoted or taken out, but there is none, or it is another version by now."""

    def __init__(self, model: str, version: int | None = None) -> None:
        what = f"{model} has no canary" if version is None else f"{model} version {version} is not the canary"
        super().__init__(f"{what}.", fix="`treadle status` shows which version has which role.")


class ArmsInvalid(TreadleError):
    """What was asked for is no A/B test."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"This is no A/B test of {model}: {reason}.",
            fix=f"For example `treadle ab start {model} 5=0.2 6=0.2`: version=share for each arm, and the champion keeps the rest.",
        )


class RolesTaken(TreadleError):
    """A canary and an A/B test would run side by side, or two tests: neither could be read."""

    def __init__(self, model: str, there: str) -> None:
        super().__init__(
            f"{model} has {there}: one comparison runs at a time.",
            fix=f"`treadle ab stop {model}` ends an A/B test; a canary ends by itself.",
        )


class NoABTest(TreadleError):
    """An A/B test was to be read or stopped, but there is none, or the version is no arm of it."""

    def __init__(self, model: str, version: int | None = None) -> None:
        what = f"No A/B test of {model} runs" if version is None else f"{model} version {version} is no arm of an A/B test"
        super().__init__(
            f"{what}.", fix=f"`treadle ab start {model} 5=0.2` starts one; `treadle status` shows which version has which role."
        )


class NoneSwitched(TreadleError):
    """Several models were to be switched in one transaction, and one of them could not be: none was."""

    def __init__(self, models: Iterable[str], sentence: str, following: str) -> None:
        self.cause: TreadleError | None = None
        super().__init__(f"None of {', '.join(models)} was switched. {sentence}", fix=following)

    @classmethod
    def because(cls, models: Iterable[str], cause: TreadleError) -> "NoneSwitched":
        """Return the error that tells of the one that could not be."""
        found = cls(models, cause.sentence, cause.fix)
        found.cause, found.exit_code = cause, cause.exit_code
        return found


class VersionNameInvalid(TreadleError):
    """What a person typed names no version."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} names no version: allowed are MODEL@NUMBER and MODEL@ROLE, with champion, canary or fallback as the role.",
            fix="For example `treadle diff churn@3 churn@champion`; `treadle status` shows which version has which role.",
        )


class ModelsDiffer(TreadleError):
    """Two versions of different models were to be compared."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(
            f"{first} and {second} are two models: only versions of one model can be compared.",
            fix=f"For example `treadle diff {first}@1 {first}@2`.",
        )


class RoleEmpty(TreadleError):
    """No version has the role that was named."""

    def __init__(self, model: str, role: str) -> None:
        super().__init__(f"No version of {model} is {role} now.", fix="`treadle status` shows which version has which role.")


class RollbackRefused(TreadleError):
    """A generation would come back whose champion a person has refused since."""

    exit_code = 3

    def __init__(self, model: str, version: int, said: str, free: Iterable[int]) -> None:
        super().__init__(
            f"{model} is not rolled back to version {version}. {said} It stands until the same person approves it.",
            problems=[f"older generations whose champion nobody has refused: {choose_from(map(str, free))}"],
            fix=f'`treadle rollback {model} --to N` takes one of them; `treadle approve {model} --version {version} --reason "..."`, '
            "typed by the one who refused, lifts it.",
        )


class GenerationGone(BundleNotFound):
    """A generation cannot come back, because a bundle that it needs was removed."""

    def __init__(self, model: str, generation: int, version: int, digest: str, reachable: Iterable[int]) -> None:
        TreadleError.__init__(
            self,
            f"Generation {generation} of {model} cannot come back: bundle {digest} of its version {version} is no longer there. "
            "`treadle gc` removes what retention.generations does not reach.",
            problems=[f"whose bundles are still there: {choose_from(map(str, reachable))}"],
            fix=f"`treadle rollback {model} --to N` takes one of them, `treadle train {model}` makes a new version.",
        )
