"""The code that makes an estimator anew."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from treadle.drafting.construction import construction
from treadle.errors import NotWritable


class Own(TransformerMixin, BaseEstimator):
    pass


def built(estimator: Any, seed: int = 5) -> Any:
    imports, body = construction(estimator)
    scope: dict[str, Any] = {}
    exec("\n".join([*imports, body]), scope)  # noqa: S102 - what is tested
    return scope["build"](seed)


def test_changed_parameters_are_written_and_the_seed_is_everywhere() -> None:
    stack = StackingClassifier(
        [("l", LGBMClassifier(n_estimators=5)), ("x", XGBClassifier(max_depth=3))], final_estimator=LogisticRegression(C=0.5)
    )
    made = built(make_pipeline(StandardScaler(with_mean=False), stack))
    parameters = made.get_params()
    assert [value for name, value in parameters.items() if name.endswith("random_state")] == [5, 5, 5]
    assert parameters["standardscaler__with_mean"] is False
    assert parameters["stackingclassifier__final_estimator__C"] == 0.5
    _, body = construction(RandomForestClassifier(300, random_state=1))
    assert body == "def build(seed):\n    return RandomForestClassifier(n_estimators=300, random_state=seed)\n"


def test_columns_that_a_function_picked_are_written_down() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 3], "t": ["p", "q", "p"]})
    picked = ColumnTransformer([("t", OneHotEncoder(categories=[np.array(["p", "q"])]), make_column_selector(dtype_exclude="number"))]).fit(
        frame
    )
    made = built(picked)
    assert made.transformers[0][2] == ["t"]
    assert made.transformers[0][1].categories == [["p", "q"]]


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (
            make_pipeline(FunctionTransformer(lambda values: values), LogisticRegression()),
            r"'func' of Pipeline\.FunctionTransformer .* a lambda",
        ),
        (make_pipeline(Own(), LogisticRegression()), "Own of your own"),
        (LogisticRegression(class_weight=dict.fromkeys(map(str, range(3)), 1.0) | {"x": object()}), "'class_weight' of"),
    ],
)
def test_what_cannot_be_written_is_named_with_a_way_out(estimator: Any, said: str) -> None:
    with pytest.raises(NotWritable, match=said) as caught:
        construction(estimator)
    assert "treadle adopt FILE.py:function" in caught.value.fix
    assert "do it to the column before, in load()" in caught.value.fix
