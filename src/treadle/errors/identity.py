"""Failures of who acts: keys, roles, and whom the policy asks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from


class NobodyNamed(TreadleError):
    """A request that only a person may make says nothing about who makes it."""

    def __init__(self, header: str, *, proxied: bool) -> None:
        proxy = f"{header} is believed from the networks in the setting trusted_proxies{'' if proxied else ', which is empty'}"
        super().__init__(
            "Nobody is named who acts.",
            fix=f"Send a key as `Authorization: Bearer tk_...` or as `X-API-Key: tk_...`; or come through a proxy ({proxy}). "
            "`treadle key add NAME` makes a key.",
        )


class KeyUnknown(TreadleError):
    """A key was shown that this workspace has not given out, or has taken back."""

    def __init__(self, begin: str) -> None:
        super().__init__(
            f"The key that begins with {begin} is none of this workspace's.",
            fix="`treadle key list` names those who have one; without a key (`unset TREADLE_KEY`) you act as the user of the machine.",
        )


class KeyNotFound(TreadleError):
    """Nobody of this name has a key."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{name} has no key: {choose_from(sorted(known))}.", fix=f"`treadle key add {name}` makes one.")


class KeyTaken(TreadleError):
    """Somebody of this name has a key already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has a key already.", fix=f"`treadle key remove {name}` takes it back; then add it anew.")


class KeyNameInvalid(TreadleError):
    """A name could be taken for another one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot bear a key: a name has 1 to 100 of a-z, A-Z, 0-9 and . _ @ + -, and begins and ends with a letter or digit.",
            fix="`treadle key add ada` is one that can.",
        )


class KeysInvalid(TreadleError):
    """The file of keys cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The keys in {path} cannot be read: {reason}.",
            fix="Put the file back from a copy, or remove it and make the keys anew with `treadle key add NAME`.",
        )


class RoleMissing(TreadleError):
    """Somebody may not do this at all."""

    def __init__(self, name: str, role: str, needed: str) -> None:
        super().__init__(
            f"{name} has the role {role}; this needs the role {needed}.",
            fix=f"An admin gives it with `treadle key remove {name}` and `treadle key add {name} --role {needed}`.",
        )


class NotAsked(TreadleError):
    """The policy of a model names those whose consent counts, and this one is not among them."""

    def __init__(self, model: str, name: str, asked: Sequence[str]) -> None:
        super().__init__(
            f"{name} has no say about {model}: {choose_from(asked)}.",
            fix="policy.approval.of in the model.yaml names them; docs/guides/approvals.md tells how.",
        )


class ReasonMissing(TreadleError):
    """Somebody decides something without saying why."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"To {what} needs a reason, which stays in the record.",
            fix='Say why: `--reason "..."` in the terminal, {"reason": "..."} in the body of a request.',
        )
