"""Which rows are held out and which folds the rest falls into: decided before anything is fitted.

The same interface, rows and seed give the same split.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from treadle.data.frame import target
from treadle.errors import SplitImpossible
from treadle.spec import Interface

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Positions of rows. ``folds`` are (train, valid) pairs of positions, all of them within ``train``."""

    train: Rows
    holdout: Rows
    folds: tuple[tuple[Rows, Rows], ...]


def split(interface: Interface, frame: DataFrame, seed: int) -> Split:
    """Hold rows out as ``interface.split`` says.

    ``random`` keeps the shares of the classes; ``entity`` does too, as far as it can while all rows of an entity stay on one
    side; ``time`` holds out the latest rows and lets each fold be judged on rows later than those it learns from.

    Raises:
        SplitImpossible: there are too few rows, entities or different times, or too few rows of a class.
    """
    if interface.split.by == "time":
        return _by_time(interface, frame)
    return _by_unit(interface, frame, seed)


def _by_unit(interface: Interface, frame: DataFrame, seed: int) -> Split:
    """Split units that must stay whole: single rows, or all rows of an entity."""
    unit_of_row = _units(interface, frame)
    count = int(unit_of_row.max(initial=-1)) + 1
    labels = _unit_labels(interface, frame, unit_of_row, count)
    _require_units(interface, count, labels)
    train, holdout = train_test_split(np.arange(count), test_size=interface.split.holdout, random_state=seed, stratify=labels)
    folder = KFold if labels is None else StratifiedKFold
    folds = folder(n_splits=interface.split.folds, shuffle=True, random_state=seed).split(train, None if labels is None else labels[train])

    def rows(units: Rows) -> Rows:
        return np.flatnonzero(np.isin(unit_of_row, units)).astype(np.int64)

    return Split(rows(train), rows(holdout), tuple((rows(train[learn]), rows(train[judge])) for learn, judge in folds))


def _units(interface: Interface, frame: DataFrame) -> Rows:
    """Return the unit of each row, numbered from 0; a row without an entity is a unit of its own."""
    rows = np.arange(len(frame))
    if interface.split.by != "entity" or interface.entity is None:
        return rows
    entity = pd.Series(frame[interface.entity].astype("object").to_numpy())
    named = entity.notna().to_numpy()
    units = np.empty(len(frame), dtype=np.int64)
    units[named] = pd.factorize(entity[named])[0]
    units[~named] = units[named].max(initial=-1) + 1 + np.arange((~named).sum())
    return units


def _unit_labels(interface: Interface, frame: DataFrame, unit_of_row: Rows, count: int) -> Rows | None:
    """Return the class by which each unit is stratified: the highest among its rows; none for a regression."""
    if interface.task == "regression":
        return None
    labels = np.zeros(count, dtype=np.int64)
    np.maximum.at(labels, unit_of_row, target(interface, frame).astype(np.int64))
    return labels


def _require_units(interface: Interface, count: int, labels: Rows | None) -> None:
    wanted = interface.split.folds + 1
    kind = "rows" if interface.split.by == "random" else f"different values of {interface.entity}"
    smallest = 1 / min(interface.split.holdout, 1 - interface.split.holdout)
    if count < max(wanted, smallest, 0 if labels is None else wanted * len(interface.target.classes)):
        raise SplitImpossible(interface.split.by, interface.split.folds, f"there are only {count} {kind}")
    if labels is None:
        return
    for index, name in enumerate(interface.target.classes):
        have = int((labels == index).sum())
        if have and (have * (1 - interface.split.holdout) < interface.split.folds or have * interface.split.holdout < 1):
            raise SplitImpossible(interface.split.by, interface.split.folds, f"the class {name!r} has only {have} {kind}")


def _by_time(interface: Interface, frame: DataFrame) -> Split:
    """Hold out the latest rows. Rows of one moment are never parted, so the cuts move back to where the time changes."""
    times = pd.Series(frame[str(interface.time)].to_numpy())
    order = np.argsort(times.to_numpy(), kind="stable").astype(np.int64)
    moments = pd.factorize(times.to_numpy()[order])[0]
    count, folds = len(order), interface.split.folds
    cut = _moved_back(moments, round(count * (1 - interface.split.holdout)))
    edges = [_moved_back(moments, round(cut * step / (folds + 1))) for step in range(1, folds + 1)] + [cut]
    if cut in (0, count) or edges[0] == 0 or len(set(edges)) != folds + 1:
        raise SplitImpossible("time", folds, f"{count} rows stand at only {len(set(moments))} different times")
    pairs = tuple((order[:start], order[start:end]) for start, end in pairwise(edges))
    return Split(order[:cut], order[cut:], pairs)


def _moved_back(moments: Rows, position: int) -> int:
    """Return the first position of the moment that stands at ``position``."""
    return int(np.searchsorted(moments, moments[position])) if 0 < position < len(moments) else position
