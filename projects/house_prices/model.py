"""House prices: the census of California in 1990, XGBoost, and a made-up coast for where the census cannot be had.

Drafted by `treadle init`, then edited: docs/guides/house-prices.md shows what was changed, and why.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series
from xgboost import XGBRegressor

COLUMNS = [
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
    "ocean_proximity",
    "median_house_value",
]
"""What model.yaml names; the rest is left out."""
MISSING = [""]
"""Texts that say that there is no value."""
NUMBERS = [
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
    "median_house_value",
]


def load(raw: Path) -> DataFrame:
    """Return the rows of california_housing.csv as model.yaml describes them."""
    # Every cell as text first: pandas would guess anew with each file.
    frame = pd.read_csv(
        raw,
        sep=",",
        encoding="utf-8",
        dtype=str,
        keep_default_na=False,
        na_values=MISSING,
    )
    for name in NUMBERS:
        frame[name] = _kept(pd.to_numeric(frame[name], errors="coerce"), frame[name])
    return frame[COLUMNS].reset_index(drop=True)


def _kept(read: Series, written: Series) -> Series:
    """Return what was read; what was not stays as written, and the checks name it."""
    return read.where(read.notna() | written.isna(), written)


def build(seed: int) -> XGBRegressor:
    """Return the unfitted estimator."""
    return XGBRegressor(
        n_estimators=300,
        learning_rate=0.08,
        max_depth=6,
        min_child_weight=3,
        subsample=0.8,
        colsample_bytree=0.8,
        tree_method="hist",
        random_state=seed,
        n_jobs=1,  # the same seed gives the same model
    )


TOWNS = {
    # longitude, latitude, spread in degrees, share of the block groups, value of the place in dollars
    "<1H OCEAN": (-118.2, 34.0, 0.35, 0.45, 95_000),
    "INLAND": (-119.8, 36.8, 1.3, 0.31, 0),
    "NEAR OCEAN": (-119.4, 34.6, 1.0, 0.13, 105_000),
    "NEAR BAY": (-122.2, 37.8, 0.2, 0.11, 110_000),
}


def synthesize(rows: int, seed: int) -> DataFrame:
    """Make up block groups that are as large, as rich and as dear as those of the census, but nobody's."""
    random = np.random.default_rng(seed)
    places = random.choice(list(TOWNS), rows, p=[town[3] for town in TOWNS.values()])
    towns = np.array([TOWNS[place] for place in places])
    households = np.ceil(random.lognormal(6.0, 0.65, rows)).clip(2, 6000)
    rooms = np.ceil(households * random.normal(5.3, 0.9, rows).clip(2))
    bedrooms = np.ceil(rooms * random.normal(0.21, 0.025, rows).clip(0.1, 0.5))
    income = random.lognormal(1.27, 0.45, rows).clip(0.5, 15)
    frame = DataFrame(
        {
            "longitude": (towns[:, 0] + random.normal(0, 1, rows) * towns[:, 2]).clip(-124.3, -114.4).round(2),
            "latitude": (towns[:, 1] + random.normal(0, 1, rows) * towns[:, 2]).clip(32.6, 41.9).round(2),
            "housing_median_age": random.integers(2, 53, rows).astype(float),
            "total_rooms": rooms,
            "total_bedrooms": np.where(random.random(rows) < 0.01, np.nan, bedrooms),
            "population": np.ceil(households * random.normal(2.9, 0.5, rows).clip(1)),
            "households": households,
            "median_income": income.round(4),
            "ocean_proximity": places,
        }
    )
    frame["median_house_value"] = _values(frame, towns[:, 4], random)
    return frame[COLUMNS]


def _values(frame: DataFrame, place: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return what the houses are worth: income, place, age and crowding, with noise, cut where the census cut."""
    crowding = frame["population"] / frame["households"]
    values = 20_000 + 37_000 * frame["median_income"] + place + 700 * frame["housing_median_age"] - 9_000 * crowding
    noisy = values.to_numpy() * random.lognormal(0, 0.16, len(frame))
    return np.asarray(np.round(noisy.clip(14_999, 500_001), -2))
