"""What the API takes and gives, as types.

What is the same for all models is a pydantic model; what each model defines for itself is a part of the OpenAPI description.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from treadle.engine.encode import example, row_model
from treadle.registry.abtest import Side
from treadle.registry.trial import Trial
from treadle.serving.access import needs
from treadle.serving.inference import BATCH_ROWS
from treadle.serving.labels import Label
from treadle.serving.request import REQUEST_ID_LENGTH
from treadle.spec import Interface
from treadle.state.consents import WORD
from treadle.state.deployments import Deployment

LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "schema": {"type": "integer", "minimum": 1},
    "description": "Bytes of the JSON head, where the body is binary tensors.",
}
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
"""How a batch of binary tensors is described: ``tensors`` says what it holds."""

REF = "#/components/schemas/"

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""A number that travels as text."""


class Problem(BaseModel):
    """One refused value."""

    field: str
    value: str | float | bool | None
    allowed: str


class Failure(BaseModel):
    """What failed, and what to do."""

    what: str
    fix: str
    problems: list[Problem]


class Error(BaseModel):
    """The body of every answer that is an error."""

    error: Failure


class Role(BaseModel):
    """One version in one role; ``weight`` is its share of the traffic."""

    role: Literal["champion", "canary", "arm", "fallback"]
    version: int
    digest: str
    weight: float
    loaded: bool


class Refused(BaseModel):
    """A generation that this worker could not load; the one before it answers, if there is one."""

    generation: int
    reason: str


class ModelSummary(BaseModel):
    """What answers for a model at present; ``generation`` and ``version`` are empty while nothing does."""

    model: str
    generation: int | None
    version: int | None
    roles: list[Role]
    refused: Refused | None


class Models(BaseModel):
    """Every deployed model."""

    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """A model with what its champion's bundle says."""

    digest: str
    task: str
    row_schema: dict[str, Any] = Field(serialization_alias="schema")
    example: dict[str, Any]
    metrics: dict[str, Any]
    card: dict[str, Any]
    lineage: dict[str, Any]


class Health(BaseModel):
    """This process answers."""

    status: Literal["ok"]
    worker: int
    treadle: str


class Ready(BaseModel):
    """Whether this worker can do its work.

    ``missing`` says what it still needs. ``refused`` generations and a ``trouble`` with the store leave it ready as long as an
    earlier generation of each model answers.
    """

    ready: bool
    missing: list[str]
    generations: dict[str, int]
    refused: dict[str, Refused]
    trouble: str


class Accepted(BaseModel):
    """How many labels were logged, and what becomes of them."""

    accepted: int
    note: str


class ConsentTaken(BaseModel):
    """What was said is logged, and counts when it has reached the store. ``verdict`` is what it is about, where that is known."""

    id: str
    model: str
    version: int
    decision: Literal["approve", "reject"]
    actor: str
    verdict: str | None


class Given(BaseModel):
    """One version in one role; ``weight`` is its share of the traffic."""

    role: Literal["champion", "canary", "arm", "fallback"]
    version: int
    weight: float


class Changed(BaseModel):
    """The new generation of one model."""

    model: str
    generation: int
    roles: list[Given]
    reason: str
    actor: str


class Switched(BaseModel):
    """What was changed, in one transaction; every worker follows within the pause of ``poll_seconds``, a quarter of a second at most."""

    deployments: list[Changed]

    @classmethod
    def of(cls, made: Sequence[Deployment]) -> "Switched":
        """Return what is told of new generations."""
        return cls(
            deployments=[
                Changed(
                    model=one.model,
                    generation=one.generation,
                    roles=[Given(role=slot.role, version=slot.version, weight=slot.weight) for slot in one.slots],
                    reason=one.reason,
                    actor=one.actor,
                )
                for one in made
            ]
        )


class Compared(BaseModel):
    """How one version of an A/B test does: rows routed to it, how many have a label, and the metric on those with its interval.

    ``gain`` is what an arm is better by than the champion (for errors too), with the interval and the p-value of that; the champion has
    none. What is not defined yet is null.
    """

    version: int
    role: Literal["champion", "arm"]
    weight: float
    answered: int
    failed: int
    labelled: int
    entities: int
    value: float | None
    low: float | None
    high: float | None
    outcome: Literal["better", "worse", "open", "early"] | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    p_value: float | None = None
    needed: int | None = None
    sentence: str = ""


class ABReport(BaseModel):
    """What an A/B test has shown; ``since`` and ``until`` (epoch seconds) bound when the rows were predicted that count."""

    model: str
    generation: int
    since: float
    until: float
    metric: str
    alpha: float
    versions: list[Compared]

    @classmethod
    def of(cls, trial: Trial) -> "ABReport":
        """Return what is told of a test."""
        found = trial.report
        return cls(
            model=trial.model,
            generation=trial.generation,
            since=trial.since,
            until=trial.until,
            metric=found.metric,
            alpha=found.alpha,
            versions=[
                Compared(**_side(found.champion, trial), role="champion"),
                *(
                    Compared(
                        **_side(arm.side, trial),
                        role="arm",
                        outcome=arm.outcome,
                        gain=_finite(arm.gain),
                        gain_low=_finite(arm.low),
                        gain_high=_finite(arm.high),
                        p_value=arm.p_value,
                        needed=arm.needed,
                        sentence=arm.sentence,
                    )
                    for arm in found.arms
                ),
            ],
        )


def _side(side: Side, trial: Trial) -> dict[str, Any]:
    counts = {name: getattr(side, name) for name in ("version", "answered", "failed", "labelled", "entities")}
    return {**counts, "weight": trial.weights[side.version], **{name: _finite(getattr(side, name)) for name in ("value", "low", "high")}}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


REASON = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"reason": {"type": "string", "pattern": WORD, "description": "Why, for the record."}},
                    "required": ["reason"],
                    "additionalProperties": False,
                },
                "example": {"reason": "Looked at the card and at the errors by region."},
            }
        },
    },
    "security": [{"key": []}, {"bearer": []}],
}
"""What the routes of approve and reject take, which FastAPI does not see."""

SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of `treadle keys create`."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
}

SECURED: list[dict[str, list[str]]] = [{}, {"key": []}, {"bearer": []}]
"""A key is shown in one of two ways; on a service that asks for none, in neither."""

ERRORS: dict[int | str, dict[str, Any]] = {
    # A whole class, because FastAPI would add a 422 of its own shape to a 404 alone.
    "4XX": {"description": "No such model; the error lists those there are.", "model": Error},
    503: {"description": "Not now: the error says why.", "model": Error},
}


def row_schema(interface: Interface, name: str = "row") -> dict[str, Any]:
    """Return the JSON Schema of one row of a request."""
    return {**row_model(interface).model_json_schema(), "title": name}


def answer_schema(model: str, interface: Interface) -> dict[str, Any]:
    """Return the JSON Schema of one answer."""
    classes = list(interface.target.classes)
    share = {"type": "number", "minimum": 0, "maximum": 1}
    answer: dict[str, Any] = {"prediction": {"type": "number"}}
    if classes:
        shares = _object(dict.fromkeys(classes, share))
        answer = {"prediction": {"type": "string", "enum": classes}, "confidence": share, "probabilities": shares}
    known = {"prediction_id": {"type": "string", "format": "uuid"}, "model": {"const": model}, "version": {"type": "integer"}}
    return {**_object({**known, **answer, "fallback": {"type": "boolean"}}), "title": f"{model}_answer"}


class _Post(NamedTuple):
    """One operation of a model: the schemas that it takes and gives by name, and an example of what it takes."""

    name: str
    summary: str
    takes: str
    example: object
    gives: str
    status: int = 200


def paths(model: str, interface: Interface) -> dict[str, Any]:
    """Return the OpenAPI paths of one live model, each with an example that works."""
    row, value = example(interface), (interface.target.classes or ("1.5",))[0]
    labels = {"labels": [{"request_id": "my-request-1", "value": value}]}
    operations = {
        f"/predict/{model}": _Post("predict", "Predict one row", f"{model}_row", row, f"{model}_answer"),
        f"/predict/{model}/batch": _Post("batch", "Predict many rows", f"{model}_rows", {"rows": [row, row]}, f"{model}_answers"),
        f"/labels/{model}": _Post("labels", "Tell what turned out to be true", f"{model}_labels", labels, "Accepted", 202),
    }
    return {path: {"post": _described(model, operation)} for path, operation in operations.items()}


def guarded(paths: dict[str, Any]) -> dict[str, Any]:
    """Return these paths with the answers of those that ask for a key; where all of 4XX is described these are too."""
    failures = {401: "No key is shown, or one that nobody has", 403: "The key does not have the role", 429: "Too many requests of this key"}
    told = {str(code): {"description": text, "content": _json("Error")} for code, text in failures.items()}
    return {
        path: {method: _guarded(operation, needs(method.upper(), path) != "nothing", told) for method, operation in operations.items()}
        for path, operations in paths.items()
    }


def label_schema(interface: Interface) -> dict[str, Any]:
    """Return the JSON Schema of one label: its value is one that the interface knows, and exactly one key names the prediction."""
    schema = Label.model_json_schema()
    value: dict[str, Any] = {"type": "string", "enum": list(interface.target.classes)}
    numbers = [number for number in map(_number_told, interface.target.classes) if number is not None]
    if numbers:
        value = {"enum": [*interface.target.classes, *numbers]}
    elif not interface.target.classes:
        value = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": NUMBER}]}
    known = {**schema["properties"], "value": {**value, "description": schema["properties"]["value"]["description"]}}
    if interface.entity is None:
        known["entity"] = {"type": "null", "description": "This model has none."}
    keys = [key for key in ("prediction_id", "request_id", "entity") if key != "entity" or interface.entity]
    named = [{"required": [key], "properties": {key: {"type": "string"}}} for key in keys]
    return {**schema, "properties": known, "oneOf": named}


def components(model: str, interface: Interface) -> dict[str, Any]:
    """Return the schemas that ``paths`` refers to."""
    rows = {"type": "array", "items": {"$ref": f"{REF}{model}_row"}, "minItems": 1, "maxItems": BATCH_ROWS}
    labels = {"type": "array", "items": label_schema(interface), "minItems": 1, "maxItems": BATCH_ROWS}
    return {
        f"{model}_row": row_schema(interface, f"{model}_row"),
        f"{model}_rows": _object({"rows": rows}),
        f"{model}_answer": answer_schema(model, interface),
        f"{model}_answers": _object({"predictions": {"type": "array", "items": {"$ref": f"{REF}{model}_answer"}}}),
        f"{model}_labels": _object({"labels": labels}),
        "Accepted": Accepted.model_json_schema(),
        "Error": _object({"error": {"$ref": f"{REF}Failure"}}),
        "Failure": _object(
            {"what": {"type": "string"}, "fix": {"type": "string"}, "problems": {"type": "array", "items": {"$ref": f"{REF}Problem"}}}
        ),
        "Problem": Problem.model_json_schema(),
    }


def _described(model: str, operation: _Post) -> dict[str, Any]:
    failures = {
        404: "No such model",
        422: "Refused: the problems name field, value and what is allowed",
        503: "Not now: the error says why",
    }
    takes, gives = _json(operation.takes, example=operation.example), _json(operation.gives)
    allowed = {"type": "string", "maxLength": REQUEST_ID_LENGTH, "pattern": "^[ -~]*$"}
    header = {"name": "X-Request-ID", "in": "header", "schema": allowed, "description": "Your own id; it is sent back."}
    return {
        "tags": [model],
        "summary": operation.summary,
        "operationId": f"{operation.name}_{model}",
        "parameters": [header, LENGTH] if operation.name == "batch" else [header],
        "requestBody": {"required": True, "content": takes | (BINARY if operation.name == "batch" else {})},
        "responses": {
            str(operation.status): {"description": "Done", "content": gives | (BINARY if operation.name == "batch" else {})},
            **{str(code): {"description": text, "content": _json("Error")} for code, text in failures.items()},
        },
    }


def _guarded(operation: dict[str, Any], asks: bool, told: dict[str, Any]) -> dict[str, Any]:  # noqa: FBT001
    """Return an operation with what it answers to those who may not ask, or with the word that everybody may."""
    if not asks:
        return {**operation, "security": []}
    return operation if "4XX" in operation["responses"] else {**operation, "responses": {**told, **operation["responses"]}}


def _number_told(text: str) -> float | None:
    """Return the number that is told as this text where it stands for a class, if there is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if f"{number:.17g}" == text else None


def _json(schema: str, **more: object) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"{REF}{schema}"}, **more}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
