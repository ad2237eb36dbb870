"""The code and the rows: model.py loads them, they keep the contract, and they can be split."""

import numpy as np
from numpy.typing import NDArray

from treadle.checking.case import MOST_ROWS, Case, Found, Refused, Sample
from treadle.data.frame import matrix, target
from treadle.data.sources import fetch
from treadle.data.split import split
from treadle.data.validate import check
from treadle.spec import FLOAT32_WHOLE, NumberFeature, SimulatedSource

SHOWN = 3


def code(case: Case) -> Found:
    """Import model.py, and find the functions that the contract's sources need."""
    made_up = all(isinstance(source, SimulatedSource) for source in case.contract.data)
    for name in ("build", "synthesize" if made_up else "load"):
        case.project.hook(name)
    brought = [name for name in ("load", "build", "synthesize", "simulate") if case.project.has(name)]
    return Found(f"model.py has {', '.join(f'{name}()' for name in brought)}")


def loads(case: Case) -> Found:
    """Fetch the rows."""
    fetched = fetch(case.project, case.workspace, seed=case.seed)
    case.made["data"] = fetched.frame
    reason = f"{len(fetched.frame)} rows from {fetched.source}"
    return Found(f"{reason}, made up", "Bring the data that the contract names.", warns=True) if fetched.simulated else Found(reason)


def validates(case: Case) -> Found:
    """Hold the rows against contract and policy."""
    report = check(case.contract, case.frame)
    if not report.passed:
        first = report.problems[0]
        raise Refused(_listed([one.message for one in report.problems]), fix=first.advice or f"`treadle validate {case.name}` shows each.")
    if report.warnings:
        told = _listed([one.message for one in report.warnings])
        return Found(told, f"`treadle validate {case.name}` writes a report with each.", warns=True)
    return Found(f"{len(case.frame)} rows keep the contract")


def fits_float32(case: Case) -> Found:
    """Look for whole numbers that float32, in which rows travel, cannot tell apart."""
    numbers = [one for one in case.interface.features if isinstance(one, NumberFeature)]
    lost = [one.name for one in numbers if _loses_digits(case.frame[one.name].to_numpy(dtype=np.float64, na_value=np.nan))]
    if lost:
        return Found(
            f"{', '.join(lost)}: whole numbers past {FLOAT32_WHOLE}, of which neighbours become one in float32",
            "If it is a key, leave it out or make it the entity; if it is a quantity, scale it down in load().",
            warns=True,
        )
    return Found("every number travels as it is")


def splits(case: Case) -> Found:
    """Hold rows out as a training would, of a sample."""
    frame = case.frame
    if len(frame) > MOST_ROWS:
        chosen = np.random.default_rng(case.seed).choice(len(frame), MOST_ROWS, replace=False)
        frame = frame.iloc[np.sort(np.union1d(chosen, _some_of_each_class(case)))]
    parts = split(case.interface, frame, case.seed)
    x, y = matrix(case.interface, frame), target(case.interface, frame)
    case.made["sample"] = Sample(x[parts.train], y[parts.train], x[parts.holdout], y[parts.holdout])
    return Found(f"{len(parts.train)} rows to learn from, {len(parts.holdout)} held out by {case.interface.split.by}")


def _some_of_each_class(case: Case, count: int = 40) -> NDArray[np.int64]:
    """Return positions of a few rows of each class, so that a rare one is in the sample."""
    if case.interface.task == "regression":
        return np.empty(0, dtype=np.int64)
    y = target(case.interface, case.frame)
    return np.concatenate([np.flatnonzero(y == index)[:count] for index in range(len(case.interface.target.classes))])


def _loses_digits(values: NDArray[np.float64]) -> bool:
    whole = values[np.isfinite(values) & (np.abs(values) > FLOAT32_WHOLE)]
    whole = whole[whole % 1 == 0]
    return len(np.unique(whole)) != len(np.unique(whole.astype(np.float32)))


def _listed(messages: list[str]) -> str:
    more = len(messages) - SHOWN
    return "; ".join(messages[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
