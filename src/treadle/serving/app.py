"""HTTP in front of inference: routes translate, and nothing else."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from treadle import __version__
from treadle.engine.encode import example, shown
from treadle.errors import ANY_MODEL, BodyMalformed, BodyTooLarge, FieldProblem, RequestInvalid, TreadleError
from treadle.serving import schemas
from treadle.serving.inference import Inference
from treadle.serving.labels import LABEL_FIX, QUEUED, accept
from treadle.serving.loaded import Refusal, Routes
from treadle.serving.metrics import scrape
from treadle.serving.people import People
from treadle.serving.schemas import ConsentTaken, Health, ModelDetail, Models, ModelSummary, Ready
from treadle.serving.status import body_of, headers_of, status_of, told
from treadle.state.consents import Decision, why

BODY_BYTES = 8_000_000
REQUEST_ID_LENGTH = 200
JSON = "application/json"
BODY_FIX = {
    "rows": f'The body is {{"rows": [...]}}; GET /models/{ANY_MODEL} has an example of a row.',
    "labels": f'The body is {{"labels": [...]}}. {LABEL_FIX}',
    "reason": 'The body is {"reason": "..."}.',
}
"""What to send instead, by the one key that a body has."""

VersionNumber = Annotated[int, Path(ge=1, lt=2**31, description="Number of the version.")]


def create_app(
    inference: Inference,
    registry: CollectorRegistry,
    *,
    people: People | None = None,
    clock: Callable[[], float] = time.time,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """Return the application around ``inference``; ``registry`` holds its metrics where it is the only process.

    Without ``people`` nobody can agree to a version here.
    """
    # The pages of the API come from this process: a browser without internet shows them too.
    app = FastAPIOffline(
        title="Treadle",
        version=__version__,
        description="Predictions, labels and the state of every deployed model.",
        lifespan=lifespan,
    )
    _add_errors(app, inference)
    _add_predictions(app, inference, clock)
    _add_models(app, inference)
    if people is not None:
        _add_consents(app, inference, people, clock)
    _add_state(app, inference, registry)
    app.add_middleware(RequestIds)
    app.openapi = _OpenApi(app.openapi, inference)  # type: ignore[method-assign]
    return app


def _add_predictions(app: FastAPI, inference: Inference, clock: Callable[[], float]) -> None:
    """Add the routes that callers wait for. They are plain Starlette routes: what FastAPI does around one costs more than the model."""

    async def predict(request: Request) -> Response:
        payload = await _decoded(request)
        return Response(await inference.predict(request.path_params["model"], payload, request_id=_request_id(request)), media_type=JSON)

    async def batch(request: Request) -> Response:
        rows = _member(await _decoded(request), "rows")
        answers = await inference.predict_batch(request.path_params["model"], rows, request_id=_request_id(request))
        return Response(b'{"predictions":[' + b",".join(answers) + b"]}", media_type=JSON)

    async def labels(request: Request) -> Response:
        payloads = _member(await _decoded(request), "labels")
        count = await accept(inference, request.path_params["model"], payloads, now=clock())
        return JSONResponse({"accepted": count, "note": QUEUED}, 202)

    app.add_route("/predict/{model}", predict, ["POST"], include_in_schema=False)
    app.add_route("/predict/{model}/batch", batch, ["POST"], include_in_schema=False)
    app.add_route("/labels/{model}", labels, ["POST"], include_in_schema=False)


def _add_models(app: FastAPI, inference: Inference) -> None:
    @app.get("/models", tags=["models"], summary="Every deployed model")
    async def models() -> Models:
        routes = inference.routes
        return Models(models=[_summary(routes, name) for name in sorted({*routes.tables, *routes.refused})])

    @app.get("/models/{model}", tags=["models"], summary="One model: roles, schema, metrics, card, lineage", responses=schemas.ERRORS)
    async def model(model: str) -> ModelDetail:
        routes = inference.routes
        champion = routes.champion(model)
        return ModelDetail(
            **dict(_summary(routes, model)),
            digest=champion.digest,
            task=champion.interface.task,
            row_schema=schemas.row_schema(champion.interface, model),
            example=example(champion.interface),
            metrics=champion.card.get("metrics", {}),
            card=champion.card,
            lineage=champion.lineage,
        )


def _add_consents(app: FastAPI, inference: Inference, people: People, clock: Callable[[], float]) -> None:
    """Add the routes by which a person agrees to a version, or refuses it."""

    async def say(request: Request, decision: Decision, about: tuple[str, int]) -> ConsentTaken:
        who = await asyncio.to_thread(people.identify, request)
        reason = why(f"{decision} a version", _member(await _decoded(request), "reason"))
        word = await asyncio.to_thread(people.word, who, decision, about, reason, now=clock())
        if word.verdict is None:
            inference.routes.table(word.model)  # The store is away: at least the model must be one that is served.
        await inference.log([word])
        return ConsentTaken(
            id=word.consent_id, model=word.model, version=word.version, decision=decision, actor=word.actor, verdict=word.verdict
        )

    documented: dict[str, Any] = {"tags": ["models"], "status_code": 202, "responses": schemas.ERRORS, "openapi_extra": schemas.REASON}

    @app.post("/models/{model}/versions/{version}/approve", summary="Agree to a version that the gate has let pass", **documented)
    async def approve(request: Request, model: str, version: VersionNumber) -> ConsentTaken:
        return await say(request, "approve", (model, version))

    @app.post("/models/{model}/versions/{version}/reject", summary="Refuse a version that the gate has let pass", **documented)
    async def reject(request: Request, model: str, version: VersionNumber) -> ConsentTaken:
        return await say(request, "reject", (model, version))


def _add_state(app: FastAPI, inference: Inference, registry: CollectorRegistry) -> None:
    @app.get("/health", tags=["state"], summary="Whether this process answers")
    async def health() -> Health:
        return Health(status="ok", worker=os.getpid(), treadle=__version__)

    @app.get("/ready", tags=["state"], summary="Whether every deployed model can be asked", responses={503: {"model": Ready}})
    async def ready(response: Response) -> Ready:
        routes = inference.routes
        missing = routes.missing
        response.status_code = 503 if missing else 200
        return Ready(
            ready=not missing,
            missing=missing,
            generations={name: table.generation for name, table in routes.tables.items()},
            refused={name: _refused(refusal) for name, refusal in routes.refused.items()},
            trouble=routes.trouble,
        )

    @app.get("/metrics", tags=["state"], summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(scrape(registry), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI, inference: Inference) -> None:
    def named(request: Request) -> str:
        model = str(request.path_params.get("model", ""))
        return model if model in inference.routes.tables else ""

    @app.exception_handler(TreadleError)
    async def ours(request: Request, error: TreadleError) -> Response:
        return JSONResponse(body_of(error, named(request)), status_of(error), headers=headers_of(error))

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> Response:
        fields = [FieldProblem(str(one["loc"][-1]), str(one["input"]), "a whole number from 1 on") for one in error.errors()]
        found = RequestInvalid(fields, fix=f"GET /models/{ANY_MODEL} shows which version has which role.")
        return JSONResponse(body_of(found, named(request)), status_of(found))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {request.url.path}: {error.detail}."
        return JSONResponse(told(what, "GET /docs lists every path, its method and its body."), error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(_request: Request, _error: Exception) -> Response:
        return JSONResponse(told("The server failed on this request.", "Its log says why."), 500)


class RequestIds:
    """Takes the caller's X-Request-ID, refuses one that could not be logged, and sends it back with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        given = next((value for name, value in scope.get("headers", ()) if name == b"x-request-id"), b"")
        if not given:
            await self._app(scope, receive, send)
            return
        text = given.decode("latin-1")
        if len(text) > REQUEST_ID_LENGTH or not (text.isascii() and text.isprintable()):
            allowed = f"1 to {REQUEST_ID_LENGTH} printable ASCII characters"
            problem = FieldProblem("X-Request-ID", text[:20], allowed)
            error = RequestInvalid([problem], fix="Send another X-Request-ID, or none.")
            await JSONResponse(body_of(error), status_of(error))(scope, receive, send)
            return
        scope["request_id"] = text

        async def echo(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", given)]
            await send(message)

        await self._app(scope, receive, echo)


class _OpenApi:
    """Adds the live models to FastAPI's own description, once per set of models."""

    def __init__(self, base: Callable[[], dict[str, Any]], inference: Inference) -> None:
        self._base = base
        self._inference = inference
        self._made: tuple[object, dict[str, Any]] | None = None

    def __call__(self) -> dict[str, Any]:
        routes = self._inference.routes
        if self._made is None or self._made[0] is not routes.tables:
            self._made = routes.tables, self._make(routes)
        return self._made[1]

    def _make(self, routes: Routes) -> dict[str, Any]:
        base = self._base()
        known = dict(base["components"]["schemas"])
        paths = dict(base["paths"])
        for name in sorted(routes.tables):
            interface = routes.champion(name).interface
            paths |= schemas.paths(name, interface)
            known |= schemas.components(name, interface)
        components = {**base["components"], "schemas": known, "securitySchemes": schemas.SECURITY}
        return {**base, "paths": schemas.guarded(paths), "components": components, "security": schemas.SECURED}


def _summary(routes: Routes, model: str) -> ModelSummary:
    table = routes.tables.get(model)
    refusal = routes.refused.get(model)
    return ModelSummary(
        model=model,
        generation=table.generation if table else None,
        version=table.champion.version if table else None,
        roles=[
            schemas.Role(role=slot.role, version=slot.version, digest=slot.digest, weight=slot.weight, loaded=slot.digest in routes.loaded)
            for slot in (table.slots if table else ())
        ],
        refused=_refused(refusal) if refusal else None,
    )


def _refused(refusal: Refusal) -> schemas.Refused:
    return schemas.Refused(generation=refusal.generation, reason=refusal.reason)


def _request_id(request: Request) -> str | None:
    return request.scope.get("request_id")


async def _decoded(request: Request) -> object:
    """Return the JSON of a request.

    Raises:
        BodyTooLarge: it has more than BODY_BYTES.
        BodyMalformed: it is not JSON.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise BodyTooLarge(BODY_BYTES)
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyMalformed(str(error)) from error
    # Each key brings a colon: where there are more colons than keys, a key may have come twice, and only one of them was kept.
    if body.count(b":") > _keys(content):
        _require_unique_keys(body)
    return content


def _keys(content: object) -> int:
    """Return how many keys stand in an object, or in an object with a list of objects: no good request goes deeper."""
    if not isinstance(content, dict):
        return 0
    return len(content) + sum(sum(map(len, filter(_is_object, value))) for value in content.values() if type(value) is list)


def _is_object(value: object) -> bool:
    return type(value) is dict


def _require_unique_keys(body: bytes) -> None:
    """Read a body again, slowly.

    Raises:
        RequestInvalid: an object names a key twice.
    """

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, value in pairs:
            if key in seen:
                raise RequestInvalid([FieldProblem(str(shown(key)), None, "a key that stands once in its object; this one stands twice")])
            seen[key] = value
        return seen

    try:
        json.loads(body, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise BodyMalformed(str(error)) from error


def _member(payload: object, name: str) -> object:
    """Return the one member that the object of a request may have."""
    if not isinstance(payload, dict) or payload.keys() != {name}:
        found = _keys_of(payload) if isinstance(payload, dict) else shown(payload)
        raise RequestInvalid([FieldProblem("", found, f"an object with the one key {name}")], fix=BODY_FIX[name])
    return payload[name]


def _keys_of(payload: dict[object, object]) -> str | float | bool | None:
    return shown(f"an object with the keys {', '.join(sorted(map(str, payload)))}" if payload else "an object without a key")
