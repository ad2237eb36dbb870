"""Two tables with everything that hurts in one file, as real exports have it, and a target that can be learnt all the same.

Both are CSV files with semicolons, decimal commas and Latin-1, of about 4,000 rows. They have mixed types, missing values, dates, an
id, yes and no in another language, 50 categories and a long tail, odd column names, a constant column, prose, a leak, and rows
without a target.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

ROWS = 4000
CITIES = [f"Städtchen {number:02d}" for number in range(1, 51)]
TARIFFS = ["Basis", "Komfort", "Größe XL"]
POSITIVE_SHARE = 0.02


def classification(path: Path, *, seed: int = 7, rows: int = ROWS) -> Path:
    """Write a table of contracts of which about 2 % were cancelled ("gekündigt" is ja), and return the path."""
    random = np.random.default_rng(seed)
    frame = _customers(random, rows)
    odds = (
        2.2 * (frame["tarif"] == "Basis")
        + 1.1 * (frame["alter"] < 30)
        - 0.5 * np.minimum(frame["laufzeit"], 10)
        + 2.0 * frame["stadt"].isin(CITIES[:12])
        + 1.6 * frame["mahnung"]
        + 0.05 * (frame["umsatz"] - 60).clip(-40, 60)
    )
    chance = _logistic(odds, POSITIVE_SHARE)
    cancelled = random.random(rows) < chance
    table = _german(frame, random)
    table["Kündigungsgrund"] = np.where(cancelled, "zu teuer", "")
    table["gekündigt"] = np.where(cancelled, "ja", "nein")
    table.loc[random.choice(rows, 15, replace=False), "gekündigt"] = ""
    return _write(table, path)


def regression(path: Path, *, seed: int = 8, rows: int = ROWS) -> Path:
    """Write a table of contracts with what each will pay in a year (Jahreswert (€)), and return the path."""
    random = np.random.default_rng(seed)
    frame = _customers(random, rows)
    value = (
        240.0
        + 8.5 * frame["umsatz"]
        + 160.0 * (frame["tarif"] == "Größe XL")
        + 14.0 * frame["laufzeit"]
        - 120.0 * frame["mahnung"]
        + 90.0 * frame["stadt"].isin(CITIES[:12])
        + random.normal(0, 40, rows)
    ).round(2)
    table = _german(frame, random)
    table["Jahreswert netto"] = _decimal((value / 1.19).round(4), digits=4)
    table["Jahreswert (€)"] = _decimal(value)
    table.iloc[random.choice(rows, 15, replace=False), -1] = "k.A."
    return _write(table, path)


def _customers(random: np.random.Generator, rows: int) -> DataFrame:
    weights = np.array([3.0] * 20 + [1.0] * 30)
    return DataFrame(
        {
            "alter": random.integers(18, 86, rows),
            "laufzeit": random.gamma(2.0, 2.5, rows).round(1),
            "umsatz": random.normal(60, 18, rows).clip(5, None).round(2),
            "tarif": random.choice(TARIFFS, rows, p=[0.5, 0.3, 0.2]),
            "stadt": random.choice(CITIES, rows, p=weights / weights.sum()),
            "mahnung": random.random(rows) < 0.2,
            "beitritt": pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3600, rows), unit="D"),
        }
    )


def _german(frame: DataFrame, random: np.random.Generator) -> DataFrame:
    """Return the rows as an export of some office shows them."""
    rows = len(frame)
    table = DataFrame({"Kunden-Nr.": [f"K{number:06d}" for number in random.permutation(rows)]})
    table[" Alter "] = frame["alter"].astype(str)
    table.loc[random.random(rows) < 0.04, " Alter "] = "unbekannt"
    table["Laufzeit (Jahre)"] = _decimal(frame["laufzeit"], digits=1)
    table["Umsatz/Monat €"] = _decimal(frame["umsatz"]) + " €"
    table.loc[random.random(rows) < 0.06, "Umsatz/Monat €"] = "-"
    table["Tarif"] = frame["tarif"]
    table["Stadt"] = frame["stadt"].where(random.random(rows) > 0.02, "")
    villages = [f"Weiler {number}" for number in range(300)]
    table["Herkunftsort"] = np.where(random.random(rows) < 0.15, random.choice(villages, rows), frame["stadt"])
    table["Mahnung?"] = np.where(frame["mahnung"], "ja", "nein")
    table["Beitritt"] = frame["beitritt"].dt.strftime("%d.%m.%Y")
    table["Mandant"] = "0815"
    table["Postleitzahl"] = [f"{number:05d}" for number in random.integers(1000, 99999, rows)]
    table["E-Mail"] = [f"kunde{number}@example.org" for number in range(rows)]
    table["Bemerkung"] = [f'Rückruf; "wichtig"\nam Tag {number}, bitte' for number in range(rows)]
    return table


def _decimal(values: "Series[float]", digits: int = 2) -> "Series[str]":
    """Return numbers as a German writes them: 1.234,50."""
    return values.map(lambda value: f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,")))


def _logistic(odds: "Series[float]", share: float) -> "Series[float]":
    """Return chances with these odds, shifted so that they are ``share`` on average."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float((1 / (1 + np.exp(-(2.2 * odds + middle)))).mean())
        low, high = (middle, high) if mean < share else (low, middle)
    chances: Series[float] = (-(2.2 * odds + low)).map(lambda power: 1 / (1 + np.exp(power)))
    return chances


def _write(table: DataFrame, path: Path) -> Path:
    table.to_csv(path, sep=";", index=False, encoding="cp1252")
    return path
