"""HTTP in front of inference: routes translate, and nothing else."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from treadle import __version__
from treadle.engine.encode import example
from treadle.errors import ANY_MODEL, FieldProblem, RequestInvalid, TreadleError
from treadle.serving import front, schemas
from treadle.serving.admin import Admin, Asking, Back, Start, Stop, Versions, body, schema
from treadle.serving.front import Front, RequestIds, refused
from treadle.serving.hot import HotPath
from treadle.serving.inference import Inference
from treadle.serving.loaded import Routes
from treadle.serving.metrics import scrape
from treadle.serving.people import People
from treadle.serving.request import decoded, member, read
from treadle.serving.schemas import ABReport, ConsentTaken, Health, ModelDetail, Models, ModelSummary, Ready, Switched
from treadle.serving.status import FAILED, body_of, headers_of, status_of, told, unrouted
from treadle.serving.tracing import OFF, Tracing
from treadle.state.consents import Decision, why
from treadle.state.deployments import Deployment

VersionNumber = Annotated[int, Path(ge=1, lt=2**31, description="Number of the version.")]


def create_app(
    inference: Inference,
    registry: CollectorRegistry,
    *,
    people: People | None = None,
    admin: Admin | None = None,
    clock: Callable[[], float] = time.time,
    tracing: Tracing = OFF,
) -> HotPath:
    """Return the whole application around ``inference``, made at once. What it is made of is said of ``create_routes``."""
    behind = create_routes(inference, registry, people=people, admin=admin, clock=clock)
    return HotPath(RequestIds(Front(behind, inference), tracing), inference, clock=clock, tracing=tracing)


def create_routes(
    inference: Inference,
    registry: CollectorRegistry,
    *,
    people: People | None = None,
    admin: Admin | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Return the routes behind the hot path and the probes; ``registry`` holds the metrics where it is the only process.

    Without ``people`` nobody can agree to a version here, and without ``admin`` nobody can change a role.
    """
    # The pages of the API come from this process: a browser without internet shows them too.
    app = FastAPIOffline(
        title="Treadle",
        version=__version__,
        description="Predictions, labels and the state of every deployed model.",
    )
    _add_errors(app, inference)
    _add_models(app, inference)
    if people is not None:
        _add_consents(app, inference, people, clock)
    if admin is not None:
        _add_roles(app, admin)
    _add_state(app, inference, registry)
    app.openapi = _OpenApi(app.openapi, inference)  # type: ignore[method-assign]
    return app


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
        reason = why(f"{decision} a version", member(decoded(await read(request.receive)), "reason"))
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


def _add_roles(app: FastAPI, admin: Admin) -> None:
    """Add the routes that change roles, and that tell what an A/B test has shown."""

    async def done(request: Request, kind: type[Asking], change: Callable[[str, Asking], list[Deployment]]) -> Switched:
        actor = await asyncio.to_thread(admin.actor, request)
        return Switched.of(await asyncio.to_thread(change, actor, await body(request, kind)))

    def documented(kind: type[Struct], example: object) -> dict[str, Any]:
        return {"tags": ["roles"], "responses": schemas.ERRORS, "openapi_extra": schema(kind, example)}

    because = "Errors rose after the release."

    @app.post("/models/{model}/rollback", summary="Bring back an older generation's roles", **documented(Back, {"reason": because}))
    async def rollback(request: Request, model: str) -> Switched:
        return await done(request, Back, lambda actor, asked: admin.roll_back(actor, model, asked))

    @app.post(
        "/deployments",
        summary="Give versions of several models all traffic, in one transaction",
        **documented(Versions, {"reason": "They belong together.", "models": {"iris": 3, "churn": 5}}),
    )
    async def switch(request: Request) -> Switched:
        return await done(request, Versions, admin.switch)

    @app.post("/models/{model}/ab", summary="Start an A/B test", **documented(Start, {"reason": "Compare them.", "arms": {"5": 0.2}}))
    async def start(request: Request, model: str) -> Switched:
        return await done(request, Start, lambda actor, asked: admin.start(actor, model, asked))

    @app.post("/models/{model}/ab/stop", summary="End an A/B test", **documented(Stop, {"reason": "It is better.", "promote": 5}))
    async def stop(request: Request, model: str) -> Switched:
        return await done(request, Stop, lambda actor, asked: admin.stop(actor, model, asked))

    @app.get("/models/{model}/ab", tags=["roles"], summary="What an A/B test has shown so far", responses=schemas.ERRORS)
    async def report(model: str) -> ABReport:
        return ABReport.of(await asyncio.to_thread(admin.report, model))


def _add_state(app: FastAPI, inference: Inference, registry: CollectorRegistry) -> None:
    # Before these stands ``Front``, which answers them in the same words; here they are described.
    @app.get("/health", tags=["state"], summary="Whether this process answers", response_model=Health)
    async def health() -> Response:
        return front.health()

    @app.get(
        "/ready",
        tags=["state"],
        summary="Whether every deployed model can be asked",
        response_model=Ready,
        responses={503: {"model": Ready}},
    )
    async def ready() -> Response:
        return front.ready(inference.routes)

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
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # Of several routes of one path the framework names the methods of the first alone.
            there = [route for route in app.routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE]
            headers = {"Allow": ", ".join(sorted({method for route in there for method in route.methods or ()}))}
        return JSONResponse(unrouted(request.scope, error.detail), error.status_code, headers=headers)

    @app.exception_handler(Exception)
    async def unforeseen(_request: Request, _error: Exception) -> Response:
        return JSONResponse(told(*FAILED), 500)


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
        refused=schemas.Refused(**refused(refusal)) if refusal else None,
    )
