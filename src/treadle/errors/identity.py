"""Failures of who acts: keys, roles, and whom the policy asks."""

from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path

from treadle.errors.base import TreadleError, choose_from


class NobodyNamed(TreadleError):
    """A request that only a person may make says nothing about who makes it."""

    def __init__(self, header: str, *, proxied: bool) -> None:
        proxy = f"{header} is believed from the networks in the setting trusted_proxies{'' if proxied else ', which is empty'}"
        super().__init__(
            "Nobody is named who acts.",
            fix=f"Send a key as `Authorization: Bearer tk_...` or as `X-API-Key: tk_...`; or come through a proxy ({proxy}). "
            "`treadle keys create NAME` makes a key.",
        )


class KeyUnknown(TreadleError):
    """A key was shown that this workspace has not given out, or has taken back."""

    def __init__(self, begin: str) -> None:
        super().__init__(
            f"The key that begins with {begin} is none of this workspace's.",
            fix="`treadle keys list` names those who have one; without a key (`unset TREADLE_KEY`) you act as the user of the machine.",
        )


class KeyNotFound(TreadleError):
    """Nobody of this name has a key."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{name} has no key: {choose_from(sorted(known))}.", fix=f"`treadle keys create {name}` makes one.")


class KeyTaken(TreadleError):
    """Somebody of this name has a key already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has a key already.",
            fix=f"`treadle keys rotate {name}` gives it a new token; `treadle keys revoke {name}` takes it back.",
        )


class KeyNameInvalid(TreadleError):
    """A name could be taken for another one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot bear a key: a name has 1 to 100 of a-z, A-Z, 0-9 and . _ @ + -, and begins and ends with a letter or digit.",
            fix="`treadle keys create ada` is one that can.",
        )


class KeysInvalid(TreadleError):
    """The file of keys cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The keys in {path} cannot be read: {reason}.",
            fix="Put the file back from a copy, or remove it and make the keys anew with `treadle keys create NAME`.",
        )


class RolesInvalid(TreadleError):
    """A key is to have a role that there is not, or none."""

    def __init__(self, given: Sequence[str], allowed: Sequence[str]) -> None:
        super().__init__(
            f"The roles {', '.join(given)} are not all roles: choose from {', '.join(allowed)}."
            if given
            else f"A key without a role may do nothing: choose from {', '.join(allowed)}.",
            fix="`--role predict --role label` gives two.",
        )


class KeyLimitInvalid(TreadleError):
    """A key is to have a limit that no request could keep to, or that is none."""

    def __init__(self, rate: str, burst: str, highest: int) -> None:
        super().__init__(
            f"{rate} requests per second with a burst of {burst} is no limit: both are above 0 and at most {highest}, the burst is a whole "
            "number, and there is none without a rate.",
            fix="`--rate 50 --burst 100` is one.",
        )


class RateExceeded(TreadleError):
    """A key was shown more often than its limit allows."""

    def __init__(self, name: str, rate: float, burst: int, wait: float) -> None:
        self.retry_after = max(ceil(wait), 1)
        super().__init__(
            f"{name} may send {rate:g} requests per second, {burst} of them at once, and this is one more.",
            fix=f"Try again in {wait:.3g} s; an admin gives a key with another limit.",
        )


class RoleMissing(TreadleError):
    """Somebody may not do this at all."""

    def __init__(self, name: str, roles: Sequence[str], needed: str) -> None:
        super().__init__(
            f"{name} has the {'roles' if len(roles) > 1 else 'role'} {', '.join(roles)}; this needs the role {needed}.",
            fix=f"An admin gives it with `treadle keys revoke {name}` and `treadle keys create {name} --role {needed}`.",
        )


class KeysMissing(TreadleError):
    """The service would answer callers from other machines, and has nothing to tell them apart by."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"Nobody has a key, and on {host} other machines could call: the service does not start.",
            fix='`treadle keys create NAME --role predict` makes a key; where a proxy in front decides who may call, set access = "proxy".',
        )


class TlsInvalid(TreadleError):
    """The certificate of the API, or its private key, cannot be used."""

    def __init__(self, cert: Path, key: Path, reason: str) -> None:
        super().__init__(
            f"The API cannot speak TLS with the certificate {cert} and the key {key}: {reason}.",
            fix="tls_cert and tls_key in treadle.toml name two PEM files that belong together; the key has no passphrase.",
        )


class PseudonymKeyInvalid(TreadleError):
    """The key that makes pseudonyms cannot be used, so that nothing of a model that asks for them can be logged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The key of the pseudonyms, {path}, cannot be used: {reason}.",
            fix="It is a file of 32 random bytes that the service can read; docs/guides/privacy.md tells how it is made, kept and changed.",
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
            f"To {what} needs a reason, a word at least, which stays in the record.",
            fix='Say why: `--reason "..."` in the terminal, {"reason": "..."} in the body of a request.',
        )
