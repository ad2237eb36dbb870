import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treadle.engine.answer import answers, label_index
from treadle.errors import LabelInvalid
from treadle.spec import Interface, NumberFeature, Target

SIZE = (NumberFeature(name="size", type="number"),)
KIND = Interface(task="multiclass", target=Target(name="kind", classes=("a", "b", "c")), features=SIZE)
PRICE = Interface(task="regression", target=Target(name="price"), features=SIZE)


def test_a_class_is_answered_with_its_confidence_and_all_probabilities() -> None:
    scores = np.array([[0.25, 0.5, 0.25], [1, 0, 0]], dtype=np.float32)

    assert answers(KIND, scores) == [
        {"prediction": "b", "confidence": 0.5, "probabilities": {"a": 0.25, "b": 0.5, "c": 0.25}},
        {"prediction": "a", "confidence": 1.0, "probabilities": {"a": 1.0, "b": 0.0, "c": 0.0}},
    ]


def test_a_value_is_answered_as_it_is() -> None:
    assert answers(PRICE, np.array([[1.5], [-3]], dtype=np.float32)) == [{"prediction": 1.5}, {"prediction": -3.0}]


def test_no_scores_are_no_answers() -> None:
    assert answers(KIND, np.empty((0, 3), dtype=np.float32)) == []


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(0, 1, width=32)))
def test_an_answer_is_json_and_gives_back_the_very_scores(scores: np.ndarray) -> None:
    again = json.loads(json.dumps(answers(KIND, scores), allow_nan=False))

    assert [KIND.target.classes.index(answer["prediction"]) for answer in again] == scores.argmax(axis=1).tolist()
    assert np.array_equal(np.array([list(answer["probabilities"].values()) for answer in again], dtype=np.float32), scores)
    assert [answer["confidence"] for answer in again] == scores.max(axis=1).tolist()


def test_labels_become_indexes_of_classes() -> None:
    index = label_index(KIND, ["c", "a", "c"])

    assert index.dtype == np.int64
    assert index.tolist() == [2, 0, 2]


def test_labels_become_values() -> None:
    values = label_index(PRICE, ["1.5", "-2", "1e3"])

    assert values.dtype == np.float64
    assert values.tolist() == [1.5, -2.0, 1000.0]


def test_no_labels_are_no_targets() -> None:
    assert len(label_index(KIND, [])) == len(label_index(PRICE, [])) == 0


@pytest.mark.parametrize("label", ["d", "", "A", "0"])
def test_a_label_that_is_no_class_is_refused(label: str) -> None:
    with pytest.raises(LabelInvalid, match="not a value of kind: allowed is one of a, b, c") as caught:
        label_index(KIND, ["a", label])

    assert (caught.value.value, caught.value.allowed) == (label, "one of a, b, c")


@pytest.mark.parametrize("label", ["", "much", "nan", "inf", "-Infinity", "1e999", "1_000", "1,5"])
def test_a_label_that_is_no_finite_number_is_refused(label: str) -> None:
    with pytest.raises(LabelInvalid, match="not a value of price: allowed is a finite number"):
        label_index(PRICE, ["1", label])
