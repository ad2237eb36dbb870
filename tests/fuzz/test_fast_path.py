"""The bodies that atheris has found, again; some seconds of atheris; and that a disagreement would be seen."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import agreement
from tests.fuzz.agreement import Both, Difference, Disagreement
from tests.fuzz.small_models import CHURN, MODELS
from treadle.engine.encode import row_model
from treadle.serving.request import decoded
from treadle.spec import NumberFeature

CORPUS = Path(__file__).parent.parent / "corpus" / "fast_path"
DICTIONARY = Path(__file__).with_name("fast_path.dict")


@pytest.fixture(scope="module")
def both() -> Iterator[dict[str, Both]]:
    made = {name: Both(interface) for name, interface in MODELS.items()}
    yield made
    for pair in made.values():
        pair.close()


def test_both_agree_on_the_corpus_but_for_the_differences_that_are_named(both: dict[str, Both]) -> None:
    bodies = [path.read_bytes() for path in sorted(CORPUS.iterdir())]

    differences = {pair.check(body) for body in bodies for pair in both.values()}

    assert differences == {None, *Difference}
    accepted = {name: sum(map(pair.accepts, bodies)) for name, pair in both.items()}
    assert min(accepted.values()) >= 3, accepted


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        (b'{"tenure":2,"tenure":3,"spend":1}', Difference.TWICE),
        (b'{"tenure":2,"\\u0074enure":3,"spend":1}', Difference.TWICE),
        ('{"tenure":2,"spend":1}'.encode("utf-16"), Difference.ENCODING),
        (b'\xef\xbb\xbf{"tenure":2,"spend":1}', Difference.ENCODING),
        (b'{"tenure":2,"spend":1}', None),
        (b'{"tenure":2,"spend":NaN}', None),
        (b'{"tenure":2,"spend":1e400}', None),
    ],
)
def test_a_body_on_which_they_differ_is_named(both: dict[str, Both], body: bytes, difference: Difference | None) -> None:
    assert both["churn"].check(body) is difference


def test_a_body_that_only_ours_accepts_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = CHURN.model_copy(update={"features": (NumberFeature(name="tenure", type="integer", min=0, max=9), *CHURN.features[1:])})
    real = row_model
    monkeypatch.setattr(agreement, "row_model", lambda _interface: real(narrow))
    pair = Both(CHURN)

    assert pair.check(b'{"tenure":9,"spend":1}') is None
    with pytest.raises(Disagreement, match="FastAPI refuses it"):
        pair.check(b'{"tenure":10,"spend":1}')
    pair.close()


def test_a_body_that_only_fastapi_accepts_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = CHURN.model_copy(update={"features": (NumberFeature(name="tenure", type="integer"), *CHURN.features[1:])})
    real = row_model
    monkeypatch.setattr(agreement, "row_model", lambda _interface: real(wide))
    pair = Both(CHURN)

    with pytest.raises(Disagreement, match="FastAPI reads"):
        pair.check(b'{"tenure":101,"spend":1}')
    pair.close()


def test_a_number_that_is_read_otherwise_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Both(CHURN)
    real = decoded
    monkeypatch.setattr(agreement, "decoded", lambda body: real(body.replace(b"30.5", b"30.6")))

    with pytest.raises(Disagreement, match="by FastAPI as"):
        pair.check(b'{"tenure":2,"spend":30.5}')
    pair.close()


@pytest.mark.integration
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine")
def test_some_seconds_of_atheris(tmp_path: Path) -> None:
    bounds = ["-runs=1500", "-max_total_time=12", "-seed=1", "-max_len=400", f"-dict={DICTIONARY}", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, "-m", "tests.fuzz.fast_path", *bounds, str(tmp_path), str(CORPUS)]

    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    done = re.search(r"Done (\d+) runs", ran.stderr)
    assert done, ran.stderr[-1000:]
    assert int(done[1]) > 50
