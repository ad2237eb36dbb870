"""The world that is learned from a project's rows keeps the three promises of a world, measured on tables of many kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from pandas import DataFrame
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from treadle.bundle import profile
from treadle.data.frame import matrix, target
from treadle.data.validate import check
from treadle.monitoring import drift
from treadle.monitoring.drift import DriftReport
from treadle.simulation.learned import LearnedWorld
from treadle.spec import Contract, Interface
from treadle.training.fit import Fitted, fit
from treadle.training.metrics import better, measure
from treadle.training.pipeline import build_pipeline, scores_of

pytestmark = pytest.mark.integration

SEED = 3


@dataclass(frozen=True)
class Table:
    """A contract, its rows, and a model of them that was trained as Treadle trains."""

    contract: Contract
    frame: DataFrame

    @property
    def interface(self) -> Interface:
        return self.contract.interface

    def build(self, seed: int) -> Any:
        if self.interface.task == "multiclass":  # boosted trees on so few rows are surer of every row than those that made the profile
            return RandomForestClassifier(min_samples_leaf=3, n_jobs=1, random_state=seed)
        learner = LGBMRegressor if self.interface.task == "regression" else LGBMClassifier
        return learner(n_estimators=150, num_leaves=11, learning_rate=0.05, random_state=seed, n_jobs=1, verbose=-1)

    @cached_property
    def fitted(self) -> Fitted:
        return fit(self.contract, self.build, self.frame, SEED)

    @cached_property
    def world(self) -> LearnedWorld:
        return LearnedWorld(self.interface, self.frame, SEED)

    def fit(self, frame: DataFrame) -> Pipeline:
        return build_pipeline(self.interface, self.build(SEED)).fit(matrix(self.interface, frame), target(self.interface, frame))

    def value(self, model: Pipeline, frame: DataFrame) -> float:
        scores = scores_of(model, self.interface, matrix(self.interface, frame))
        return measure(self.interface, target(self.interface, frame), scores)[self.contract.metric]

    def drift(self, frame: DataFrame) -> DriftReport:
        positions, scores = self.fitted.scored
        known = profile.build(self.interface, self.fitted.rows.matrix[positions], scores)
        rows = matrix(self.interface, frame)
        counts = known.layout.count(rows, scores_of(self.fitted.pipeline, self.interface, rows).astype(np.float32))
        return drift.assess(known.layout, known.counts, counts, self.fitted.importances, self.contract.policy.drift)


def contract(task: str, target: dict[str, Any], features: list[dict[str, Any]], **more: Any) -> Contract:
    interface = {"task": task, "target": target, "features": features, **more}
    return Contract.model_validate({"name": "table", "data": [{"kind": "bundled", "library": "none"}], "interface": interface})


def rare() -> Table:
    """Two in a hundred are positive; fifty shops, missing ages, a returning card, times, and a column that says nothing."""
    rows, random = 6000, np.random.default_rng(5)
    shops = [f"shop {number}" for number in range(50)]
    effect = dict(zip(shops, random.normal(0, 1, 50), strict=True))
    frame = DataFrame(
        {
            "amount": np.round(random.lognormal(3, 1.2, rows), 2),
            "items": random.poisson(2, rows),
            "shop": random.choice(shops, rows, p=random.dirichlet(np.ones(50))),
            "night": random.random(rows) < 0.2,
            "age": np.where(random.random(rows) < 0.15, np.nan, np.round(random.normal(40, 12, rows))),
            "constant": 1.0,
            "since": pd.Timestamp("2010-01-01") + pd.to_timedelta(random.integers(0, 5000, rows), unit="D"),
            "at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="h"),
            "card": [f"k{number}" for number in random.integers(0, rows, rows)],
        }
    )
    odds = 2 * np.log(frame["amount"]) + 2.5 * frame["night"] + 1.5 * frame["shop"].map(effect)
    chance = 1 / (1 + np.exp(np.quantile(odds, 0.98) - odds))
    chance *= 0.02 / chance.mean()
    frame["fraud"] = np.where(random.random(rows) < chance, "yes", "no")
    features: list[dict[str, Any]] = [
        {"name": "amount", "type": "number", "min": 0},
        {"name": "items", "type": "integer", "min": 0, "max": 30},
        {"name": "shop", "type": "category", "categories": shops},
        {"name": "night", "type": "boolean"},
        {"name": "age", "type": "integer", "required": False},
        {"name": "constant", "type": "number"},
        {"name": "since", "type": "date", "min": "2010-01-01"},
    ]
    return Table(contract("binary", {"name": "fraud", "classes": ["no", "yes"]}, features, entity="card", time="at"), frame)


def small() -> Table:
    """Five hundred rows of a regression, one in ten of a number missing."""
    rows, random = 500, np.random.default_rng(6)
    frame = DataFrame({"size": random.normal(100, 30, rows), "age": random.random(rows), "kind": random.choice(["x", "y", "z"], rows)})
    worth = frame["size"] + 60 * frame["age"] + frame["kind"].map({"x": 0.0, "y": 20.0, "z": -20.0})
    frame["price"] = (worth + random.normal(0, 8, rows)).round(1)
    frame.loc[random.random(rows) < 0.1, "age"] = np.nan
    features: list[dict[str, Any]] = [
        {"name": "size", "type": "number"},
        {"name": "age", "type": "number", "min": 0, "max": 1, "required": False},
        {"name": "kind", "type": "category", "categories": ["x", "y", "z"]},
    ]
    return Table(contract("regression", {"name": "price"}, features), frame)


def wine() -> Table:
    """A hundred and seventy-eight rows of three classes."""
    bunch = load_wine(as_frame=True)
    frame = bunch.data.copy()
    frame["grower"] = bunch.target.map({0: "first", 1: "second", 2: "third"})
    features = [{"name": name, "type": "number", "min": 0} for name in bunch.data.columns]
    return Table(contract("multiclass", {"name": "grower", "classes": ["first", "second", "third"]}, features), frame)


def housing(request: pytest.FixtureRequest) -> Table:
    """California's houses, of which some lack a number of bedrooms."""
    frame = pd.read_csv(request.getfixturevalue("mirror") / "california_housing.csv").sample(3000, random_state=1)
    near = sorted(frame["ocean_proximity"].unique())
    features: list[dict[str, Any]] = [
        {"name": name, "type": "number", "required": name != "total_bedrooms"}
        for name in frame.columns
        if name not in ("median_house_value", "ocean_proximity")
    ]
    features.append({"name": "ocean_proximity", "type": "category", "categories": near})
    return Table(contract("regression", {"name": "median_house_value"}, features), frame)


TABLES: dict[str, Callable[..., Table]] = {"rare": rare, "small": small, "wine": wine, "housing": housing}


@pytest.fixture(scope="module", params=sorted(TABLES))
def table(request: pytest.FixtureRequest) -> Table:
    made = TABLES[request.param]
    return made(request) if made is housing else made()


def test_before_the_shift_nothing_has_changed(table: Table) -> None:
    drawn = table.world.draw(4000)
    assert check(table.contract, drawn).problems == ()
    for rows in (drawn, drawn.head(500), drawn.tail(1000)):
        report = table.drift(rows)
        assert report.assessed
        assert not report.inputs_drifted, report.reasons
        assert not report.prediction_drifted, report.prediction_reasons
    metric = table.contract.metric
    low, high = table.fitted.intervals[metric]
    worst, slack = high if better(metric) < 0 else low, max((high - low) / 2, 0.03 * high)
    assert better(metric) * (table.value(table.fitted.pipeline, drawn) - worst) > -slack


def test_after_the_shift_the_old_model_fails_and_a_new_one_does_not(table: Table) -> None:
    recent, many, fresh = (table.world.draw(count, shifted=True) for count in (3000, 10_000, 4000))
    assert check(table.contract, recent).problems == ()
    sign = better(table.contract.metric)
    old, new, best = (sign * table.value(model, fresh) for model in (table.fitted.pipeline, table.fit(recent), table.fit(many)))
    before = sign * table.value(table.fitted.pipeline, table.world.draw(4000))
    assert old < before - 0.1 * abs(before)
    assert (new - old) / (best - old) > 0.6
    assert table.drift(recent.head(500)).inputs_drifted
    assert table.drift(recent).inputs_drifted


def test_the_rows_are_like_the_known_ones_and_mostly_no_copies(table: Table) -> None:
    drawn, known, interface = table.world.draw(4000), table.frame, table.interface
    names = list(interface.feature_names)
    assert set(drawn) == set(names) | {name for name in (interface.target.name, interface.entity, interface.time) if name}
    for name in names:
        assert drawn[name].isna().mean() == pytest.approx(known[name].isna().mean(), abs=0.03)
        if pd.api.types.is_float_dtype(known[name]):
            assert known[name].min() <= drawn[name].min()
            assert drawn[name].max() <= known[name].max()
    copies = drawn[names].merge(known[names].drop_duplicates(), how="inner", on=names)
    assert len(copies) < 0.5 * len(drawn)


def test_a_draw_depends_on_the_seed_alone() -> None:
    few = small().frame.head(150)
    one, many, other = (LearnedWorld(small().interface, few, seed) for seed in (1, 1, 2))
    for shifted in (False, True):
        parts = [many.draw(count, shifted=shifted) for count in (1, 20, 0, 1500)]
        drawn = one.draw(1521, shifted=shifted)
        pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), drawn)
        assert not other.draw(50, shifted=shifted).equals(drawn.head(50))


@pytest.mark.parametrize("table", ["rare"], indirect=True)
def test_cards_are_new_and_return_and_times_go_on(table: Table) -> None:
    world = table.world
    drawn = pd.concat([world.draw(1000), world.draw(2000)], ignore_index=True)
    assert not set(drawn["card"]) & set(table.frame["card"])
    assert 0.1 < drawn["card"].duplicated().mean() < table.frame["card"].duplicated().mean() + 0.1
    assert drawn["at"].is_monotonic_increasing
    assert drawn["at"].min() > table.frame["at"].max()
    assert drawn["at"].dt.tz is not None
    assert drawn["fraud"].eq("yes").mean() == pytest.approx(table.frame["fraud"].eq("yes").mean(), abs=0.015)
