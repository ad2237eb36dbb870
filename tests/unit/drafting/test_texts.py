"""What texts stand for."""

import pytest
from pandas import Series

from treadle.drafting import texts


@pytest.mark.parametrize(
    ("written", "numbers", "decimal"),
    [
        (["1", "2.5", "-3e2"], [1, 2.5, -300], "."),
        (["1,234.5", "12"], [1234.5, 12], "."),
        (["1.234,5", "12"], [1234.5, 12], ","),
        (["12,5 €", "1 234,5 €"], [12.5, 1234.5], ","),
        (["$1,200.00", "$7"], [1200, 7], "."),
        (["12 %", "7%"], [12, 7], "."),
        (["1'234.5", "2\u2019000"], [1234.5, 2000], "."),
        (["1\u00a0234,5", "2"], [1234.5, 2], ","),
        ([".5", "+7"], [0.5, 7], "."),
    ],
)
def test_numbers_are_read_as_people_write_them(written: list[str], numbers: list[float], decimal: str) -> None:
    found = texts.numerals(Series(written), texts.decimal_of([Series(written)]))
    assert found.numbers.tolist() == numbers
    assert found.decimal == decimal


@pytest.mark.parametrize("written", ["", "twelve", "1.2.3", "12.10.2020", "1,2,3.5", "€", "-", "0x12", "inf"])
def test_what_is_no_number_is_none(written: str) -> None:
    assert texts.numerals(Series([written]), ".").numbers.isna().all()


def test_the_table_decides_what_a_lonely_comma_means() -> None:
    prices = Series(["12,5", "3,99"])
    unclear = Series(["1,234", "5,678"])
    assert texts.decimal_of([prices, unclear]) == ","
    assert texts.numerals(unclear, ",").numbers.tolist() == [1.234, 5.678]
    assert texts.decimal_of([unclear]) == "."
    assert texts.numerals(unclear, ".").numbers.tolist() == [1234, 5678]


@pytest.mark.parametrize(
    ("words", "true"),
    [
        (["yes", "no"], "yes"),
        (["Ja", "NEIN", "ja"], "Ja"),
        (["oui", "non"], "oui"),
        (["sí", "no"], "sí"),
        (["t", "f"], "t"),
        (["sim", "não"], "sim"),
    ],
)
def test_yes_and_no_are_known_in_several_languages(words: list[str], true: str) -> None:
    found = texts.truths(words)
    assert found[true]
    assert set(found) == set(words)
    assert not all(found.values())


@pytest.mark.parametrize("words", [["yes", "no", "perhaps"], ["m", "f"], ["0", "1"], ["yes", "maybe"], ["ja", "no"]])
def test_other_pairs_are_no_yes_and_no(words: list[str]) -> None:
    assert texts.truths(words) == {}


@pytest.mark.parametrize(
    ("written", "forms"),
    [
        (["2024-02-29", "2023-01-31"], ["ISO8601"]),
        (["2024-02-29T10:00:00Z", "2023-01-31T00:00:00Z"], ["ISO8601"]),
        (["2024-02-29 10:00", "2023-01-31 00:30"], ["ISO8601"]),
        (["29.02.2024", "31.01.2023"], ["%d.%m.%Y"]),
        (["31/01/2023", "29/02/2024"], ["%d/%m/%Y"]),
        (["01/31/2023", "02/29/2024"], ["%m/%d/%Y"]),
        (["01/02/2023", "03/04/2024"], ["%d/%m/%Y", "%m/%d/%Y"]),  # nobody can know
        (["29.02.2024 17:30:00"], ["%d.%m.%Y %H:%M:%S"]),
        (["20240229", "20230131"], ["%Y%m%d"]),
        (["29 Feb 2024"], ["%d %b %Y"]),
        (["2024-02-30"], []),  # there is no such day
        (["2024", "2023"], []),
        (["12345678"], []),
        (["tomorrow"], []),
        (["12.5", "13.5"], []),
    ],
)
def test_days_are_read_in_every_usual_form(written: list[str], forms: list[str]) -> None:
    assert texts.day_forms(Series(written)) == forms


def test_a_zone_is_seen_where_there_is_one() -> None:
    assert texts.zoned(Series(["2024-02-29T10:00:00Z"]), texts.ISO)
    assert texts.zoned(Series(["2024-02-29T10:00:00+02:00"]), texts.ISO)
    assert not texts.zoned(Series(["2024-02-29T10:00:00"]), texts.ISO)
    assert not texts.zoned(Series(["2024-02-29"]), texts.ISO)


@pytest.mark.parametrize(
    ("text", "missing"), [("", True), (" ", True), ("n/a", True), ("NA", True), ("-", True), ("?", True), ("none", False), ("0", False)]
)
def test_what_says_that_there_is_no_value(text: str, missing: object) -> None:
    assert texts.nothing(Series([text])).tolist() == [missing]
