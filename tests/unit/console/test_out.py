import io
import math
from dataclasses import dataclass

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from treadle.console import out
from treadle.console.out import as_json
from treadle.spec import Split
from treadle.state.verdicts import Verdict


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


@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float64(math.nan), np.array([math.nan])])
def test_what_json_has_no_number_for_is_null(value: object) -> None:
    assert as_json(value) in (None, [None])


@pytest.mark.parametrize("value", [None, True, 0, "", "text", 1.5])
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert as_json(value) is value


def test_a_script_gets_json_and_a_person_text_or_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row("äöü")
    out.answer({"name": "äöü [bold]"}, json=True, text="")
    assert capsys.readouterr().out == '{\n  "name": "äöü [bold]"\n}\n'
    out.answer({}, json=False, text="äöü [bold]")
    assert capsys.readouterr().out == "äöü [bold]\n"
    out.answer({}, json=False, text=table)
    assert "äöü" in capsys.readouterr().out
    out.answer({}, json=False, text=[table, table])
    assert capsys.readouterr().out.count("äöü") == 2


def test_a_step_of_a_long_command_is_told_to_a_person_alone(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"rows": 3, "source": "mirror", "digest": "d" * 64}
    out.teller(json=True)("data.snapshotted", model="iris", **facts)
    assert capsys.readouterr().out == ""
    tell = out.teller(json=False)
    tell("data.snapshotted", model="iris", **facts)
    assert "iris: 3 rows from mirror" in capsys.readouterr().out
    tell("training.failed", model="iris", error="It is raised as well.")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("passed", "said"), [(True, "passes the gate"), (False, "is refused by the gate")])
def test_a_verdict_is_a_headline_and_its_reasons(*, passed: bool, said: str) -> None:
    verdict = Verdict("v", "iris", 2, "d", "gate", passed, ("One.", "Two."), "p", {}, 1.0)
    assert out.verdict_text(verdict) == f"iris version 2 {said}.\n  - One.\n  - Two."


def test_a_terminal_is_told_what_takes_long_and_a_script_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with out.working("Looking"):
        pass
    assert capsys.readouterr() == ("", "")
    file = io.StringIO()
    monkeypatch.setattr(out, "aside", Console(file=file, force_terminal=True))
    with out.working("Looking"):
        pass
    assert "Looking" in file.getvalue()
