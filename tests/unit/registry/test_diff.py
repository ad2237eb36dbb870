"""How two versions differ, as tables."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.small_bundles import INTERFACE, WIDER
from treadle.bundle.manifest import Lineage
from treadle.console.difference import tables
from treadle.errors import ModelsDiffer, VersionNameInvalid
from treadle.registry.diff import Difference, Fact, Named, Side, compare, named, require_one_model

LINEAGE = Lineage(
    data_digest="d" * 64,
    data_source="mirror file telco.csv",
    simulated=False,
    rows=100,
    seed=42,
    interface_digest="i",
    code_digest="c" * 64,
    python="3.11",
    packages={},
    holdout_digest="h",
)
CARD: dict[str, Any] = {
    "metrics": {"roc_auc": 0.80, "log_loss": 0.5, "accuracy": 0.7},
    "intervals": {"roc_auc": [0.78, 0.82], "log_loss": [0.4, 0.6]},
    "importances": {"tenure": 0.4, "spend": 0.1},
    "parity": {"share_beyond": 0.0, "max_difference": 1e-7},
    "data": {"holdout_rows": 20},
}
SIDE = Side(3, "b" * 64, INTERFACE, LINEAGE, CARD, "s" * 64, {"n_estimators": "100", "depth": "3"}, 0.0002, ("the gate lets it pass.",))


def other(**changes: Any) -> Side:
    card = {
        **CARD,
        "metrics": {"roc_auc": 0.83, "log_loss": 0.45, "f1": 0.6},
        "intervals": {"roc_auc": [0.825, 0.84], "log_loss": [0.4, 0.5]},
        "importances": {"tenure": 0.1, "visits": 0.35, "spend": 0.12},
    }
    made = {"version": 4, "card": card, "interface": WIDER, "params": {"n_estimators": "40", "depth": "3", "lr": "0.1"}}
    return replace(SIDE, **{**made, **changes})


def text(difference: Difference, width: int = 140) -> str:
    screen = Console(width=width)
    with screen.capture() as capture:
        for table in tables(difference):
            screen.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("told", "found"),
    [("churn@3", Named("churn", 3)), ("churn@v3", Named("churn", 3)), (" house_prices@canary ", Named("house_prices", "canary"))],
)
def test_a_version_is_named_by_its_number_or_its_role(told: str, found: Named) -> None:
    assert named(told) == found


@pytest.mark.parametrize("told", ["churn", "churn@", "@3", "churn@newest", "churn@-1", "churn@3@4", ""])
def test_what_names_no_version_is_refused(told: str) -> None:
    with pytest.raises(VersionNameInvalid, match="MODEL@NUMBER and MODEL@ROLE"):
        named(told)


def test_versions_of_two_models_cannot_be_compared() -> None:
    assert require_one_model(Named("churn", 1), Named("churn", "champion")) == "churn"
    with pytest.raises(ModelsDiffer, match="churn and iris are two models"):
        require_one_model(Named("churn", 1), Named("iris", 1))


def test_a_version_does_not_differ_from_itself() -> None:
    same = compare("churn", SIDE, SIDE)
    assert all(fact.same for fact in (*same.data, *same.importances, *same.costs))
    assert (same.parameters, same.interface, same.same_holdout) == ((), (), True)
    assert {(metric.better, metric.overlap) for metric in same.metrics} == {(None, True), (None, None)}
    assert "every parameter is the same" in text(same)


def test_parameters_that_differ_or_are_new() -> None:
    found = compare("churn", SIDE, other())
    assert found.parameters == (Fact("n_estimators", "100", "40", same=False), Fact("lr", None, "0.1", same=False))


def test_metrics_say_who_is_better_and_whether_the_intervals_overlap() -> None:
    found = {metric.name: metric for metric in compare("churn", SIDE, other()).metrics}
    assert (found["roc_auc"].better, found["roc_auc"].overlap) == ("second", False)
    assert (found["log_loss"].better, found["log_loss"].overlap) == ("second", True)
    assert (found["accuracy"].second, found["accuracy"].better, found["accuracy"].overlap) == (None, None, None)
    assert found["f1"].first is None


def test_importances_come_with_the_largest_change_first() -> None:
    found = compare("churn", SIDE, other()).importances
    assert [(fact.name, fact.first, fact.second) for fact in found] == [("visits", None, 0.35), ("tenure", 0.4, 0.1), ("spend", 0.1, 0.12)]


def test_the_interface_is_told_in_sentences() -> None:
    (sentence,) = compare("churn", SIDE, other()).interface
    assert "visits" in sentence


@pytest.mark.parametrize(("first", "second", "same"), [("h", "h", True), ("h", "g", False), ("", "", False)])
def test_metrics_of_different_rows_are_said_to_be(first: str, second: str, same: bool) -> None:  # noqa: FBT001 -- a case
    sides = [replace(SIDE, lineage=_held(digest)) for digest in (first, second)]
    found = compare("churn", *sides)
    assert found.same_holdout is same
    assert ("the same held-out rows" in text(found)) is same
    assert ("only `treadle gate` compares fairly" in text(found)) is not same


def _held(digest: str) -> Lineage:
    return Lineage(**{field: getattr(LINEAGE, field) for field in LINEAGE.__struct_fields__} | {"holdout_digest": digest})


def test_a_person_reads_everything() -> None:
    said = text(compare("churn", SIDE, other(decided=())))
    for part in (
        "mirror file telco.csv",
        "n_estimators",
        "0.8300 [0.8250, 0.8400]",
        "apart",
        "overlap",
        "version 4",
        "dddddddddddd ",
        "Nobody yet.",
    ):
        assert part in said
    assert "d" * 13 not in said
    narrow = text(compare("churn", SIDE, other()), width=80)
    assert max(map(len, narrow.splitlines())) <= 80
