import io
from typing import Any

from rich.console import Console

from treadle.console.evaluation import Evaluation, table
from treadle.spec import CardPolicy

CARD: dict[str, Any] = {
    "data": {"source": "simulation", "simulated": True, "holdout_rows": 120},
    "metrics": {"accuracy": 0.91234, "log_loss": 0.3},
    "intervals": {"accuracy": [0.88, 0.94]},
    "baseline": {"accuracy": 0.5},
    "importances": {f"feature_{number}": number / 100 for number in range(12)},
}

WRITTEN = CardPolicy(purpose="Rank customers for the retention team.")


def drawn(report: Evaluation) -> str:
    file = io.StringIO()
    for one in table(report):
        Console(file=file, width=120).print(one)
    return file.getvalue()


def test_metrics_stand_beside_the_baseline_and_simulated_rows_are_called_so() -> None:
    text = drawn(Evaluation("toy", 2, "d", CARD, None, {}, "retention", WRITTEN))
    assert "toy version 2, 120 held-out rows (simulation, simulated)" in text
    assert "0.9123" in text
    assert "0.8800 to 0.9400" in text
    assert "0.5000" in text
    assert "champion" not in text


def test_the_champion_stands_beside_another_version() -> None:
    text = drawn(Evaluation("toy", 2, "d", CARD, 1, {"accuracy": 0.8}, "", CardPolicy()))
    assert "champion v1, own holdout" in text
    assert "0.8000" in text


def test_the_ten_most_important_features_come_in_order() -> None:
    lines = [line for line in drawn(Evaluation("toy", 2, "d", CARD, None, {}, "retention", WRITTEN)).splitlines() if "feature_" in line]
    assert [line.split()[1] for line in lines] == [f"feature_{number}" for number in range(11, 1, -1)]


def test_what_a_person_says_of_a_model_stands_beside_what_was_measured() -> None:
    text = drawn(Evaluation("toy", 2, "d", CARD, None, {}, "retention", WRITTEN))
    assert "Rank customers for the retention team." in text
    assert "retention" in text
    assert text.count("(empty)") == 2
