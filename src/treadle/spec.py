"""The contract: what ``projects/<name>/model.yaml`` may say, and what it means.

It has two halves. The *interface* is sealed into each version. The *policy* is read from the workspace each time it is
needed, so that it can change without a new model; its digest stands in every verdict.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from treadle.errors import ContractInvalid

Task = Literal["binary", "multiclass", "regression"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, StringConstraints(pattern=r"^\S(.{0,198}\S)?$")]
RowsDigest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]

OUTPUT_COLUMNS = ("prediction", "score")
"""The model's own columns in a profile; no feature may be called so."""

_CLASSIFIED = ("accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc", "average_precision", "log_loss")
METRICS: dict[Task, tuple[str, ...]] = {"binary": _CLASSIFIED, "multiclass": _CLASSIFIED, "regression": ("mae", "rmse", "r2")}
"""The metrics that a policy of each task may name; ``training.metrics`` computes them."""

DEFAULT_METRIC: dict[Task, str] = {"binary": "roc_auc", "multiclass": "f1_macro", "regression": "rmse"}

FLOAT32_WHOLE = 2**24
"""Whole numbers up to here are exact in float32, in which every row travels."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    """Turn "500ms", "4s", "15m", "2h" or "30d" into seconds; leave the rest to pydantic."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)
        if not match:
            raise ValueError('a duration is a number with a unit ms, s, m, h or d, such as "30d"')
        return float(match[1]) * _UNITS[match[2]]
    return value


Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float), Field(ge=0)]
"""Seconds as a float; in YAML a number with a unit, such as 30d."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the canonical JSON of this part of the contract."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


# the interface


class NumberFeature(_Frozen):
    """A numeric column; ``integer`` refuses fractions."""

    name: Column = Field(description="Name of the column and of the field in a request.")
    type: Literal["number", "integer"] = Field(description="integer refuses fractions.")
    min: float | None = Field(None, description="Smallest value that a request may carry.")
    max: float | None = Field(None, description="Largest value that a request may carry.")
    required: bool = Field(default=True, description="Whether a request must carry it; a missing value is imputed in the graph.")
    description: str = Field("", description="What it is, with its unit; shown to callers.")
    example: float | None = Field(None, description="Value in the example request; empty: the middle of the range.")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"{self.name}: min {self.min} lies above max {self.max}")
        for bound in (self.min, self.max):
            if self.type == "integer" and bound is not None and abs(bound) > FLOAT32_WHOLE:
                raise ValueError(
                    f"{self.name}: whole numbers past {FLOAT32_WHOLE} are not exact in float32; scale it down or give it as a number"
                )
        return self

    @model_validator(mode="after")
    def _example_fits(self) -> Self:
        if self.example is not None:
            low = -math.inf if self.min is None else self.min
            high = math.inf if self.max is None else self.max
            whole = self.type == "number" or self.example.is_integer()
            if not (low <= self.example <= high and whole):
                raise ValueError(f"{self.name}: the example {self.example} is no value that a request may carry")
        return self


class CategoryFeature(_Frozen):
    """A column with a fixed list of values; its index in the list is what the graph sees, unknown is -1."""

    name: Column = Field(description="Name of the column and of the field in a request.")
    type: Literal["category"]
    categories: tuple[str, ...] = Field(min_length=1, description="The allowed texts; the order is sealed into each version.")
    required: bool = Field(default=True, description="Whether a request must carry it; a missing value is imputed in the graph.")
    description: str = Field("", description="What it is; shown to callers.")
    example: str | None = Field(None, description="Value in the example request; empty: the first category.")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"{self.name}: a category is listed twice")
        if self.example is not None and self.example not in self.categories:
            raise ValueError(f"{self.name}: the example {self.example!r} is not among the categories")
        return self


class BooleanFeature(_Frozen):
    """A column of true and false; 1 and 0 in the graph."""

    name: Column = Field(description="Name of the column and of the field in a request.")
    type: Literal["boolean"]
    required: bool = Field(default=True, description="Whether a request must carry it; a missing value is imputed in the graph.")
    description: str = Field("", description="What it is; shown to callers.")
    example: bool | None = Field(None, description="Value in the example request.")


Feature = Annotated[NumberFeature | CategoryFeature | BooleanFeature, Field(discriminator="type")]


class Target(_Frozen):
    """The column to predict; ``classes`` in the order of the graph's scores, none for a regression."""

    name: Column = Field(description="Name of the column.")
    classes: tuple[str, ...] = Field((), description="The classes in the order of the graph's scores; none for a regression.")
    positive: str | None = Field(None, description="The class that a binary metric counts as positive; empty: the last one.")


class Preprocessing(_Frozen):
    """What happens to the matrix inside the graph, before the estimator."""

    impute: Literal["median", "mean", "zero"] = Field("median", description="What a missing number becomes; fitted on training rows only.")
    categories: Literal["onehot", "codes"] = Field(
        "onehot", description="One column per category, or the index as a number, which trees do well with."
    )
    scale: bool = Field(default=False, description="Standardise the numbers.")


class Split(_Frozen):
    """How rows are held out, before anything is fitted."""

    by: Literal["random", "time", "entity"] = Field(
        "random", description="time: the latest rows are held out; entity: no entity stands on both sides."
    )
    holdout: float = Field(0.2, gt=0, lt=1, description="Share of the rows that training never sees.")
    folds: int = Field(5, ge=2, le=20, description="Parts of the cross-validation on the other rows.")


class Interface(_Frozen):
    """The half of the contract that is sealed into each version."""

    task: Task = Field(description="What is predicted: one of two classes, one of several, or a number.")
    target: Target = Field(description="The column to predict.")
    features: tuple[Feature, ...] = Field(min_length=1, description="The columns of a row, in the order of the matrix.")
    entity: Column | None = Field(None, description="Column that names whom a row is about: sticky routing, label joins, disjoint splits.")
    time: Column | None = Field(None, description="Column with the time of a row.")
    preprocessing: Preprocessing = Field(Preprocessing(), description="What happens to a row inside the graph, before the estimator.")
    split: Split = Field(Split(), description="How rows are held out.")

    @model_validator(mode="after")
    def _columns_have_one_part(self) -> Self:
        features = [feature.name for feature in self.features]
        parts = [name for name in (self.target.name, self.entity, self.time, *features) if name is not None]
        twice = sorted({name for name in parts if parts.count(name) > 1})
        if twice:
            raise ValueError(f"a column has one part, as one feature, target, entity or time; named twice: {', '.join(twice)}")
        taken = sorted(set(features) & set(OUTPUT_COLUMNS))
        if taken:
            raise ValueError(f"a feature cannot be called {' or '.join(taken)}: so the model's own output is called")
        return self

    @model_validator(mode="after")
    def _classes_fit_the_task(self) -> Self:
        classes, positive = self.target.classes, self.target.positive
        count = len(classes)
        wanted = {"binary": "exactly 2", "multiclass": "3 or more", "regression": "no"}[self.task]
        if not {"binary": count == 2, "multiclass": count >= 3, "regression": count == 0}[self.task]:
            raise ValueError(f"a {self.task} target has {wanted} classes, not {count}")
        if len(set(classes)) != count:
            raise ValueError("a class of the target is listed twice")
        if positive is not None and self.task != "binary":
            raise ValueError(f"only a binary target has a positive class; this one is {self.task}")
        if positive is not None and positive not in classes:
            raise ValueError(f"positive is {positive!r}, which is not among the classes {list(classes)}")
        return self

    @model_validator(mode="after")
    def _split_has_its_column(self) -> Self:
        if self.split.by == "time" and self.time is None:
            raise ValueError("split.by is time, but no time column is named")
        if self.split.by == "entity" and self.entity is None:
            raise ValueError("split.by is entity, but no entity column is named")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of the matrix, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def positive_index(self) -> int:
        """The column of the scores that belongs to the positive class of a binary task."""
        classes = self.target.classes
        return classes.index(self.target.positive) if self.target.positive is not None else len(classes) - 1

    @property
    def score_count(self) -> int:
        """How many scores the graph gives for a row: one per class, or the value."""
        return len(self.target.classes) or 1


# the policy


class GatePolicy(_Frozen):
    """What a version must show before it may have a role."""

    metric: str = Field("", description="The metric that versions are compared by; empty: roc_auc, f1_macro or rmse by task.")
    minimum: dict[str, float] = Field({}, description="Smallest allowed value per metric (largest for an error such as rmse).")
    baseline_margin: float = Field(0.0, ge=0, description="By how much the metric must beat the trivial baseline.")
    champion_margin: float = Field(0.01, ge=0, description="How much worse than the champion is still 'not worse'.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence of every interval.")
    min_rows: int = Field(30, ge=1, description="Fewest rows on which a comparison counts.")
    parity_share: float = Field(
        0.0, ge=0, le=1, description="Largest share of rows on which graph and estimator may differ by more than 1e-5."
    )
    latency: Duration = Field(0.1, description="Longest p95 of one row in the engine.")


class DriftPolicy(_Frozen):
    """When the inputs or the predictions count as drifted."""

    window: Duration = Field(86400.0, description="Length of the window that is compared with the reference.")
    min_rows: int = Field(500, ge=1, description="Fewest rows of a window that is judged.")
    score: float = Field(0.3, ge=0, le=1, description="Alarm above this importance-weighted share of drifted features.")
    effect: float = Field(0.2, gt=0, description="Population stability index from which a feature counts as drifted.")
    severe: float = Field(1.0, gt=0, description="Population stability index of one feature that alarms by itself.")
    alpha: float = Field(0.001, gt=0, lt=1, description="Significance a drifted feature must also reach, over all features together.")


class QualityPolicy(_Frozen):
    """When late labels say that the model has become worse."""

    metric: str = Field("", description="Empty: the gate's metric.")
    limit: float | None = Field(None, description="Alarm when the interval lies beyond this value; empty: max_drop decides.")
    max_drop: float = Field(0.05, ge=0, description="Alarm when the interval lies this much below the sealed holdout value.")
    window: Duration = Field(7 * 86400.0, description="Length of the window of matured rows that is judged.")
    min_rows: int = Field(200, ge=1, description="Fewest labelled rows of a window that is judged.")


class LabelPolicy(_Frozen):
    """How late labels are counted."""

    maturity: Duration = Field(30 * 86400.0, description="A prediction is judged only when it is this old.")
    missing: Literal["exclude", "negative"] = Field("exclude", description="What a label that has not come by then means.")
    expire: Duration = Field(90 * 86400.0, description="After this an orphan label stops waiting for its prediction.")


class RolloutPolicy(_Frozen):
    """How a challenger meets live traffic."""

    weight: float = Field(0.1, gt=0, lt=1, description="Share of traffic that the canary answers.")
    looks: int = Field(4, ge=1, le=4, description="How many times the canary is judged; each look has alpha / looks.")
    rows: int = Field(400, ge=4, description="Predictions of the canary at the last look; the looks are spread evenly.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance of harm, over all looks together.")
    max_errors: float = Field(0.05, ge=0, lt=1, description="Share of failed predictions beyond which the canary is harmful.")
    max_disagreement: float = Field(0.1, ge=0, le=1, description="How far live disagreement with the champion may lie from the rehearsed.")
    deadline: Duration = Field(86400.0, description="Longest time until the last look.")
    on_deadline: Literal["abort", "promote"] = Field("abort", description="What happens to a canary that had too little traffic by then.")


class SloPolicy(_Frozen):
    """What callers are promised."""

    latency: Duration = Field(0.5, description="Longest p95 of a prediction.")
    availability: float = Field(0.999, gt=0, lt=1, description="Share of requests that are answered.")
    error_rate: float = Field(0.05, ge=0, lt=1, description="Share of failed predictions that is still allowed.")


class RetrainPolicy(_Frozen):
    """When and from what a new challenger is trained."""

    automatic: bool = Field(default=True, description="Whether an alarm opens a turn of the loop.")
    min_rows: int = Field(1000, ge=10, description="Labelled, matured rows since the onset that a retraining needs.")
    max_rows: int = Field(100_000, ge=10, description="Most rows that a retraining uses, the latest ones.")
    judge_rows: int = Field(500, ge=10, description="Labelled rows after the training cut on which both versions are judged.")
    patience: Duration = Field(90 * 86400.0, description="How long a turn waits for labels before it ends.")
    time_limit: Duration = Field(3600.0, description="Longest training.")
    backoff: Duration = Field(3600.0, description="Rest after a turn that failed.")
    new_labels: int = Field(100, ge=0, description="Newly matured labels that an open episode needs before it may try again.")
    max_failures: int = Field(3, ge=1, description="Failed turns in a row after which a person is asked.")

    @model_validator(mode="after")
    def _room_for_the_rows(self) -> Self:
        if self.max_rows < self.min_rows:
            raise ValueError(f"max_rows {self.max_rows} lies below min_rows {self.min_rows}")
        return self


class CardPolicy(_Frozen):
    """The part of the model card that a person writes."""

    purpose: str = Field("", description="What the model is for.")
    limitations: str = Field("", description="Where it must not be used or relied on.")
    contact: str = Field("", description="Whom to ask.")


class Policy(_Frozen):
    """The half of the contract that is read from the workspace each time it is needed."""

    owner: str = Field("", description="Who answers for the model.")
    gate: GatePolicy = Field(GatePolicy(), description="What a version must show before it may have a role.")
    drift: DriftPolicy = Field(DriftPolicy(), description="When the inputs or the predictions count as drifted.")
    quality: QualityPolicy = Field(QualityPolicy(), description="When late labels say that the model has become worse.")
    labels: LabelPolicy = Field(LabelPolicy(), description="How late labels are counted.")
    rollout: RolloutPolicy = Field(RolloutPolicy(), description="How a challenger meets live traffic.")
    slo: SloPolicy = Field(SloPolicy(), description="What callers are promised.")
    retrain: RetrainPolicy = Field(RetrainPolicy(), description="When and from what a new challenger is trained.")
    card: CardPolicy = Field(CardPolicy(), description="The part of the model card that a person writes.")


# the data and the whole


class BundledSource(_Frozen):
    """Data that a library carries; ``load`` in model.py gets no file."""

    kind: Literal["bundled"]
    library: str = Field(description="Name of the library that carries the data.")


class MirrorSource(_Frozen):
    """A file in the mirror folder (TREADLE_DATA_MIRROR)."""

    kind: Literal["mirror"]
    file: str = Field(description="Name of the file in the mirror folder.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")


class DownloadSource(_Frozen):
    """A file on the network."""

    kind: Literal["download"]
    url: str = Field(pattern=r"^https?://", description="Where the file is.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")


class SimulatedSource(_Frozen):
    """Rows that ``synthesize`` in model.py makes up; labelled simulated in lineage and card."""

    kind: Literal["simulated"]
    rows: int = Field(5000, ge=50, description="How many rows to make up.")


Source = Annotated[BundledSource | MirrorSource | DownloadSource | SimulatedSource, Field(discriminator="kind")]


class Contract(_Frozen):
    """One description of one model: everything else is derived from it."""

    name: Name = Field(description="Name of the model, the same as that of its folder.")
    description: str = Field("", description="What the model answers, in a sentence.")
    data: tuple[Source, ...] = Field(min_length=1, description="Where the data come from, tried in order.")
    interface: Interface = Field(description="The half that is sealed into each version.")
    policy: Policy = Field(Policy(), description="The half that is read from the workspace each time it is needed.")

    @model_validator(mode="after")
    def _policy_fits_the_task(self) -> Self:
        known = METRICS[self.interface.task]
        for name in (self.policy.gate.metric, self.policy.quality.metric, *self.policy.gate.minimum):
            if name and name not in known:
                raise ValueError(f"the policy names the metric {name!r}; a {self.interface.task} model has {', '.join(known)}")
        if self.policy.labels.missing == "negative" and self.interface.task != "binary":
            raise ValueError("labels.missing can be negative only where there are two classes")
        return self

    @property
    def metric(self) -> str:
        """The metric by which versions of this model are compared."""
        return self.policy.gate.metric or DEFAULT_METRIC[self.interface.task]


def contract_schema() -> dict[str, Any]:
    """Return the JSON Schema of a ``model.yaml``."""
    return Contract.model_json_schema()


def load_contract(path: Path, overlay: str = "") -> Contract:
    """Read a ``model.yaml``, with ``policy.<overlay>.yaml`` beside it laid over the policy half if it exists.

    Raises:
        ContractInvalid: the file is missing, is not YAML, or breaks a rule; each problem names its key.
    """
    content = _read_yaml(path)
    contract = _validated(path, content)
    over = path.with_name(f"policy.{overlay}.yaml")
    if overlay and over.is_file():
        contract = _validated(over, {**content, "policy": _laid_over(content.get("policy") or {}, _read_yaml(over))})
    return contract


def _validated(path: Path, content: dict[str, Any]) -> Contract:
    try:
        return Contract.model_validate(content)
    except ValidationError as error:
        raise ContractInvalid(path, _problems(error)) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractInvalid(path, [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractInvalid(path, [f"is not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ContractInvalid(path, [f"holds {type(content).__name__}, not a mapping of keys"])
    return content


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _problems(error: ValidationError) -> list[str]:
    """Return a line per problem. A list is not also called too short because its items were refused."""
    items = error.errors()
    refused = {item["loc"][:depth] for item in items for depth in range(len(item["loc"]))}
    told = [item for item in items if item["type"] != "too_short" or item["loc"] not in refused]
    return [_problem(item["loc"], item["type"], item["msg"], item["input"]) for item in told]


def _problem(location: Sequence[int | str], kind: str, message: str, value: object) -> str:
    key = ".".join(map(str, location)) or "the contract"
    if kind == "extra_forbidden":
        return f"{key}: there is no such key"
    said = message.removeprefix("Value error, ")
    if isinstance(value, dict):  # the problem is what the mapping lacks or how its keys go together
        return f"{key}: {said}"
    shown = repr(value)
    hint = (
        "; put it in quotes, for YAML takes it for something else"
        if kind == "string_type" and isinstance(value, bool | int | float)
        else ""
    )
    return f"{key}: {said} (it is {shown if len(shown) < 80 else shown[:77] + '...'}{hint})"
