"""Failures of the service and its log."""

import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from treadle.errors.base import ANY_MODEL, TreadleError, choose_from


class LogUnavailable(TreadleError):
    """A prediction could not be written down, so it may not be answered."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The prediction log in {folder} cannot be written: {reason}. Without a log there is no answer.",
            fix="Free or mend that disk; nothing that was answered is lost.",
        )


class ModelNotServed(TreadleError):
    """No deployment of this name is served here."""

    def __init__(self, model: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no model {model!r} here: {choose_from(known)}.", fix="GET /models lists what is served.")


class ModelNotReady(TreadleError):
    """A model is deployed, but no version of it could be loaded."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"{model} is deployed, but it cannot be served: {reason}", fix="GET /ready says what is missing; try again later.")


class DeploymentsUnknown(TreadleError):
    """A worker has not been able to read what is deployed since it has started."""

    def __init__(self, trouble: str) -> None:
        reason = f": {trouble}" if trouble else "."
        super().__init__(f"What is deployed is not known yet{reason}", fix="GET /ready says what is missing; try again later.")


class ModelBusy(TreadleError):
    """More requests wait for a slow version than it takes."""

    def __init__(self, name: str, waiting: int) -> None:
        super().__init__(f"{name} is busy: {waiting} requests wait for it already.", fix="Try again later, or send less at once.")


class DeadlineExceeded(TreadleError):
    """A version did not answer in the time that the caller, or the policy, gives."""

    def __init__(self, name: str, seconds: float) -> None:
        fix = "Allow more time in X-Request-Deadline-Ms, up to serving.deadline of the policy; send fewer rows at once."
        super().__init__(f"{name} did not answer within {seconds:.3g} s.", fix=fix)


class BreakerOpen(TreadleError):
    """Every version that could answer has failed too often, and is left alone for a while."""

    def __init__(self, model: str, seconds: float) -> None:
        self.retry_after = max(math.ceil(seconds), 1)
        super().__init__(
            f"{model} has failed too often in a row; it is tried again in {self.retry_after} s.",
            fix="Try again then. GET /models and `treadle status` say what failed; `treadle rollback` brings the last version back.",
        )


class VersionNotDeployed(TreadleError):
    """A caller asks for a version that has no role."""

    def __init__(self, model: str, version: int, there: Collection[int]) -> None:
        known = ", ".join(map(str, sorted(there)))
        super().__init__(
            f"Version {version} of {model} is not deployed; deployed: {known}.", fix="Name one of these in X-Treadle-Version, or none."
        )


class PredictionFailed(TreadleError):
    """No version of a model could answer: not the chosen one, not the champion, not the fallback."""

    def __init__(self, model: str, failures: Sequence[str]) -> None:
        super().__init__(f"{model} could not answer.", problems=failures, fix="The attempts are logged; try again, or roll the model back.")


class BodyMalformed(TreadleError):
    """The body of a request is not JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The body of the request is not JSON: {reason}.", fix=f"Send JSON as in the example of GET /models/{ANY_MODEL}.")


class BodyTooLarge(TreadleError):
    """The body of a request is longer than the server reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body of the request is longer than {limit} bytes.", fix="Send fewer rows at once.")


class BodyTooSlow(TreadleError):
    """The body of a request has begun, but its end does not come."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The end of the body has not come within {seconds:g} seconds.", fix="Send the body at once, or fewer rows in it.")


class TracesExtraMissing(TreadleError):
    """Traces are asked for, but what sends them is not installed."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"Traces cannot be sent to {address}: {reason.rstrip('.')}.",
            fix="Run `pip install 'treadle[traces]'`, or leave the setting traces empty.",
        )


class BodyEncoded(TreadleError):
    """The body of a request is compressed."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"The body of the request has the encoding {encoding!r}; allowed: none.", fix="Send it without Content-Encoding.")


class ServiceRunning(TreadleError):
    """Another ``treadle serve`` serves this workspace."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"Another `treadle serve` on this machine already serves the state in {home}.",
            fix="Stop it first, give it more workers, or start this one with a TREADLE_HOME of its own.",
        )


class PortTaken(TreadleError):
    """A service cannot listen where the settings say."""

    def __init__(self, host: str, port: int, setting: str, reason: str) -> None:
        super().__init__(
            f"Nothing can listen on port {port} of {host}: {reason}.",
            fix=f"Set {setting} in treadle.toml, or TREADLE_{setting.upper()}, to another port; 0 takes a free one.",
        )
