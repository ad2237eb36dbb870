"""How one interface becomes another. Pure: two interfaces in; what has changed, what to write instead, and how a row goes over.

A change is compatible if every row that was allowed before is allowed still and means the same. Then callers need not know
of it, and what was logged under the old interface can be read under the new one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import yaml

from treadle.spec.interface import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface, NumberFeature

Kind = Literal["added", "removed", "renamed", "type", "required", "range", "categories", "target", "entity"]

Likeness = Mapping[tuple[str, str], float]
"""How alike the values of an old and a new column are, 0 to 1, by their names."""

SIMILAR = 0.7
"""From here on a column that is gone and one that is new, alike in name or in values, are one column with two names."""

TELLING = 4
"""Fewest letters of a name within a longer one, and fewest categories, by which a column is recognised: many are yes or no."""

SHOWN = 8
"""How many categories a sentence names."""

UNKNOWN = -1
"""The code of a category that an interface does not list."""


@dataclass(frozen=True)
class Change:
    """One difference between two interfaces; ``column`` is the old name where there are two."""

    kind: Kind
    column: str
    compatible: bool
    sentence: str


@dataclass(frozen=True)
class Translation:
    """How a row of numbers under one interface becomes one under another.

    For each column of the new matrix ``columns`` holds the column of the old one, None where it has none and is missing;
    ``codes`` the new code of each old category, None where the numbers stay as they are.
    """

    columns: tuple[int | None, ...]
    codes: tuple[tuple[int, ...] | None, ...]
    width: int

    @property
    def identity(self) -> bool:
        """Whether a row stays as it is."""
        return self.columns == tuple(range(self.width)) and not any(self.codes)


def changes(old: Interface, new: Interface, likeness: Likeness | None = None) -> tuple[Change, ...]:
    """Return what a caller, or a reader of the log, would notice if ``new`` took the place of ``old``; in the order of the columns.

    ``likeness`` helps to find renamed columns where rows of both are at hand. The order of columns and categories, what is only
    said about a column, and how a model is trained are no changes: rows go over by name.
    """
    renames = renamed(old, new, likeness or {})
    after = {feature.name: feature for feature in new.features}
    found = list(_of_target(old, new))
    for feature in old.features:
        if feature.name in renames:
            found.append(_renamed(feature.name, renames[feature.name]))
        elif feature.name not in after:
            found.append(Change("removed", feature.name, compatible=False, sentence=_gone(feature.name)))
        else:
            found += _of_feature(feature, after[feature.name])
    known = {*old.feature_names, *renames.values()}
    return (*found, *(_added(feature) for feature in new.features if feature.name not in known), *_of_entity(old, new))


def broken(old: Interface, new: Interface, likeness: Likeness | None = None) -> tuple[Change, ...]:
    """Return the changes that are not compatible; where there are none ``new`` may take the place of ``old``."""
    return tuple(change for change in changes(old, new, likeness) if not change.compatible)


def renamed(old: Interface, new: Interface, likeness: Likeness) -> dict[str, str]:
    """Return the new name of each old column that seems to have got one: nothing else fits as well by name or values."""
    before = [feature for feature in old.features if feature.name not in new.feature_names]
    after = [feature for feature in new.features if feature.name not in old.feature_names]
    scored = [(_alike(one, other, likeness), one.name, other.name) for one in before for other in after if _kind(one) == _kind(other)]
    found: dict[str, str] = {}
    for score, one, other in sorted(scored, key=lambda each: -each[0]):
        if score >= SIMILAR and one not in found and other not in found.values():
            found[one] = other
    return found


def repair(old: Interface, new: Interface, likeness: Likeness | None = None) -> str:
    """Return the YAML that makes ``new`` a compatible follower of ``old``, to paste into model.yaml; "" if it is one."""
    if not broken(old, new, likeness):
        return ""
    renames = renamed(old, new, likeness or {})
    before, after = ({feature.name: feature for feature in one.features} for one in (old, new))
    features: list[Feature] = []
    for feature in old.features:
        other = after.get(renames.get(feature.name, feature.name))
        if other is None:
            features.append(feature.model_copy(update={"required": False}))
        elif broken_feature(feature, other):
            features.append(mended(feature, other))
    features += [
        feature.model_copy(update={"required": False})
        for feature in new.features
        if feature.required and feature.name not in before and feature.name not in renames.values()
    ]
    keys: dict[str, Any] = {}
    if _asked(old) != _asked(new):
        keys = {"task": old.task, "target": old.target.model_dump(mode="json", exclude_defaults=True)}
    if old.entity is not None and new.entity != old.entity:
        keys["entity"] = old.entity
    return edit_for(*features, **keys)


def edit_for(*features: Feature, **keys: Any) -> str:
    """Return these features, and other keys of the interface, as YAML to paste into model.yaml; what is not named stays as it is."""
    listed = [_written(feature) for feature in features]
    interface = {**keys, **({"features": listed} if listed else {})}
    return yaml.dump({"interface": interface}, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=120)


def mended(old: Feature, new: Feature) -> Feature:
    """Return the feature that takes whatever either of two takes, under the old name; the old one if their types do not go together."""
    optional = {"name": old.name, "required": old.required and new.required}
    if isinstance(old, NumberFeature) and isinstance(new, NumberFeature):
        kind = "number" if "number" in {old.type, new.type} else "integer"
        return new.model_copy(update={**optional, "type": kind, **_hull(old, new)})
    if isinstance(old, DateFeature) and isinstance(new, DateFeature):
        return new.model_copy(update={**optional, **_hull(old, new)})
    if isinstance(old, CategoryFeature) and isinstance(new, CategoryFeature):
        return new.model_copy(update={**optional, "categories": (*old.categories, *_without(new.categories, old.categories))})
    if isinstance(old, BooleanFeature) and isinstance(new, BooleanFeature):
        return new.model_copy(update=optional)
    return old


def broken_feature(old: Feature, new: Feature) -> bool:
    """Tell whether a row that ``old`` allows could be refused by ``new``."""
    return old.name != new.name or any(not change.compatible for change in _of_feature(old, new))


def translation(old: Interface, new: Interface) -> Translation | None:
    """Return how a matrix logged under ``old`` becomes one under ``new``; None where its rows would mean something else.

    It also goes back, from a later interface to an earlier one: then what the earlier one does not know is lost, a category
    becomes unknown, and a number may lie outside its range.
    """
    if _asked(old) != _asked(new):
        return None
    places = {feature.name: place for place, feature in enumerate(old.features)}
    columns: list[int | None] = []
    codes: list[tuple[int, ...] | None] = []
    for feature in new.features:
        place = places.get(feature.name)
        before = None if place is None else old.features[place]
        if feature.required if before is None else _kind(before) != _kind(feature):
            return None
        columns.append(place)
        codes.append(_codes(before, feature))
    return Translation(tuple(columns), tuple(codes), len(old.features))


class _Indented(yaml.SafeDumper):
    """Indents the items of a list below its key, as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 -- PyYAML's own signature
        return super().increase_indent(flow, indentless=False)


def _written(feature: Feature) -> dict[str, Any]:
    """Return a feature as a person writes it: without what is so anyway, and 100 instead of 100.0."""
    dumped = feature.model_dump(mode="json", exclude_defaults=True)
    return {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in dumped.items()}


def _asked(interface: Interface) -> tuple[object, ...]:
    """Return what is predicted, and so what an answer and a label mean."""
    target = interface.target
    positive = target.classes[interface.positive_index] if interface.task == "binary" else None
    return interface.task, target.name, target.classes, positive


def _kind(feature: Feature) -> str:
    return "number" if isinstance(feature, NumberFeature) else feature.type


def _codes(old: Feature | None, new: Feature) -> tuple[int, ...] | None:
    if not (isinstance(old, CategoryFeature) and isinstance(new, CategoryFeature)):
        return None
    places = {category: code for code, category in enumerate(new.categories)}
    codes = tuple(places.get(category, UNKNOWN) for category in old.categories)
    return None if codes == tuple(range(len(codes))) else codes


def _of_target(old: Interface, new: Interface) -> Iterator[Change]:
    if _asked(old) != _asked(new):
        name = old.target.name
        sentence = f"The target is {_told(new)} and no longer {_told(old)}: answers and labels would mean something else."
        yield Change("target", name, compatible=False, sentence=sentence)


def _told(interface: Interface) -> str:
    classes = f" of {_listed(interface.target.classes)}" if interface.target.classes else ""
    positive = f", {interface.target.classes[interface.positive_index]} being positive" if interface.task == "binary" else ""
    return f"{interface.target.name} ({interface.task}{classes}{positive})"


def _of_entity(old: Interface, new: Interface) -> Iterator[Change]:
    if old.entity == new.entity:
        return
    if old.entity is None:
        yield Change("entity", str(new.entity), compatible=True, sentence=f"Rows may name whom they are about, as {new.entity}.")
        return
    now = "no longer named" if new.entity is None else f"now named by {new.entity}"
    sentence = f"Whom a row is about is {now}, but callers send {old.entity}, which would be refused."
    yield Change("entity", old.entity, compatible=False, sentence=sentence)


def _of_feature(old: Feature, new: Feature) -> Iterator[Change]:
    name = old.name
    if _kind(old) != _kind(new):
        sentence = f"The column {name} was of type {old.type} and is now of type {new.type}: what callers send would be refused."
        yield Change("type", name, compatible=False, sentence=sentence)
        return
    if old.type != new.type:
        wider = new.type == "number"
        then = "every whole number is still allowed" if wider else "callers may send fractions, which would be refused"
        yield Change("type", name, compatible=wider, sentence=f"The column {name} was of type {old.type} and is now {new.type}: {then}.")
    if old.required != new.required:
        sentence = f"The column {name} is now required, but callers may leave it out." if new.required else f"{name} may be left out now."
        yield Change("required", name, compatible=not new.required, sentence=sentence)
    if isinstance(old, CategoryFeature) and isinstance(new, CategoryFeature):
        yield from _of_categories(old, new)
    elif isinstance(old, NumberFeature | DateFeature) and isinstance(new, NumberFeature | DateFeature):
        yield from _of_range(old, new)


def _of_categories(old: CategoryFeature, new: CategoryFeature) -> Iterator[Change]:
    gone, fresh = _without(old.categories, new.categories), _without(new.categories, old.categories)
    if fresh:
        sentence = f"The column {old.name} has the new {_categories(fresh)}; a version that does not list it does not take it."
        yield Change("categories", old.name, compatible=True, sentence=sentence)
    if gone:
        sentence = f"The column {old.name} has lost the {_categories(gone)}, which callers may send and the log may hold."
        yield Change("categories", old.name, compatible=False, sentence=sentence)


def _of_range(old: NumberFeature | DateFeature, new: NumberFeature | DateFeature) -> Iterator[Change]:
    if (old.min, old.max) == (new.min, new.max):
        return
    hull = _hull(old, new)
    wider = (hull["min"], hull["max"]) == (new.min, new.max)
    then = "" if wider else ": callers may send values that would be refused"
    sentence = f"The range of {old.name} is {_range(new)} and was {_range(old)}{then}."
    yield Change("range", old.name, compatible=wider, sentence=sentence)


def _hull(old: NumberFeature | DateFeature, new: NumberFeature | DateFeature) -> dict[str, Any]:
    lows: list[Any] = [old.min, new.min]
    highs: list[Any] = [old.max, new.max]
    return {"min": None if None in lows else min(lows), "max": None if None in highs else max(highs)}


def _range(feature: NumberFeature | DateFeature) -> str:
    low, high = (_bound(bound) for bound in (feature.min, feature.max))
    return f"{low or 'without a lower end'} to {high or 'without an upper end'}" if low or high else "without bounds"


def _bound(bound: object) -> str:
    return "" if bound is None else f"{bound:.9g}" if isinstance(bound, float) else str(bound)


def _added(feature: Feature) -> Change:
    if feature.required:
        sentence = f"The new column {feature.name} is required, but callers do not send it yet and no logged row has it."
    else:
        sentence = f"The optional column {feature.name} is new; rows without it stay as good as they are."
    return Change("added", feature.name, compatible=not feature.required, sentence=sentence)


def _gone(name: str) -> str:
    return f"The column {name} is gone, but callers send it, and it would be refused."


def _renamed(old: str, new: str) -> Change:
    sentence = f"The column {old} seems to be called {new} now, but callers send {old}. Keep that name here, and rename the data in load()."
    return Change("renamed", old, compatible=False, sentence=sentence)


def _alike(old: Feature, new: Feature, likeness: Likeness) -> float:
    """Return how alike two columns are, 0 to 1: by their names, their categories, or the values at hand."""
    short, long = sorted((_plain(old.name), _plain(new.name)), key=len)
    by_name: float = SequenceMatcher(None, short, long).ratio()
    if len(short) >= TELLING and short in long:
        by_name = max(by_name, SIMILAR)
    by_list = 0.0
    if isinstance(old, CategoryFeature) and isinstance(new, CategoryFeature):
        both, either = set(old.categories) & set(new.categories), {*old.categories, *new.categories}
        by_list = len(both) / len(either) if len(either) >= TELLING else 0.0
    return max(by_name, by_list, likeness.get((old.name, new.name), 0.0))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _without(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in some if one not in others)


def _categories(names: tuple[str, ...]) -> str:
    return f"{'category' if len(names) == 1 else 'categories'} {_listed(names)}"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
