"""The text of an answer is the same, whether one row is told or many."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from treadle.serving.ids import uuids7
from treadle.serving.records import answer, texts

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["%s", "100%", '"', "\n", "\u2028"])


@given(
    data=st.data(),
    model=names,
    version=st.integers(1, 10**6),
    classes=st.just([]) | st.lists(names, min_size=2, max_size=4, unique=True),
    fallback=st.booleans(),
)
def test_many_answers_are_worded_as_one_is(data: st.DataObject, model: str, version: int, classes: list[str], *, fallback: bool) -> None:
    shape = st.tuples(st.integers(1, 5), st.just(len(classes) or 1))
    scores = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
    ids = uuids7(0.0, len(scores))

    told = texts(ids, model, version, classes, scores, fallback=fallback)

    by_row = [answer(name, model, version, classes, row, fallback=fallback) for name, row in zip(ids, scores.tolist(), strict=True)]
    assert [text.encode() for text in told] == [msgspec.json.encode(one) for one in by_row]
