"""Churn's data and its simulated market: what the demo's story rests on, measured."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from tests.integration.projects.conftest import Bench
from treadle.data.frame import target
from treadle.data.sources import rows_digest
from treadle.data.split import split
from treadle.data.validate import check
from treadle.spec import MirrorSource
from treadle.training.metrics import measure

pytestmark = pytest.mark.integration

Benches = Callable[..., Bench]
Customers = Callable[[int], DataFrame]

SEEDS = [1, 2, 3]


@pytest.fixture
def churn(bench: Benches) -> Bench:
    """Return churn's bench under the demo's policy."""
    return bench("churn", "demo")


def train_rows(churn: Bench, frame: DataFrame, seed: int) -> tuple[DataFrame, DataFrame]:
    parted = split(churn.interface, frame, seed)
    return frame.iloc[parted.train], frame.iloc[parted.holdout]


def test_the_telco_file_is_the_one_that_the_contract_names(churn: Bench, mirror: Path, tmp_path: Path) -> None:
    source = churn.project.contract.data[0]
    assert isinstance(source, MirrorSource)
    other_line_ends = tmp_path / source.file
    other_line_ends.write_bytes((mirror / source.file).read_bytes().replace(b"\n", b"\r\n"))
    frame = churn.project.hook("load")(other_line_ends)
    assert rows_digest(frame) == source.rows_digest
    assert len(frame) == 7043
    assert (frame["churn"] == "churned").sum() == 1869
    assert frame["total_charges"].isna().sum() == 11


def test_the_champion_passes_its_gate_and_its_data_keep_the_contract(churn: Bench, customers: Customers) -> None:
    for seed in (1, 2, 3, 42):
        frame = customers(seed)
        assert check(churn.project.contract, frame).problems == ()
        train, holdout = train_rows(churn, frame, seed)
        model = churn.fit(train, seed)
        measured = measure(churn.interface, target(churn.interface, holdout), churn.scores(model, holdout))
        for name, least in churn.project.contract.policy.gate.minimum.items():
            assert measured[name] > least + 0.03
        assert measured["roc_auc"] > 0.82


def test_the_same_seed_gives_the_same_estimator_and_rows(churn: Bench) -> None:
    synthesize = churn.project.hook("synthesize")
    pd.testing.assert_frame_equal(synthesize(500, 3), synthesize(500, 3))
    assert not synthesize(500, 3).equals(synthesize(500, 4))
    frame = synthesize(500, 3)
    np.testing.assert_array_equal(churn.scores(churn.fit(frame, 3), frame), churn.scores(churn.fit(frame, 3), frame))


def test_a_draw_does_not_depend_on_how_much_is_drawn_at_a_time(churn: Bench) -> None:
    simulate, rows = churn.project.hook("simulate"), churn.project.hook("synthesize")(500, 3)
    one, many = simulate(rows, 9), simulate(rows, 9)
    for shifted in (False, True):
        parts = [many.draw(count, shifted=shifted) for count in (1, 20, 0, 1500)]
        pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), one.draw(1521, shifted=shifted))
    assert not simulate(rows, 10).draw(50).equals(simulate(rows, 9).draw(50))


def test_one_customer_in_ten_returns_as_the_same_customer(churn: Bench) -> None:
    rows = churn.project.hook("synthesize")(500, 3)
    drawn = churn.project.hook("simulate")(rows, 9).draw(10_000, shifted=True)
    again = drawn[drawn["customer_id"].duplicated(keep=False)]
    assert drawn["customer_id"].duplicated().mean() == pytest.approx(0.1, abs=0.03)
    assert not set(drawn["customer_id"]) & set(rows["customer_id"])
    constant = again.drop(columns="churn").groupby("customer_id").nunique(dropna=False)
    assert (constant == 1).all().all()


@pytest.mark.parametrize("seed", SEEDS)
def test_before_the_shift_nothing_has_changed(churn: Bench, customers: Customers, seed: int) -> None:
    frame = customers(seed)
    train, holdout = train_rows(churn, frame, seed)
    champion = churn.fit(train, seed)
    drawn = churn.project.hook("simulate")(frame, seed).draw(6000)
    assert churn.roc_auc(champion, drawn) > 0.82
    assert churn.roc_auc(champion, drawn) == pytest.approx(churn.roc_auc(champion, holdout), abs=0.04)
    report = churn.drift(champion, train, drawn.head(3000), metric="roc_auc")
    assert max(feature.psi for feature in (*report.features, *report.prediction)) < 0.05
    assert not report.drifted
    assert check(churn.project.contract, drawn).problems == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_shift_the_old_model_fails_and_few_rows_make_a_good_one(churn: Bench, customers: Customers, seed: int) -> None:
    frame = customers(seed)
    train, _ = train_rows(churn, frame, seed)
    champion, world = churn.fit(train, seed), churn.project.hook("simulate")(frame, seed)
    recent, many, fresh = (world.draw(count, shifted=True) for count in (1500, 20_000, 20_000))
    old, new, best = (churn.roc_auc(model, fresh) for model in (champion, churn.fit(recent, seed), churn.fit(many, seed)))
    assert old <= 0.62
    assert (new - old) / (best - old) >= 0.85
    report = churn.drift(champion, train, recent, metric="roc_auc")
    assert report.score > 0.5
    assert report.inputs_drifted
    assert check(churn.project.contract, recent).problems == ()


def test_a_challenger_of_a_demo_passes_the_gate_after_the_shift(churn: Bench, customers: Customers) -> None:
    policy = churn.project.contract.policy
    for seed in SEEDS:
        world = churn.project.hook("simulate")(customers(seed), seed)
        recent = world.draw(policy.retrain.min_rows, shifted=True)
        train, holdout = train_rows(churn, recent, seed)
        measured = measure(churn.interface, target(churn.interface, holdout), churn.scores(churn.fit(train, seed), holdout))
        for name, least in policy.gate.minimum.items():
            assert measured[name] > least
