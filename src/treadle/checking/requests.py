"""Requests: the example is answered, and what breaks the contract is refused by the name of its field."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.checking.case import Case, Found, Refused
from treadle.engine.encode import Encoder, example
from treadle.errors import RequestInvalid
from treadle.spec import FLOAT32_WHOLE, BooleanFeature, CategoryFeature, DateFeature, Feature, Interface, NumberFeature

NO_CATEGORY = "no such category \N{SNOWMAN}"


def answers_example(case: Case) -> Found:
    """Answer the example request, and the same with every optional field left out."""
    encoder, row = Encoder(case.interface), example(case.interface)
    bare = {feature.name: row[feature.name] for feature in case.interface.features if feature.required}
    matrix, _ = encoder.batch([row, bare])
    scores = case.engine.run(matrix)
    return Found(f"{_shown(case.interface, scores)}, and without its optional fields {_shown(case.interface, scores[1:])}")


def _shown(interface: Interface, scores: NDArray[np.float32]) -> str:
    if interface.task == "regression":
        return f"{scores[0, 0]:.4g}"
    best = int(scores[0].argmax())
    return f"{interface.target.classes[best]} ({scores[0, best]:.0%})"


def refuses_wrong(case: Case) -> Found:
    """Send rows with one thing wrong each; every one must be refused, and for that field alone."""
    encoder, row = Encoder(case.interface), example(case.interface)
    wrong = list(wrong_rows(case.interface, row))
    for field, what, payload in wrong:
        named = _refused(encoder, payload)
        if named != {field}:
            told = f"names {', '.join(sorted(named))}" if named else "is accepted"
            raise Refused(f"A row with {what} for {field} {told}.", fix="That is a defect of Treadle: please report it with model.yaml.")
    return Found(f"{len(wrong)} rows with one thing wrong, each refused by the name of the field")


def wrong_rows(interface: Interface, row: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the field that is wrong, what is wrong with it, and the row, made from a good one."""
    for feature in interface.features:
        if feature.required:
            yield feature.name, "no value", {name: value for name, value in row.items() if name != feature.name}
            yield feature.name, "null", row | {feature.name: None}
        for what, value in wrong_values(feature):
            yield feature.name, what, row | {feature.name: value}
    stranger = next(name for number in range(1000) if (name := f"no_such_field_{number}") not in {*row, interface.entity})
    yield stranger, "a value", row | {stranger: 1}
    if interface.entity is not None:
        yield interface.entity, "a number", row | {interface.entity: 17}


def wrong_values(feature: Feature) -> Iterator[tuple[str, Any]]:
    """Yield values that a feature does not allow, each with its name."""
    yield "a list", [1]
    if not isinstance(feature, BooleanFeature):
        yield "true", True
    if isinstance(feature, CategoryFeature):
        yield "a number", 1
        yield "an unknown category", NO_CATEGORY
        return
    yield "text", "no such value"
    if isinstance(feature, BooleanFeature):
        yield "a number", 1
    elif isinstance(feature, DateFeature):
        yield "a number", 20000
        yield from _outside_days(feature)
    else:
        yield "a number that is none", math.nan
        yield from _outside(feature)


def _outside(feature: NumberFeature) -> Iterator[tuple[str, float]]:
    if feature.min is not None:
        yield "a value below its range", feature.min - 1 - abs(feature.min)
    if feature.max is not None:
        yield "a value above its range", feature.max + 1 + abs(feature.max)
    if feature.type == "integer":
        yield "a fraction", (feature.min if feature.min is not None else feature.max if feature.max is not None else 0) + 0.5
        yield "a whole number past float32", FLOAT32_WHOLE + 2
    yield "a number past float32", 1e39


def _outside_days(feature: DateFeature) -> Iterator[tuple[str, str]]:
    yield "a day that there is not", "2023-02-30"
    if feature.min is not None and feature.min.year > 1:
        yield "a day before its range", (feature.min - timedelta(days=1)).isoformat()
    if feature.max is not None and feature.max.year < 9999:
        yield "a day after its range", (feature.max + timedelta(days=1)).isoformat()


def ranges(case: Case) -> Found:
    """Look for numbers and days of which any would be accepted."""
    open_ended = [
        one.name for one in case.interface.features if isinstance(one, NumberFeature | DateFeature) and one.min is None and one.max is None
    ]
    if open_ended:
        fix = "Give them `min` and `max` in model.yaml: the smallest and largest that can come, not those of the sample."
        return Found(f"anything is accepted for {', '.join(open_ended)}", fix, warns=True)
    return Found("every number and day has a limit")


def _refused(encoder: Encoder, payload: dict[str, Any]) -> set[str]:
    try:
        encoder.row(payload)
    except RequestInvalid as error:
        return {problem.field for problem in error.fields}
    return set()
