import math
from dataclasses import dataclass

import numpy as np

from treadle.console.out import as_json
from treadle.spec import Split


@dataclass
class Inner:
    values: np.ndarray
    share: float


def test_records_arrays_models_and_bytes_become_plain_json() -> None:
    value = {"inner": Inner(np.array([1, 2]), math.nan), "split": Split(), 3: ("text", np.float32(0.5))}
    assert as_json(value) == {
        "inner": {"values": [1, 2], "share": None},
        "split": {"by": "random", "holdout": 0.2, "folds": 5},
        "3": ["text", 0.5],
    }
