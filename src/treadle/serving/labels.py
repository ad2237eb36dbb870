"""What turned out to be true, on its way to the log. A label may come late, twice, or before its prediction: the log sorts it out."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from treadle.engine.answer import label_index
from treadle.errors import FieldProblem, LabelInvalid, RequestInvalid
from treadle.serving.ids import uuid7
from treadle.serving.inference import Inference, listed
from treadle.serving.spool import LabelRecord
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
            message = "allowed: exactly one of prediction_id, request_id, entity"
            raise ValueError(message)
        return self


async def accept(inference: Inference, model: str, payloads: object, *, now: float) -> int:
    """Log these labels; return how many they are.

    Raises:
        ModelNotServed: no such model is deployed.
        RequestInvalid: a label is refused; none is logged.
        LogUnavailable: they could not be logged.
    """
    interface = inference.routes.champion(model).interface
    records: list[LabelRecord] = []
    problems: list[FieldProblem] = []
    for index, payload in enumerate(listed(payloads, "labels")):
        try:
            records.append(_record(interface, model, payload, now))
        except ValidationError as error:
            problems += refused(error.errors(), f"labels.{index}.")
        except RequestInvalid as error:
            problems += [problem._replace(field=f"labels.{index}.{problem.field}") for problem in error.fields]
        except LabelInvalid as error:
            problems.append(FieldProblem(f"labels.{index}.value", str(error.value), error.allowed))
    if problems:
        raise RequestInvalid(problems)
    await inference.log(records)
    return len(records)


def _record(interface: Interface, model: str, payload: object, now: float) -> LabelRecord:
    label = Label.model_validate(payload)
    value = label.value if isinstance(label.value, str) else f"{label.value:.17g}"
    label_index(interface, [value])
    at = now if label.at is None else label.at
    if at > now + CLOCK_SECONDS:
        raise RequestInvalid([FieldProblem("at", at, f"up to now, which is {now:.0f}; it cannot have become true later")])
    return LabelRecord(uuid7(now), model, value, at, now, label.prediction_id, label.request_id, label.entity)


def refused(errors: Any, at: str = "") -> list[FieldProblem]:
    """Return what pydantic refused, in our words; ``at`` says where the whole stands in the request."""
    problems = []
    for error in errors:
        value = error["input"]
        shown = value if isinstance(value, str | int | float | None) else type(value).__name__
        field = f"{at}{'.'.join(map(str, error['loc']))}".rstrip(".")
        problems.append(FieldProblem(field, shown, error["msg"].removeprefix("Value error, ")))
    return problems
