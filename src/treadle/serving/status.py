"""From errors to HTTP: the one place that knows which failure has which status, and the one shape in which all of them are told."""

from http import HTTPStatus
from typing import Any

from starlette.types import Scope

from treadle import errors
from treadle.errors import ANY_MODEL, FieldProblem, RequestInvalid, TreadleError

STATUS: dict[type[TreadleError], HTTPStatus] = {
    errors.BodyMalformed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.BodyEncoded: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.RequestInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ReasonMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NobodyNamed: HTTPStatus.UNAUTHORIZED,
    errors.KeyUnknown: HTTPStatus.UNAUTHORIZED,
    errors.RoleMissing: HTTPStatus.FORBIDDEN,
    errors.RateExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotAsked: HTTPStatus.FORBIDDEN,
    errors.NothingToConsent: HTTPStatus.NOT_FOUND,
    errors.KeysInvalid: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelNotServed: HTTPStatus.NOT_FOUND,
    errors.ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeploymentsUnknown: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PredictionFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LogUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.BreakerOpen: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.VersionNotDeployed: HTTPStatus.NOT_FOUND,
    # Of a change of roles: it was right to ask, but not as things are now.
    errors.GenerationConflict: HTTPStatus.CONFLICT,
    errors.NotPermitted: HTTPStatus.CONFLICT,
    errors.ConsentMissing: HTTPStatus.CONFLICT,
    errors.RolesTaken: HTTPStatus.CONFLICT,
    errors.RollbackRefused: HTTPStatus.CONFLICT,
    errors.NothingToRollBack: HTTPStatus.CONFLICT,
    errors.BundleNotFound: HTTPStatus.CONFLICT,
    errors.BundleCorrupt: HTTPStatus.CONFLICT,
    errors.BundleInvalid: HTTPStatus.CONFLICT,
    errors.GraphInvalid: HTTPStatus.CONFLICT,
    errors.InferenceFailed: HTTPStatus.CONFLICT,
    errors.ArmsInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoABTest: HTTPStatus.NOT_FOUND,
    errors.NotDeployed: HTTPStatus.NOT_FOUND,
    errors.VersionNotFound: HTTPStatus.NOT_FOUND,
    errors.ProjectNotFound: HTTPStatus.NOT_FOUND,
    errors.ContractInvalid: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RemoteUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

RETRY_AFTER: dict[type[TreadleError], int] = {
    errors.LogUnavailable: 1,
    errors.ModelNotReady: 5,
    errors.ModelBusy: 1,
    errors.DeploymentsUnknown: 1,
    errors.StoreUnavailable: 1,
}
"""Seconds after which it is worth asking again, where the fault can pass without the caller; proxies and clients read it."""


FAILED = ("The server failed on this request.", "Its log says why.")
"""What is told of an error that nobody has foreseen, and what to do."""


def status_of(error: TreadleError) -> HTTPStatus:
    """Return the status of an error; one that is not listed is a fault of ours."""
    if isinstance(error, errors.NoneSwitched) and error.cause is not None:
        return status_of(error.cause)
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def headers_of(error: TreadleError) -> dict[str, str] | None:
    """Return the headers that the status of an error asks for."""
    if status_of(error) == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.BreakerOpen | errors.RateExceeded):
        return {"Retry-After": str(error.retry_after)}
    seconds = RETRY_AFTER.get(type(error))
    return {"Retry-After": str(seconds)} if seconds else None


def told(what: str, fix: str = "", problems: tuple[FieldProblem, ...] = ()) -> dict[str, Any]:
    """Return the body of every error: what failed, what to do, and a line per refused field."""
    return {"error": {"what": what, "fix": fix, "problems": [problem._asdict() for problem in problems]}}


def body_of(error: TreadleError, model: str = "") -> dict[str, Any]:
    """Return the body that tells this error of a request to ``model``. Details that belong to no field are part of the sentence."""
    fix = error.fix.replace(ANY_MODEL, model or ANY_MODEL)
    if isinstance(error, RequestInvalid):
        return told(error.what, fix, error.fields)
    return told(error.sentence, fix)


def unrouted(scope: Scope, detail: str) -> dict[str, Any]:
    """Return the body that tells of a path, or a method of one, that there is not."""
    return told(f"{scope['method']} {scope['path']}: {detail}.", "GET /docs lists every path, its method and its body.")
