"""What turned out to be true, on its way to the log. A label may come late, twice, or before its prediction: the log sorts it out."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from treadle.engine.answer import label_index, values_allowed
from treadle.engine.encode import NOT_SHOWN, shown
from treadle.errors import FieldProblem, LabelInvalid, RequestInvalid, choose_from
from treadle.identity import Pseudonyms
from treadle.serving.ids import uuid7
from treadle.serving.inference import Inference, listed
from treadle.serving.records import LabelRecord
from treadle.spec import Interface

KEY_LENGTH = 256

CLOCK_SECONDS = 300.0
"""How far a caller's clock may be ahead of ours. A label from later on would outlast every true one: the last one counts."""


def _printable(text: str) -> str:
    if not text.isprintable():
        message = "allowed: printable characters"
        raise ValueError(message)
    return text


Key = Annotated[str, Field(min_length=1, max_length=KEY_LENGTH), AfterValidator(_printable)]


KEY_ALLOWED = f"a text of 1 to {KEY_LENGTH} printable characters"
ALLOWED = {
    "": "an object with value, one of prediction_id, request_id and entity, and at if you like",
    "prediction_id": KEY_ALLOWED,
    "request_id": KEY_ALLOWED,
    "entity": KEY_ALLOWED,
    "at": "a time in epoch seconds, from 0 on",
}
"""What the parts of a label may be; its value is the interface's to say."""


NAMES = ("request_id", "entity")
"""By what a person can be known; a model with ``pseudonymize`` keeps and repeats neither."""

QUEUED = "The loop joins a label once its prediction is known; until then it waits, and `treadle status` counts it."
"""What a worker can say of a label: it does not read the store, so it cannot know whether there is such a prediction."""

LABEL_FIX = 'A label is such as {"prediction_id": "...", "value": "..."}; POST /labels in GET /docs describes it.'


class Label(BaseModel):
    """One true value, for the prediction that exactly one of three keys names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prediction_id: Key | None = Field(None, description="The id that the answer carried.")
    request_id: Key | None = Field(None, description="Your own X-Request-ID; for row i of a batch <id>/<i>.")
    entity: Key | None = Field(None, description="Whom the row was about: its latest prediction at or before `at`.")
    value: str | float = Field(description="The true class, or the true number of a regression.")
    at: float | None = Field(None, ge=0, lt=1e11, description="When it became true, in epoch seconds; empty: now.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if sum(key is not None for key in (self.prediction_id, self.request_id, self.entity)) != 1:
            message = "exactly one of prediction_id, request_id, entity"
            raise ValueError(message)
        return self


async def accept(inference: Inference, model: str, payloads: object, *, now: float) -> int:
    """Log these labels; return how many they are.

    Raises:
        ModelNotServed: no such model is deployed.
        RequestInvalid: a label is refused; none is logged.
        LogUnavailable: they could not be logged.
    """
    routes = inference.routes
    interface, hidden = routes.champion(model).interface, routes.pseudonyms.get(model)
    records: list[LabelRecord] = []
    problems: list[FieldProblem] = []
    for index, payload in enumerate(listed(payloads, "labels")):
        try:
            records.append(_record(interface, model, payload, now, hidden))
        except ValidationError as error:
            problems += _refused(interface, error, f"labels.{index}.", hide=hidden is not None)
        except RequestInvalid as error:
            problems += [problem._replace(field=f"labels.{index}.{problem.field}") for problem in error.fields]
        except LabelInvalid as error:
            problems.append(FieldProblem(f"labels.{index}.value", str(error.value), error.allowed))
    if problems:
        raise RequestInvalid(problems, fix=LABEL_FIX)
    await inference.log(records)
    return len(records)


def _record(interface: Interface, model: str, payload: object, now: float, hidden: Pseudonyms | None) -> LabelRecord:
    label = Label.model_validate(payload)
    if label.entity is not None and interface.entity is None:
        allowed = f"prediction_id or request_id: {model} has no entity, so no prediction can be found by one"
        raise RequestInvalid([FieldProblem("entity", NOT_SHOWN if hidden else label.entity, allowed)])
    value = label.value if isinstance(label.value, str) else f"{label.value:.17g}"
    label_index(interface, [value])
    at = now if label.at is None else label.at
    if at > now + CLOCK_SECONDS:
        raise RequestInvalid([FieldProblem("at", at, f"up to now, which is {now:.0f}; it cannot have become true later")])
    # By the same hash as the prediction that it is for, so that they meet in the log.
    request, entity = (hidden.of(name) if hidden and name is not None else name for name in (label.request_id, label.entity))
    return LabelRecord(uuid7(now), model, value, at, now, label.prediction_id, request, entity)


def _refused(interface: Interface, error: ValidationError, at: str, *, hide: bool) -> list[FieldProblem]:
    """Return what is wrong with a label, a line per field; ``at`` says where the label stands in the request.

    ``hide``: the names in it are not repeated.
    """
    problems: dict[str, FieldProblem] = {}
    for one in error.errors():
        # A value that is neither text nor number is told twice, once as each.
        field = str(one["loc"][0]) if one["loc"] else ""
        if one["type"] == "extra_forbidden":
            allowed = f"no such field: {choose_from(Label.model_fields)}"
        elif one["type"] == "value_error" and not field:
            allowed = one["msg"].removeprefix("Value error, ")
        else:
            allowed = ALLOWED[field] if field in ALLOWED else values_allowed(interface)
        missing = one["type"] == "missing"
        value = NOT_SHOWN if hide and field in NAMES else shown(one["input"])
        told = f"{allowed}; it is required" if missing else allowed
        problems[field] = FieldProblem(f"{at}{field}".rstrip("."), None if missing else value, told)
    return list(problems.values())
