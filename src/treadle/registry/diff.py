"""How two versions of a model differ. Pure: what is known of each in, differences out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from treadle.bundle.manifest import Lineage
from treadle.errors import ModelsDiffer, VersionNameInvalid
from treadle.spec import Interface
from treadle.spec.evolution import changes
from treadle.training.metrics import better

NAMED = ("champion", "canary", "fallback")

Value = str | float | bool | None
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Named:
    """A version as a person names it: ``which`` is its number, or the role that it has now."""

    model: str
    which: int | str


@dataclass(frozen=True)
class Side:
    """What is known of one version: what is sealed in its bundle, what its run kept, and who decided about it."""

    version: int
    digest: str
    interface: Interface
    lineage: Lineage
    card: Mapping[str, Any]
    snapshot: str | None
    params: Mapping[str, str]
    latency: float | None
    decided: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One thing that both versions have; None where one has it not."""

    name: str
    first: Value
    second: Value
    same: bool


@dataclass(frozen=True)
class Metric:
    """A metric of both on their holdouts; ``overlap`` of the intervals and who is ``better`` are None where they cannot be told."""

    name: str
    first: float | None
    second: float | None
    first_interval: Bounds | None
    second_interval: Bounds | None
    overlap: bool | None
    better: Literal["first", "second"] | None


@dataclass(frozen=True)
class Difference:
    """How the ``second`` version of a model differs from the ``first``.

    ``parameters`` are those that differ, ``interface`` sentences, ``importances`` by feature with the largest change first, and
    ``decided`` sentences, oldest first. ``same_holdout`` says whether the metrics were measured on the same rows.
    """

    model: str
    first: int
    second: int
    data: tuple[Fact, ...]
    same_holdout: bool
    parameters: tuple[Fact, ...]
    interface: tuple[str, ...]
    metrics: tuple[Metric, ...]
    importances: tuple[Fact, ...]
    costs: tuple[Fact, ...]
    decided: Mapping[str, tuple[str, ...]]


def named(text: str) -> Named:
    """Return the version that a text such as churn@3 or churn@champion names.

    Raises:
        VersionNameInvalid: it names none.
    """
    found = re.fullmatch(rf"([^@\s]+)@v?(\d{{1,9}}|{'|'.join(NAMED)})", text.strip())
    if found is None:
        raise VersionNameInvalid(text)
    return Named(found[1], int(found[2]) if found[2].isdigit() else found[2])


def require_one_model(first: Named, second: Named) -> str:
    """Return the model of both.

    Raises:
        ModelsDiffer: they are of two models.
    """
    if first.model != second.model:
        raise ModelsDiffer(first.model, second.model)
    return first.model


def compare(model: str, first: Side, second: Side) -> Difference:
    """Return how ``second`` differs from ``first``."""
    holdouts = {first.lineage.holdout_digest, second.lineage.holdout_digest}
    return Difference(
        model=model,
        first=first.version,
        second=second.version,
        data=tuple(_data(first, second)),
        same_holdout=len(holdouts) == 1 and "" not in holdouts,
        parameters=tuple(one for one in _facts(first.params, second.params) if not one.same),
        interface=tuple(change.sentence for change in changes(first.interface, second.interface)),
        metrics=tuple(_metrics(first.card, second.card)),
        importances=tuple(_importances(first.card, second.card)),
        costs=tuple(_costs(first, second)),
        decided={str(side.version): side.decided for side in (first, second)},
    )


def _fact(name: str, first: Value, second: Value) -> Fact:
    return Fact(name, first, second, first == second)


def _facts(first: Mapping[str, Value], second: Mapping[str, Value]) -> list[Fact]:
    return [_fact(name, first.get(name), second.get(name)) for name in {**first, **second}]


def _data(first: Side, second: Side) -> list[Fact]:
    return _facts(*[_origin(side) for side in (first, second)])


def _origin(side: Side) -> dict[str, Value]:
    lineage, counted = side.lineage, side.card.get("data", {})
    return {
        "source": lineage.data_source,
        "simulated": lineage.simulated,
        "rows": lineage.rows,
        "held-out rows": counted.get("holdout_rows"),
        "digest of the rows": lineage.data_digest,
        "snapshot": side.snapshot,
        "training cut": lineage.cut,
        "seed": lineage.seed,
        "code": lineage.code_digest,
        "commit": lineage.code_commit or None,
        "bundle": side.digest,
    }


def _metrics(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterable[Metric]:
    values = [card.get("metrics", {}) for card in (first, second)]
    intervals = [card.get("intervals", {}) for card in (first, second)]
    for name in {**values[0], **values[1]}:
        bounds = [tuple(one[name]) if name in one else None for one in intervals]
        yield Metric(name, values[0].get(name), values[1].get(name), bounds[0], bounds[1], _overlap(*bounds), _better(name, *values))


def _overlap(first: Bounds | None, second: Bounds | None) -> bool | None:
    if first is None or second is None:
        return None
    return first[0] <= second[1] and second[0] <= first[1]


def _better(name: str, first: Mapping[str, float], second: Mapping[str, float]) -> Literal["first", "second"] | None:
    if name not in first or name not in second or first[name] == second[name]:
        return None
    return "second" if better(name) * (second[name] - first[name]) > 0 else "first"


def _importances(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Fact]:
    facts = _facts(first.get("importances", {}), second.get("importances", {}))
    return sorted(facts, key=lambda one: -abs(float(one.second or 0) - float(one.first or 0)))


def _costs(first: Side, second: Side) -> list[Fact]:
    return _facts(*[_cost(side) for side in (first, second)])


def _cost(side: Side) -> dict[str, Value]:
    parity = side.card.get("parity", {})
    return {
        "share of rows where graph and estimator differ": parity.get("share_beyond"),
        "largest difference of the two": parity.get("max_difference"),
        "p95 of one row when it was trained, in seconds": side.latency,
    }
