"""The half of the contract that is sealed into each version: task, target, features, preprocessing, split."""

import math
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from treadle.spec.part import Column, Frozen

Task = Literal["binary", "multiclass", "regression"]

OUTPUT_COLUMNS = ("prediction", "score")
"""The model's own columns in a profile; no feature may be called so."""

FLOAT32_WHOLE = 2**24
"""Whole numbers up to here are exact in float32, in which every row travels."""


class NumberFeature(Frozen):
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


class CategoryFeature(Frozen):
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


class BooleanFeature(Frozen):
    """A column of true and false; 1 and 0 in the graph."""

    name: Column = Field(description="Name of the column and of the field in a request.")
    type: Literal["boolean"]
    required: bool = Field(default=True, description="Whether a request must carry it; a missing value is imputed in the graph.")
    description: str = Field("", description="What it is; shown to callers.")
    example: bool | None = Field(None, description="Value in the example request.")


class DateFeature(Frozen):
    """A column of calendar days; the graph sees how many days after 1970-01-01 each one is."""

    name: Column = Field(description="Name of the column and of the field in a request.")
    type: Literal["date"]
    min: date | None = Field(None, description="Earliest day that a request may carry.")
    max: date | None = Field(None, description="Latest day that a request may carry.")
    required: bool = Field(default=True, description="Whether a request must carry it; a missing value is imputed in the graph.")
    description: str = Field("", description="What it is; shown to callers.")
    example: date | None = Field(None, description="Day in the example request; empty: the earliest one allowed.")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"{self.name}: min {self.min} lies after max {self.max}")
        if self.example is not None and not (self.min or date.min) <= self.example <= (self.max or date.max):
            raise ValueError(f"{self.name}: the example {self.example} is no day that a request may carry")
        return self


EPOCH = date(1970, 1, 1)
"""The day that a matrix counts days from."""

Feature = Annotated[NumberFeature | CategoryFeature | BooleanFeature | DateFeature, Field(discriminator="type")]


class Target(Frozen):
    """The column to predict; ``classes`` in the order of the graph's scores, none for a regression."""

    name: Column = Field(description="Name of the column.")
    classes: tuple[str, ...] = Field((), description="The classes in the order of the graph's scores; none for a regression.")
    positive: str | None = Field(None, description="The class that a binary metric counts as positive; empty: the last one.")


class Preprocessing(Frozen):
    """What happens to the matrix inside the graph, before the estimator."""

    input: Literal["matrix", "columns"] = Field(
        "matrix",
        description="columns: the estimator gets a DataFrame with the contract's columns and prepares it itself, without the keys below.",
    )
    impute: Literal["median", "mean", "zero"] = Field("median", description="What a missing number becomes; fitted on training rows only.")
    categories: Literal["onehot", "codes"] = Field(
        "onehot", description="One column per category, or the index as a number, which trees do well with."
    )
    scale: bool = Field(default=False, description="Standardise the numbers.")


class Split(Frozen):
    """How rows are held out, before anything is fitted."""

    by: Literal["random", "time", "entity"] = Field(
        "random", description="time: the latest rows are held out; entity: no entity stands on both sides."
    )
    holdout: float = Field(0.2, gt=0, lt=1, description="Share of the rows that training never sees.")
    folds: int = Field(5, ge=2, le=20, description="Parts of the cross-validation on the other rows.")


class Interface(Frozen):
    """The half of the contract that is sealed into each version."""

    task: Task = Field(description="What is predicted: one of two classes, one of several, or a number.")
    target: Target = Field(description="The column to predict.")
    features: tuple[Feature, ...] = Field(min_length=1, description="The columns of a row, in the order of the matrix.")
    entity: Column | None = Field(None, description="Column that names whom a row is about: sticky routing, label joins, disjoint splits.")
    pseudonymize: bool = Field(
        default=False,
        description="Whether log, events and traces hold a keyed hash instead of the entity and of the caller's request id.",
    )
    time: Column | None = Field(None, description="Column with the time of a row.")
    preprocessing: Preprocessing = Field(Preprocessing(), description="What happens to a row inside the graph, before the estimator.")
    split: Split = Field(Split(), description="How rows are held out.")

    @model_serializer(mode="wrap")
    def _unsaid(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave ``pseudonymize`` out where it is off: what was sealed before there was such a key has the same digest."""
        told: dict[str, Any] = serialize(self)
        if not self.pseudonymize:
            told.pop("pseudonymize", None)
        return told

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
    def negative_index(self) -> int | None:
        """The column of the scores that belongs to the other class of a binary task; None for another task."""
        return 1 - self.positive_index if self.task == "binary" else None

    @property
    def negative_class(self) -> str | None:
        """What a missing label means where the policy counts it: the class of a binary task that is not positive."""
        return None if self.negative_index is None else self.target.classes[self.negative_index]

    @property
    def score_count(self) -> int:
        """How many scores the graph gives for a row: one per class, or the value."""
        return len(self.target.classes) or 1
