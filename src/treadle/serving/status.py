"""From errors to HTTP: the one place that knows which failure has which status, and the one shape in which all of them are told."""

from http import HTTPStatus
from typing import Any

from treadle import errors
from treadle.errors import ANY_MODEL, FieldProblem, RequestInvalid, TreadleError

STATUS: dict[type[TreadleError], HTTPStatus] = {
    errors.BodyMalformed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
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
}

RETRY_AFTER: dict[type[TreadleError], str] = {errors.LogUnavailable: "1", errors.ModelNotReady: "5", errors.DeploymentsUnknown: "1"}
"""Seconds after which it is worth asking again, where the fault can pass without the caller; proxies and clients read it."""


def status_of(error: TreadleError) -> HTTPStatus:
    """Return the status of an error; one that is not listed is a fault of ours."""
    return STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)


def headers_of(error: TreadleError) -> dict[str, str] | None:
    """Return the headers that the status of an error asks for."""
    if status_of(error) == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.RateExceeded):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": RETRY_AFTER[type(error)]} if type(error) in RETRY_AFTER else None


def told(what: str, fix: str = "", problems: tuple[FieldProblem, ...] = ()) -> dict[str, Any]:
    """Return the body of every error: what failed, what to do, and a line per refused field."""
    return {"error": {"what": what, "fix": fix, "problems": [problem._asdict() for problem in problems]}}


def body_of(error: TreadleError, model: str = "") -> dict[str, Any]:
    """Return the body that tells this error of a request to ``model``. Details that belong to no field are part of the sentence."""
    fix = error.fix.replace(ANY_MODEL, model or ANY_MODEL)
    if isinstance(error, RequestInvalid):
        return told(error.what, fix, error.fields)
    return told(error.sentence, fix)
