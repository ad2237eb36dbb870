"""The card holds what was measured, in JSON and in six digits."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from treadle.bundle.manifest import Lineage
from treadle.spec import canonical_json
from treadle.training.card import measured
from treadle.training.parity import Parity

LINEAGE = Lineage(
    data_digest="d",
    data_source="mirror file x.csv",
    simulated=True,
    rows=10,
    seed=1,
    interface_digest="i",
    code_digest="c",
    python="3",
    packages={},
)


def fitted(**given: Any) -> Any:
    base: dict[str, Any] = {
        "metrics": {"roc_auc": 0.123456789},
        "intervals": {"roc_auc": (0.1, 1 / 3), "r2": (float("nan"), 1.0)},
        "cv": {"roc_auc": {"mean": 0.5, "std": 0.0}},
        "baseline": {"roc_auc": 0.5},
        "importances": {"x": 1.0},
        "rows": SimpleNamespace(split=SimpleNamespace(train=np.arange(8), holdout=np.arange(2))),
    }
    return SimpleNamespace(**(base | given))


def test_the_card_is_json_in_six_digits() -> None:
    card = measured("roc_auc", fitted(), Parity(12, 0.0, 1.23456789e-7, 1.0), LINEAGE)
    assert card["metrics"] == {"roc_auc": 0.123457}
    assert card["intervals"] == {"roc_auc": [0.1, 0.333333]}
    assert card["parity"] == {"rows": 12, "share_beyond": 0.0, "max_difference": 1.23457e-07, "label_agreement": 1.0}
    assert card["data"] == {
        "rows": 10,
        "training_rows": 8,
        "holdout_rows": 2,
        "source": "mirror file x.csv",
        "simulated": True,
        "digest": "d",
    }
    assert card["metric"] == "roc_auc"
    assert canonical_json(card)


def test_the_last_bits_of_a_sum_do_not_change_the_card() -> None:
    cards = [measured("roc_auc", fitted(metrics={"roc_auc": value}), Parity(1, 0.0, 0.0, 1.0), LINEAGE) for value in (0.1 + 0.2, 0.3)]
    assert cards[0] == cards[1]
