"""What a service says, as types. What a newer service says besides is passed over."""

from typing import Any

import msgspec

from treadle.errors import FieldProblem


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a prediction that the service says."""

    prediction_id: str
    model: str
    version: int
    prediction: str | float
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    fallback: bool = False


class Prediction(_Said, frozen=True, kw_only=True):
    """One answer.

    ``prediction`` is a class, with the ``confidence`` and the ``probabilities`` of all classes; a regression answers a number, and
    has neither. ``request_id`` is the id that the row is logged under, ``attempts`` how often its request was sent, and ``answer``
    the JSON as it came, byte for byte what is in the log.
    """

    request_id: str
    attempts: int
    answer: bytes

    @property
    def value(self) -> float | None:
        """The number that a regression answers; None for a classification."""
        return self.prediction if isinstance(self.prediction, float) else None


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What turned out to be true for the prediction that exactly one of three keys names; ``at`` in epoch seconds, without it: now."""

    value: str | float
    prediction_id: str | None = None
    request_id: str | None = None
    entity: str | None = None
    at: float | None = None


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """One version in one role; ``weight`` is its share of the traffic."""

    role: str
    version: int
    digest: str
    weight: float
    loaded: bool


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that the worker could not load; the one before it answers, if there is one."""

    generation: int
    reason: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What answers for a model at present; ``generation`` and ``version`` are empty while nothing does."""

    model: str
    generation: int | None
    version: int | None
    roles: list[Role]
    refused: Refused | None = None


class ModelDetail(Model, frozen=True, kw_only=True):
    """A model with what its champion's bundle says; ``row_schema`` is the JSON Schema of a row, and ``example`` a row that works."""

    digest: str
    task: str
    row_schema: dict[str, Any] = msgspec.field(name="schema")
    example: dict[str, Any]
    metrics: dict[str, Any]
    card: dict[str, Any]
    lineage: dict[str, Any]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process that answered."""

    status: str
    worker: int
    treadle: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the worker that answered can do its work, and what is ``missing`` if not."""

    ready: bool
    missing: list[str]
    generations: dict[str, int]
    refused: dict[str, Refused]
    trouble: str


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said about a version; it counts once it has reached the store."""

    id: str
    model: str
    version: int
    decision: str
    actor: str
    verdict: str | None = None


class _Batch(msgspec.Struct):
    predictions: list[msgspec.Raw]


class _Models(msgspec.Struct):
    models: list[Model]


class _Accepted(msgspec.Struct):
    accepted: int


class _Problem(msgspec.Struct):
    field: str
    value: str | int | float | bool | None
    allowed: str


class _Failure(msgspec.Struct):
    what: str
    fix: str = ""
    problems: list[_Problem] = []


class _Error(msgspec.Struct):
    error: _Failure


class Failure(msgspec.Struct, frozen=True):
    """The service's own words about a failure."""

    what: str
    fix: str
    fields: tuple[FieldProblem, ...]


_said = msgspec.json.Decoder(_Said)
_batch = msgspec.json.Decoder(_Batch)
_models = msgspec.json.Decoder(_Models)
_accepted = msgspec.json.Decoder(_Accepted)
_error = msgspec.json.Decoder(_Error)


def prediction(body: bytes, request_id: str, attempts: int) -> Prediction:
    """Read one answer.

    Raises:
        msgspec.DecodeError: it is none.
    """
    said = _said.decode(body)
    return Prediction(**msgspec.structs.asdict(said), request_id=request_id, attempts=attempts, answer=body)


def predictions(body: bytes, count: int, request_id: str, attempts: int) -> list[Prediction]:
    """Read the answers to a batch of ``count`` rows; row i is logged under ``<request_id>/<i>``.

    Raises:
        msgspec.DecodeError: they are none, or not as many.
    """
    found = _batch.decode(body).predictions
    if len(found) != count:
        message = f"{len(found)} answers to {count} rows"
        raise msgspec.DecodeError(message)
    return [prediction(bytes(answer), f"{request_id}/{place}", attempts) for place, answer in enumerate(found)]


def models(body: bytes) -> list[Model]:
    """Read the list of models."""
    return _models.decode(body).models


def accepted(body: bytes) -> int:
    """Read how many labels were taken."""
    return _accepted.decode(body).accepted


def failure(body: bytes) -> Failure | None:
    """Read what failed; None if these are not the words of Treadle."""
    try:
        told = _error.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Failure(told.what, told.fix, tuple(FieldProblem(one.field, one.value, one.allowed) for one in told.problems))
