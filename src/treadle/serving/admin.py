"""Roles by HTTP: what the routes of rollback, of several models at once and of A/B tests do.

Unlike what is predicted and what people say of a version, these write into the store themselves: whoever rolls back wants to know that it
is done. While the store is away they are refused, and nothing has changed. The gate cannot run here, since it needs what trains: a version
must hold a verdict that was given elsewhere.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from treadle.bundle.place import BundlePlace
from treadle.errors import FieldProblem, NotDeployed, ProjectNotFound, RequestInvalid
from treadle.projects import Project, find, names
from treadle.registry import roles, trial
from treadle.registry.roles import Asked, Change
from treadle.registry.trial import Trial
from treadle.serving.people import People
from treadle.serving.request import decoded, read
from treadle.settings import Workspace
from treadle.state import deployments, heads
from treadle.state.consents import WORD, why
from treadle.state.deployments import Deployment
from treadle.state.store import Store

Asking = TypeVar("Asking", bound=Struct)

Number = Annotated[int, Meta(ge=1, lt=2**31)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Reason = Annotated[str, Meta(pattern=WORD, description="Why, for the record.")]


KEYS = {"arms": "^[1-9][0-9]{0,8}$", "models": "^.+$", "generations": "^.+$"}
"""What the keys of these objects look like, which msgspec does not tell."""


class Back(Struct, forbid_unknown_fields=True):
    """What a rollback takes: why, and the generation whose roles come back (without one: the last with another champion)."""

    reason: Reason
    to: Number | None = None


class Versions(Struct, forbid_unknown_fields=True):
    """What switches several models at once: the version of each, and the generations that the caller has seen."""

    reason: Reason
    models: Annotated[dict[str, Number], Meta(min_length=1)]
    generations: dict[str, Annotated[int, Meta(ge=0, lt=2**31)]] = {}


class Start(Struct, forbid_unknown_fields=True):
    """What starts an A/B test: the share of each arm by the number of its version."""

    reason: Reason
    arms: Annotated[dict[Number, Share], Meta(min_length=1)]
    generation: Number | None = None


class Stop(Struct, forbid_unknown_fields=True):
    """What ends an A/B test: why, and the arm that becomes champion, if one does."""

    reason: Reason
    promote: Number | None = None


class Admin:
    """Changes the roles of a workspace's models in the name of a caller. Its methods block: call them in a thread."""

    def __init__(self, workspace: Workspace, connect: Callable[[], Store], *, people: People, clock: Callable[[], float]) -> None:
        self._workspace = workspace
        self._connect = connect
        self._people = people
        self._clock = clock
        self._one = threading.Lock()

    def actor(self, request: Request) -> str:
        """Return the name of who sends a request.

        Raises:
            NobodyNamed: nobody has asked who that is.
            RoleMissing: this one may not change roles.
        """
        return self._people.identify(request).require("operate").name

    def roll_back(self, actor: str, model: str, asked: Back) -> list[Deployment]:
        """Bring back an older generation of a model. Raises as ``roles.roll_back`` does."""
        change = self._change(actor, "roll a model back", asked.reason)
        with self._store() as store:
            _require_deployed(store, model)
            return roles.roll_back(self._workspace, store, {model: asked.to}, change)

    def switch(self, actor: str, asked: Versions) -> list[Deployment]:
        """Give a version of each of several models all traffic. Raises as ``roles.switch`` does."""
        change = self._change(actor, "switch models", asked.reason)
        each = [Asked(self._project(name), number, expected=asked.generations.get(name)) for name, number in asked.models.items()]
        with self._store() as store:
            return roles.switch(self._workspace, store, each, change)

    def start(self, actor: str, model: str, asked: Start) -> list[Deployment]:
        """Start an A/B test. Raises as ``roles.start_test`` does."""
        change, project = self._change(actor, "start an A/B test", asked.reason), self._project(model)
        with self._store() as store:
            return [roles.start_test(self._workspace, store, project, asked.arms, change, expected=asked.generation)]

    def stop(self, actor: str, model: str, asked: Stop) -> list[Deployment]:
        """End an A/B test, with the champion as it was or an arm in its place. Raises as ``roles.choose_arm`` does."""
        change = self._change(actor, "end an A/B test", asked.reason)
        with self._store() as store:
            _require_deployed(store, model)
            if asked.promote is None:
                return [roles.stop_test(store, model, change)]
            return [roles.choose_arm(self._workspace, store, self._project(model), asked.promote, change)]

    def report(self, model: str) -> Trial:
        """Return what an A/B test has shown. One at a time: it reads many rows.

        Raises:
            NoABTest: none runs.
        """
        project = self._project(model)
        with self._one, self._reading() as store, store.read() as conn:
            return trial.report(conn, BundlePlace.of(self._workspace), project, now=self._clock())

    def _project(self, model: str) -> Project:
        """Return the project of a model; a name that is none, however odd, is looked for on no disk.

        Raises:
            ProjectNotFound: there is none of this name.
        """
        known = names(self._workspace)
        if model not in known:
            raise ProjectNotFound(model, known)
        return find(self._workspace, model)

    def _change(self, actor: str, what: str, reason: str) -> Change:
        return Change(actor, self._clock(), why(what, reason))

    @contextmanager
    def _reading(self) -> Iterator[Store]:
        store = self._connect()
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def _store(self) -> Iterator[Store]:
        """Open the store for one change, which is signed at the end as a command's is."""
        with self._reading() as store, heads.signed(store, self._workspace.home):
            yield store


def _require_deployed(store: Store, model: str) -> None:
    with store.read() as conn:
        if model not in deployments.generations(conn):
            raise NotDeployed(model)


async def body(request: Request, kind: type[Asking]) -> Asking:
    """Return the body of a request as a ``kind``.

    Raises:
        BodyMalformed, BodyTooLarge, BodyTooSlow: it is no JSON, or none that is read to its end.
        RequestInvalid: it is not of this kind.
    """
    payload = _whole_numbers(decoded(await read(request.receive)))
    try:
        return msgspec.convert(payload, kind, strict=True, str_keys=True)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at ")
        problem = FieldProblem(place.strip("`$."), None, f"{said[:1].lower()}{said[1:]}; the keys are {', '.join(kind.__struct_fields__)}")
        raise RequestInvalid([problem], fix="GET /docs shows the body of this route.") from error


def _whole_numbers(payload: Any) -> Any:
    """Return a body with 3 for 3.0: JSON does not tell them apart."""
    if isinstance(payload, dict):
        return {key: _whole_numbers(value) for key, value in payload.items()}
    return int(payload) if isinstance(payload, float) and payload.is_integer() else payload


def schema(kind: type[Struct], example: object) -> dict[str, Any]:
    """Return what OpenAPI says of a body, which FastAPI does not see."""
    _, known = msgspec.json.schema_components([kind])
    described = known[kind.__name__]
    for name, pattern in KEYS.items():
        if name in described["properties"]:
            described["properties"][name]["propertyNames"] = {"pattern": pattern}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": described, "example": example}}},
        "security": [{"key": []}, {"bearer": []}],
    }
