"""Churn: the Telco customers of IBM's public sample, small boosted trees, and a simulated market.

The market goes on where the sample ends. Before the shift it draws customers from the known rows, with their charges a
little blurred, and lets each leave with the chance that a logistic regression on those rows gives: nobody's label is copied.
After the shift both things that a model rests on have changed:

- the population: the provider sells fibre without a term to newcomers and has raised its prices;
- the relation: a rival woos those who stream and those who pay automatically, whatever their contract; families on
  several lines stay, for a bundle.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from treadle.simulation.stream import Stream

COLUMNS = {
    "customerID": "customer_id",
    "gender": "gender",
    "SeniorCitizen": "senior_citizen",
    "Partner": "partner",
    "Dependents": "dependents",
    "tenure": "tenure_months",
    "PhoneService": "phone_service",
    "MultipleLines": "multiple_lines",
    "InternetService": "internet_service",
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
    "Contract": "contract",
    "PaperlessBilling": "paperless_billing",
    "PaymentMethod": "payment_method",
    "MonthlyCharges": "monthly_charges",
    "TotalCharges": "total_charges",
    "Churn": "churn",
}
YES_NO = ["partner", "dependents", "phone_service", "paperless_billing"]
EXTRAS = ["online_security", "online_backup", "device_protection", "tech_support"]
STREAMS = ["streaming_tv", "streaming_movies"]
NUMBERS = ["tenure_months", "monthly_charges", "total_charges"]
FEATURES = [name for name in COLUMNS.values() if name not in ("customer_id", "churn")]
OTHER_PAYMENTS = ["Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"]

BLOCK = 1000
"""Customers are made in blocks of this size, because one at a time is slow."""

RETURNING = 0.1
"""Share of customers who have been seen before."""

REMEMBERED = 2000
"""How many of the latest customers may return."""

BEFORE: dict[str, dict[Any, float]] = {
    "constant": {"": -0.25},
    "contract": {"One year": -0.8, "Two year": -1.7},
    "internet_service": {"Fiber optic": 1.0, "No": -1.0},
    "online_security": {"Yes": -0.5},
    "tech_support": {"Yes": -0.5},
    "payment_method": {"Electronic check": 0.5},
    "paperless_billing": {True: 0.3},
    "senior_citizen": {True: 0.3},
    "dependents": {True: -0.2},
}
"""Log odds to leave in made-up rows, close to what a logistic regression finds in the sample."""

AFTER: dict[str, dict[Any, float]] = {
    "constant": {"": -2.6},
    "streaming_tv": {"Yes": 2.2},
    "streaming_movies": {"Yes": 2.2},
    "payment_method": {"Bank transfer (automatic)": 2.2, "Credit card (automatic)": 2.2},
    "multiple_lines": {"Yes": -1.8},
}
"""Log odds to leave after the shift."""


def load(path: Path) -> DataFrame:
    """Read the Telco file, one customer a row, with clean names and types."""
    frame = pd.read_csv(path, na_values={"TotalCharges": [" "]}).rename(columns=COLUMNS)[list(COLUMNS.values())]
    frame[YES_NO] = frame[YES_NO] == "Yes"
    frame["senior_citizen"] = frame["senior_citizen"] == 1
    frame["churn"] = frame["churn"].map({"No": "stayed", "Yes": "churned"})
    return frame


def build(seed: int) -> LGBMClassifier:
    """Return the unfitted estimator: small trees that learn slowly, the same on every machine."""
    return LGBMClassifier(
        n_estimators=250,
        learning_rate=0.04,
        num_leaves=7,
        min_child_samples=25,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.5,
        reg_lambda=2.0,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def synthesize(rows: int, seed: int) -> DataFrame:
    """Make up customers for where the sample cannot be had: the same columns, and relations like those of the sample."""
    random = np.random.default_rng(seed)
    frame = DataFrame({"customer_id": [f"made-{seed}-{number:06d}" for number in range(rows)]})
    frame["gender"] = random.choice(["Female", "Male"], rows)
    frame["senior_citizen"] = random.random(rows) < 0.16
    frame["partner"] = random.random(rows) < 0.48
    frame["dependents"] = random.random(rows) < np.where(frame["partner"], 0.51, 0.09)
    frame["contract"] = random.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.55, 0.21, 0.24])
    frame["tenure_months"] = _tenures(frame["contract"], random)
    _add_services(frame, random)
    frame["paperless_billing"] = random.random(rows) < np.where(frame["internet_service"] == "No", 0.3, 0.68)
    hurried = (frame["internet_service"] == "Fiber optic") & (frame["contract"] == "Month-to-month")
    frame["payment_method"] = np.where(
        random.random(rows) < np.where(hurried, 0.6, 0.2), "Electronic check", random.choice(OTHER_PAYMENTS, rows)
    )
    frame["monthly_charges"] = np.round(_price(frame) + random.normal(0, 0.7, rows), 2)
    frame["total_charges"] = _billed(frame, frame["tenure_months"] * frame["monthly_charges"] * random.normal(1, 0.03, rows))
    frame["churn"] = np.where(random.random(rows) < _chance(frame, BEFORE, per_month=-0.035), "churned", "stayed")
    return frame[list(COLUMNS.values())]


def simulate(rows: DataFrame, seed: int) -> "Market":
    """Return a world that goes on where ``rows`` end."""
    return Market(rows, seed)


class Market:
    """Customers of the provider, one after another; see the top of this file for how they are made and what changes.

    There is one seeded stream before the shift and one after it; how much is drawn at a time changes neither.
    """

    def __init__(self, rows: DataFrame, seed: int) -> None:
        self._rows = rows.reset_index(drop=True)
        self._seed = seed
        self._chance = _teacher(rows).predict_proba(rows[FEATURES])[:, 1]
        self._weights = _weights(self._rows)
        self._streams = {shifted: Stream(self._blocks(shifted=shifted)) for shifted in (False, True)}

    def draw(self, count: int, *, shifted: bool = False) -> DataFrame:
        """Return the next ``count`` customers with their labels; about one in ten has been seen before."""
        return self._streams[shifted].take(count)

    def _blocks(self, *, shifted: bool) -> Iterator[DataFrame]:
        random = np.random.default_rng((self._seed, int(shifted)))
        known = DataFrame()
        for block in itertools.count():
            fresh = self._after(random) if shifted else self._before(random)
            fresh["customer_id"] = [f"sim-{self._seed}{'b' if shifted else 'a'}-{block * BLOCK + number:07d}" for number in range(BLOCK)]
            seen = pd.concat([known, fresh], ignore_index=True)
            back = random.random(BLOCK) < RETURNING
            index = np.where(back, random.integers(len(seen), size=BLOCK), len(known) + np.arange(BLOCK))
            drawn = seen.iloc[index].reset_index(drop=True)
            drawn["churn"] = np.where(random.random(BLOCK) < drawn["chance"], "churned", "stayed")
            known = seen.tail(REMEMBERED)
            yield drawn[list(COLUMNS.values())]

    def _before(self, random: np.random.Generator) -> DataFrame:
        index = random.integers(len(self._rows), size=BLOCK)
        customers = self._rows.iloc[index].reset_index(drop=True)
        low, high = self._rows["monthly_charges"].min(), self._rows["monthly_charges"].max()
        customers["monthly_charges"] = (customers["monthly_charges"] + random.normal(0, 0.05, BLOCK)).clip(low, high).round(2)
        customers["total_charges"] = (customers["total_charges"] * random.normal(1, 0.002, BLOCK)).round(2)
        customers["chance"] = self._chance[index]
        return customers

    def _after(self, random: np.random.Generator) -> DataFrame:
        customers = self._rows.iloc[random.choice(len(self._rows), size=BLOCK, p=self._weights)].reset_index(drop=True)
        customers["tenure_months"] = np.ceil(customers["tenure_months"] * 0.5).astype("int64")
        customers["monthly_charges"] = (customers["monthly_charges"] * random.normal(1.2, 0.02, BLOCK)).round(2)
        customers["total_charges"] = _billed(customers, customers["tenure_months"] * customers["monthly_charges"])
        customers["chance"] = _chance(customers, AFTER)
        return customers


def _teacher(rows: DataFrame) -> Pipeline:
    """Return a calibrated model of who leaves, fitted on the rows."""
    encoded = make_column_transformer(
        (SplineTransformer(n_knots=5), ["tenure_months", "monthly_charges"]),
        (OneHotEncoder(drop="if_binary"), [name for name in FEATURES if name not in NUMBERS]),
    )
    return make_pipeline(encoded, LogisticRegression(C=1.0, max_iter=2000)).fit(rows[FEATURES], rows["churn"] == "churned")


def _weights(rows: DataFrame) -> NDArray[np.float64]:
    """Return how likely each row is drawn after the shift: newcomers on fibre without a term, mostly."""
    pull = 2.0 * (rows["internet_service"] == "Fiber optic") + 2.0 * (rows["contract"] == "Month-to-month") - rows["tenure_months"] / 40
    weights = np.exp(pull.to_numpy(dtype=np.float64))
    return weights / weights.sum()


def _chance(frame: DataFrame, effects: dict[str, dict[Any, float]], per_month: float = 0.0) -> NDArray[np.float64]:
    """Return the chance to leave from log odds: a constant, what each value adds, and what each month of tenure adds."""
    odds = np.full(len(frame), effects["constant"][""]) + per_month * frame["tenure_months"].to_numpy()
    for name, parts in effects.items():
        if name != "constant":
            odds += frame[name].map(parts).fillna(0.0).to_numpy(dtype=np.float64)
    return 1 / (1 + np.exp(-odds))


def _tenures(contract: "pd.Series[str]", random: np.random.Generator) -> NDArray[np.int64]:
    young = contract.map({"Month-to-month": 0.6, "One year": 2.4, "Two year": 3.2}).to_numpy(dtype=np.float64)
    old = contract.map({"Month-to-month": 1.9, "One year": 1.8, "Two year": 0.9}).to_numpy(dtype=np.float64)
    tenures = np.ceil(72 * random.beta(young, old)).astype(np.int64)
    return np.where(random.random(len(contract)) < 0.002, 0, tenures)


def _billed(frame: DataFrame, total: "pd.Series[float]") -> "pd.Series[float]":
    """Return the sum of all bills, which is missing before the first one."""
    return total.round(2).where(frame["tenure_months"] > 0)


def _add_services(frame: DataFrame, random: np.random.Generator) -> None:
    rows = len(frame)
    internet = random.choice(["DSL", "Fiber optic", "No"], rows, p=[0.34, 0.44, 0.22])
    frame["internet_service"] = internet
    frame["phone_service"] = (internet != "DSL") | (random.random(rows) < 0.72)
    more = np.where(random.random(rows) < np.where(internet == "Fiber optic", 0.6, 0.35), "Yes", "No")
    frame["multiple_lines"] = np.where(frame["phone_service"], more, "No phone service")
    settled = 0.12 + 0.6 * frame["tenure_months"] / 72
    for name in [*EXTRAS, *STREAMS]:
        taken = np.where(random.random(rows) < settled + (0.1 if name in STREAMS else 0.0), "Yes", "No")
        frame[name] = np.where(internet == "No", "No internet service", taken)


def _price(frame: DataFrame) -> "pd.Series[float]":
    """Return the monthly price by the provider's list: a line, a connection, and a sum per extra."""
    base = frame["internet_service"].map({"DSL": 25.0, "Fiber optic": 50.0, "No": 0.0})
    price = base + 20.0 * frame["phone_service"] + 5.0 * (frame["multiple_lines"] == "Yes")
    for name in EXTRAS:
        price += 5.0 * (frame[name] == "Yes")
    for name in STREAMS:
        price += 10.0 * (frame[name] == "Yes")
    return price
