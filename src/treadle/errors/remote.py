"""Failures of the shared place of bundles and snapshots, such as a bucket."""

from treadle.errors.base import TreadleError


class RemoteUnavailable(TreadleError):
    """The shared place cannot be asked, or refuses to take what is brought to it."""

    def __init__(self, url: str, reason: str, *, what: str) -> None:
        super().__init__(
            f"The shared place {url} cannot be used for {what}: {reason.rstrip('.')}.",
            fix="See that the address in remote_url and the credentials in the environment are right and that the place is up, "
            "then do the same again; `treadle doctor` asks it.",
        )


class RemoteExtraMissing(TreadleError):
    """The address of the shared place asks for a library that is not installed."""

    def __init__(self, url: str, reason: str, extra: str) -> None:
        super().__init__(
            f"The shared place {url} needs a library that is not installed: {reason.rstrip('.')}.", fix=f"Run `pip install '{extra}'`."
        )
