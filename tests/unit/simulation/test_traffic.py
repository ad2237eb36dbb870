import json

import numpy as np
import pandas as pd

from treadle.simulation.traffic import canonical_answer, to_payloads
from treadle.spec import Interface

INTERFACE = Interface.model_validate(
    {
        "task": "binary",
        "target": {"name": "left", "classes": ["No", "Yes"]},
        "entity": "who",
        "features": [
            {"name": "age", "type": "integer"},
            {"name": "charge", "type": "number"},
            {"name": "plan", "type": "category", "categories": ["a", "b"]},
            {"name": "active", "type": "boolean"},
        ],
    }
)


def test_a_row_becomes_a_json_body_with_its_types_and_without_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "who": ["x", "y"],
            "age": [30.0, np.nan],
            "charge": [9.5, np.nan],
            "plan": ["a", None],
            "active": [True, None],
            "left": ["No", "Yes"],
        }
    )
    assert to_payloads(INTERFACE, frame) == [{"age": 30, "charge": 9.5, "plan": "a", "active": True, "who": "x"}, {"who": "y"}]
    assert isinstance(to_payloads(INTERFACE, frame)[0]["age"], int)


def test_equal_answers_have_equal_texts() -> None:
    answer = {"version": 1, "prediction": "No"}
    assert canonical_answer(answer) == canonical_answer(json.loads(json.dumps(dict(reversed(answer.items())))))
