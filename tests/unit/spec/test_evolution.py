"""What counts as a compatible change, what does not, and what to write instead."""

import datetime as dt
from typing import Any

import pytest
import yaml

from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface, NumberFeature, Target
from treadle.spec.evolution import Change, broken, changes, edit_for, renamed, repair, translation

PLAN = CategoryFeature(name="plan", type="category", categories=("basic", "plus"))
SPEND = NumberFeature(name="spend", type="number", min=0, max=1000, example=20)
TENURE = NumberFeature(name="tenure", type="integer", min=0, max=100)
SINCE = DateFeature(name="since", type="date", min=dt.date(2020, 1, 1))
PAPER = BooleanFeature(name="paper", type="boolean")
VISITS = NumberFeature(name="visits", type="integer", required=False)


def interface_of(*features: Feature, **other: Any) -> Interface:
    return Interface(
        **{"task": "binary", "target": Target(name="left", classes=("no", "yes")), "features": features, "entity": "who", **other}
    )


OLD = interface_of(PLAN, SPEND, TENURE, SINCE, PAPER)


def followed_by(*features: Feature, without: tuple[str, ...] = (), **other: Any) -> Interface:
    """Return the old interface with some of its features replaced, left out or added."""
    given = {feature.name: feature for feature in features}
    kept = [given.pop(feature.name, feature) for feature in OLD.features if feature.name not in without]
    return interface_of(*kept, *given.values(), **other)


def but(feature: Feature, **update: Any) -> Feature:
    return feature.model_copy(update=update)


COMPATIBLE = {
    "nothing": (OLD, []),
    "another order": (interface_of(PAPER, SINCE, TENURE, SPEND, but(PLAN, categories=("plus", "basic"))), []),
    "another description": (followed_by(but(SPEND, description="In dollars.", example=30)), []),
    "an optional column": (followed_by(VISITS), [("added", "visits")]),
    "a wider range": (followed_by(but(SPEND, max=2000, min=None), but(SINCE, min=None)), [("range", "spend"), ("range", "since")]),
    "a new category": (followed_by(but(PLAN, categories=("basic", "pro", "plus"))), [("categories", "plan")]),
    "a column that is optional now": (followed_by(but(PAPER, required=False)), [("required", "paper")]),
    "whole numbers that may be fractions": (followed_by(but(TENURE, type="number")), [("type", "tenure")]),
    "a positive class that is named now": (followed_by(target=Target(name="left", classes=("no", "yes"), positive="yes")), []),
}


@pytest.mark.parametrize(("new", "kinds"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_compatible(new: Interface, kinds: list[tuple[str, str]]) -> None:
    assert [(change.kind, change.column) for change in changes(OLD, new)] == kinds
    assert broken(OLD, new) == ()
    assert repair(OLD, new) == ""
    assert translation(OLD, new) is not None


def test_an_entity_may_be_named_later() -> None:
    unnamed = interface_of(SPEND, entity=None)
    assert [(change.kind, change.compatible) for change in changes(unnamed, interface_of(SPEND))] == [("entity", True)]


BROKEN = {
    "a column is gone": (
        followed_by(without=("paper",)),
        "removed",
        "The column paper is gone, but callers send it",
        {"features": [{"name": "paper", "type": "boolean", "required": False}]},
    ),
    "a column is renamed": (
        followed_by(but(SPEND, name="spending_usd"), without=("spend",)),
        "renamed",
        "The column spend seems to be called spending_usd now",
        {"features": [{"name": "spend", "type": "number", "min": 0, "max": 1000, "example": 20}]},
    ),
    "another type": (
        followed_by(CategoryFeature(name="tenure", type="category", categories=("short", "long"))),
        "type",
        "The column tenure was of type integer and is now of type category",
        {"features": [{"name": "tenure", "type": "integer", "min": 0, "max": 100}]},
    ),
    "fractions are gone": (
        followed_by(but(SPEND, type="integer", max=5000.0)),
        "type",
        "callers may send fractions",
        {"features": [{"name": "spend", "type": "number", "min": 0, "max": 5000, "example": 20}]},
    ),
    "a category is gone": (
        followed_by(but(PLAN, categories=("plus", "pro"))),
        "categories",
        "The column plan has lost the category basic",
        {"features": [{"name": "plan", "type": "category", "categories": ["basic", "plus", "pro"]}]},
    ),
    "a narrower range": (
        followed_by(but(TENURE, max=50.0, min=-5.0)),
        "range",
        "The range of tenure is -5 to 50 and was 0 to 100: callers may send values that would be refused.",
        {"features": [{"name": "tenure", "type": "integer", "min": -5, "max": 100}]},
    ),
    "a day that is too early now": (
        followed_by(but(SINCE, min=dt.date(2021, 1, 1))),
        "range",
        "The range of since is 2021-01-01 to without an upper end",
        {"features": [{"name": "since", "type": "date", "min": "2020-01-01"}]},
    ),
    "a new column is required": (
        followed_by(but(VISITS, required=True)),
        "added",
        "The new column visits is required",
        {"features": [{"name": "visits", "type": "integer", "required": False}]},
    ),
    "an old column is required": (
        None,
        "required",
        "The column plan is now required, but callers may leave it out.",
        {"features": [{"name": "plan", "type": "category", "categories": ["basic", "plus"], "required": False}]},
    ),
    "a class is gone": (
        followed_by(target=Target(name="left", classes=("yes", "no"))),
        "target",
        "The target is left (binary of yes, no, no being positive) and no longer left (binary of no, yes, yes being positive)",
        {"task": "binary", "target": {"name": "left", "classes": ["no", "yes"]}},
    ),
    "another entity": (
        followed_by(entity="customer"),
        "entity",
        "Whom a row is about is now named by customer, but callers send who",
        {"entity": "who"},
    ),
}


@pytest.mark.parametrize(("new", "kind", "sentence", "edit"), BROKEN.values(), ids=BROKEN)
def test_broken(new: Interface | None, kind: str, sentence: str, edit: dict[str, Any]) -> None:
    old = OLD if new is not None else followed_by(but(PLAN, required=False))
    new = OLD if new is None else new
    (change,) = broken(old, new)
    assert (change.kind, change.compatible) == (kind, False)
    assert sentence in change.sentence
    assert yaml.safe_load(repair(old, new)) == {"interface": edit}


@pytest.mark.parametrize(("new", "kind", "sentence", "edit"), BROKEN.values(), ids=BROKEN)
def test_the_edit_mends_what_it_is_printed_for(new: Interface | None, kind: str, sentence: str, edit: dict[str, Any]) -> None:
    del kind, sentence, edit
    old = OLD if new is not None else followed_by(but(PLAN, required=False))
    wrong = OLD if new is None else new
    given = yaml.safe_load(repair(old, wrong))["interface"]
    dumped = wrong.model_dump(mode="json")
    listed = {feature["name"]: feature for feature in dumped["features"]} | {one["name"]: one for one in given.pop("features", [])}
    fresh = [feature for name, feature in listed.items() if name not in renamed(old, wrong, {}).values()]
    assert broken(old, Interface.model_validate({**dumped, **given, "features": fresh})) == ()


def test_the_edit_is_written_as_a_person_writes() -> None:
    assert edit_for(SPEND, entity="who") == (
        "interface:\n  entity: who\n  features:\n    - name: spend\n      type: number\n      min: 0\n      max: 1000\n      example: 20\n"
    )


class TestRenames:
    def test_by_a_similar_name(self) -> None:
        new = followed_by(but(SPEND, name="Spend (USD)"), without=("spend",))
        assert renamed(OLD, new, {}) == {"spend": "Spend (USD)"}

    def test_by_the_list_of_categories_where_it_tells_something(self) -> None:
        brand = CategoryFeature(name="brand", type="category", categories=("a", "b", "c", "d"))
        other = CategoryFeature(name="maker", type="category", categories=("d", "c", "b", "a"))
        assert renamed(interface_of(brand), interface_of(other), {}) == {"brand": "maker"}
        assert renamed(OLD, followed_by(but(PLAN, name="tier"), without=("plan",)), {}) == {}

    def test_by_values_and_the_best_pair_first(self) -> None:
        new = interface_of(but(SPEND, name="amount"), but(SPEND, name="bill"), PLAN, TENURE, SINCE, PAPER)
        likeness = {("spend", "amount"): 0.8, ("spend", "bill"): 0.99}
        assert renamed(OLD, new, likeness) == {"spend": "bill"}
        kinds = [(change.kind, change.column) for change in changes(OLD, new, likeness)]
        assert kinds == [("renamed", "spend"), ("added", "amount")]

    def test_never_another_type(self) -> None:
        new = followed_by(BooleanFeature(name="spends", type="boolean", required=False), without=("spend",))
        assert renamed(OLD, new, {("spend", "spends"): 1.0}) == {}


def test_a_matrix_of_another_question_cannot_be_read() -> None:
    assert translation(OLD, followed_by(target=Target(name="stayed", classes=("no", "yes")))) is None
    assert translation(OLD, followed_by(but(VISITS, required=True))) is None
    assert translation(OLD, followed_by(BooleanFeature(name="spend", type="boolean"))) is None


def test_every_sentence_is_one() -> None:
    interfaces = [new for new, _ in COMPATIBLE.values()] + [new for new, *_ in BROKEN.values() if new is not None]
    found: list[Change] = [change for new in interfaces for change in changes(OLD, new)]
    assert len(found) > 15
    assert all(change.sentence.endswith(".") and change.column in change.sentence for change in found)


def test_a_short_name_within_a_long_one_tells_nothing() -> None:
    """`age` stands in `mortgage_rate`, and is no older name of it."""
    old, new = (interface_of(NumberFeature(name=name, type="number")) for name in ("age", "mortgage_rate"))
    assert renamed(old, new, {}) == {}
    old, new = (interface_of(NumberFeature(name=name, type="number")) for name in ("price", "price_eur"))
    assert renamed(old, new, {}) == {"price": "price_eur"}
