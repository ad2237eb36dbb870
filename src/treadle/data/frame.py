"""Between a DataFrame with the contract's columns and the float32 matrix that the graph, the log and the profile see.

A number stays as it is, true and false are 1 and 0, a category is its index in the interface (unknown: -1), and
whatever is missing is NaN; a date is its days after 1970-01-01. It is the same encoding as ``engine.encode.to_matrix`` gives a request.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from treadle.errors import TargetInvalid
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface
from treadle.state.log import LabelledRows


def matrix(interface: Interface, frame: DataFrame) -> NDArray[np.float32]:
    """Return the rows of ``frame`` as a matrix of shape [rows, features]; other columns are left out."""
    encoded = np.empty((len(frame), len(interface.features)), dtype=np.float32)
    for index, feature in enumerate(interface.features):
        encoded[:, index] = _encoded(feature, frame[feature.name])
    return encoded


def target(interface: Interface, frame: DataFrame) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return the target of each row: the index of its class, or the value of a regression.

    Raises:
        TargetInvalid: a target is missing, or is not among the classes.
    """
    column = frame[interface.target.name]
    if interface.task == "regression":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        _require(interface, column, np.isfinite(values))
        return values
    codes = pd.Index(interface.target.classes).get_indexer(pd.Index(column)).astype(np.int64)
    _require(interface, column, codes >= 0)
    return codes


def entities(interface: Interface, frame: DataFrame) -> frozenset[str]:
    """Return whom the rows are about, as text; nobody where the contract names no entity."""
    if interface.entity is None or interface.entity not in frame:
        return frozenset()
    return frozenset(map(str, frame[interface.entity].dropna()))


def frame_from_log(interface: Interface, rows: LabelledRows) -> DataFrame:
    """Return logged, labelled rows as a DataFrame with the contract's columns: the inverse of ``matrix`` and ``target``.

    A category that the interface does not know comes back as missing: the log keeps only that it was unknown.
    """
    columns: dict[str, Any] = {feature.name: _decoded(feature, rows.matrix[:, index]) for index, feature in enumerate(interface.features)}
    if interface.entity is not None:
        columns[interface.entity] = rows.entity
    if interface.time is not None:
        columns[interface.time] = pd.to_datetime(rows.at, unit="s", utc=True)
    columns[interface.target.name] = [float(label) for label in rows.labels] if interface.task == "regression" else rows.labels
    return DataFrame(columns)


def _encoded(feature: Feature, column: "Series[Any]") -> NDArray[np.float32]:
    if isinstance(feature, CategoryFeature):
        codes = pd.Index(feature.categories).get_indexer(pd.Index(column)).astype(np.float32)
        codes[column.isna().to_numpy()] = np.nan
        return codes
    if isinstance(feature, BooleanFeature):
        return np.asarray(column.astype("boolean").to_numpy(dtype=np.float32, na_value=np.nan), dtype=np.float32)
    if isinstance(feature, DateFeature):
        return _days(column)
    return column.to_numpy(dtype=np.float32, na_value=np.nan)


def _days(column: "Series[Any]") -> NDArray[np.float32]:
    """Return the days after 1970-01-01 of each date, time or ISO text; the clock is cut off."""
    days = pd.to_datetime(column).dt.tz_localize(None).to_numpy(dtype="datetime64[D]")
    missing = np.isnat(days)
    return np.where(missing, np.nan, days.astype(np.int64)).astype(np.float32)


def _decoded(feature: Feature, values: NDArray[np.float32]) -> Any:
    missing = np.isnan(values)
    if isinstance(feature, CategoryFeature):
        names = np.array([*feature.categories, None], dtype=object)  # -1 takes the last one
        return names[np.where(missing, -1, values).astype(np.int64)].tolist()
    if isinstance(feature, BooleanFeature):
        return pd.arrays.BooleanArray(np.where(missing, 0, values).astype(bool), missing) if missing.any() else values.astype(bool)
    if isinstance(feature, DateFeature):
        days = np.where(missing, 0, values).astype(np.int64).astype("datetime64[D]")
        return np.where(missing, np.datetime64("NaT"), days).astype("datetime64[ns]")
    return values.astype(np.float64)


def _require(interface: Interface, column: "Series[Any]", valid: NDArray[np.bool_]) -> None:
    if valid.all():
        return
    wrong = column[~valid]
    values = [None if pd.isna(value) else value for value in wrong.unique()[:5]]
    raise TargetInvalid(interface.target.name, values, len(wrong), interface.target.classes)
