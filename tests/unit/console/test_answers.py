"""Answers as a person reads them."""

from typing import Any

from rich.console import Console

from treadle.console.answers import shown

FACTS: dict[str, Any] = {"model": "houses", "version": 4, "prediction_id": "p-1"}


def text(answers: list[dict[str, Any]]) -> str:
    screen = Console(width=100)
    with screen.capture() as capture:
        screen.print(shown(answers))
    return capture.get()


def test_one_answer_is_a_line() -> None:
    assert shown([{"prediction": 3.5, **FACTS}]) == "3.5  houses version 4, prediction p-1"
    assert shown([{"prediction": "yes", "confidence": 0.51, **FACTS}]) == "yes (confidence 0.510)  houses version 4, prediction p-1"


def test_several_answers_are_a_table_of_the_first() -> None:
    told = text([{"prediction": "yes", "confidence": 0.51, **FACTS, "prediction_id": f"p-{number}"} for number in range(12)])
    assert "12 rows answered, the first 10" in told
    assert ("p-9" in told, "p-10" in told, "0.510" in told) == (True, False, True)


def test_values_have_no_confidence() -> None:
    told = text([{"prediction": 3.5, **FACTS}] * 2)
    assert "2 rows answered" in told
    assert "confidence" not in told
