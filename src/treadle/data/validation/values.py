"""What is odd about the values of one column: some lie far from all others, or nearly all are the same."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from treadle.data.validation.demands import bounds
from treadle.data.validation.findings import Finding
from treadle.data.validation.table import Numbers, Table, shown
from treadle.spec import ConstantCheck, Contract, DateFeature, NumberFeature

FEWEST = 20
"""Fewest values of which a few can be called outliers."""

LARGEST = 700.0
"""The exponential of more is no float64."""


def values(contract: Contract, table: Table) -> Iterator[Finding]:
    """Look at each feature by itself."""
    policy = contract.policy.data
    for feature in contract.interface.features:
        if feature.name not in table:
            continue
        if policy.constant.severity != "off":
            yield from _constant(feature.name, table, policy.constant)
        if isinstance(feature, NumberFeature | DateFeature) and policy.outliers.severity != "off":
            yield from _outliers(feature, table, contract)


def fences(numbers: Numbers, reach: float, *, tails: bool) -> tuple[float, float] | None:
    """Return below and above which a number is far from all others; None where the quartiles do not tell.

    Quartiles are not moved by the outliers themselves, as mean and standard deviation are. With ``tails``, a positive number among
    positive ones that is not far on a logarithmic scale is not far: incomes and counts have long tails, dates have not.
    """
    if len(numbers) < FEWEST:
        return None
    low, high = _around(numbers, reach)
    if low == high:
        return None
    if tails and numbers.min() > 0:
        high = max(high, float(np.exp(min(_around(np.log(numbers), reach)[1], LARGEST))))
    return low, high


def _around(numbers: Numbers, reach: float) -> tuple[float, float]:
    lower, upper = map(float, np.quantile(numbers, [0.25, 0.75]))
    return lower - reach * (upper - lower), upper + reach * (upper - lower)


def _outliers(feature: NumberFeature | DateFeature, table: Table, contract: Contract) -> list[Finding]:
    check, numbers = contract.policy.data.outliers, table.numbers(feature.name)
    least, most = bounds(feature)
    sound = np.isfinite(numbers) & (numbers >= least) & (numbers <= most)  # what is out of range is told as such
    around = fences(numbers[sound], check.reach, tails=isinstance(feature, NumberFeature))
    if around is None:
        return []
    low, high = around
    far = sound & ((numbers < low) | (numbers > high))
    if not far.any():
        return []
    phrase = f"far from all others, {_outside(feature, max(low, least), min(high, most), least, most)}"
    return table.finding("outliers", check.severity, feature.name, far, phrase, limit=check.limit)


def _outside(feature: NumberFeature | DateFeature, low: float, high: float, least: float, most: float) -> str:
    def said(bound: float) -> str:
        return str(np.datetime64(int(bound), "D")) if isinstance(feature, DateFeature) else f"{bound:.4g}"

    return " or ".join([f"below {said(low)}"] * (low > least) + [f"above {said(high)}"] * (high < most))


def _constant(name: str, table: Table, check: ConstantCheck) -> Iterator[Finding]:
    codes, different = table.codes(name)
    counts = np.bincount(codes + 1, minlength=1)  # missing is a value too
    most = int(counts.argmax())
    share = counts[most] / table.rows
    if share == 1 or share > check.limit:
        said = "missing" if most == 0 else shown(different[most - 1])
        message = f"{name}: {share:.2%} of the rows have the value {said}"
        found = table.made("constant", check.severity, name, np.empty(0, dtype=np.int64), message, values=(said,))
        yield replace(found, count=int(counts[most]), share=float(share))
