"""What the name of a column gives away."""

import pytest

from treadle.drafting import names


@pytest.mark.parametrize("name", ["customerID", "customer_id", "Customer ID", "Kunden-Nr.", "kundennummer", "id", "order no", "uuid"])
def test_ids_are_known_by_their_names(name: str) -> None:
    assert names.is_id(name)


@pytest.mark.parametrize("name", ["paid", "period", "number_of_rooms", "keyboard", "country"])
def test_other_names_are_no_ids(name: str) -> None:
    assert not names.is_id(name)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("timestamp", 2),
        ("date", 2),
        ("created_at", 2),
        ("order_date", 2),
        ("Datum", 2),
        ("some_date", 1),
        ("birth_date", 0),
        ("signup_date", 0),
    ],
)
def test_the_time_of_the_row_is_told_from_other_times(name: str, score: int) -> None:
    assert names.own_time(name) == score


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gender", "a gender"),
        ("lastName", "a person's name"),
        ("customer name", "a person's name"),
        ("E-Mail", "an e-mail address"),
        ("zip code", "an address"),
        ("PLZ", "an address"),
        ("religion", "a religion"),
        ("dob", "a date of birth or an age"),
        ("Alter", "an age"),
        ("housing_median_age", ""),
        ("product name", ""),
        ("streaming_tv", ""),
    ],
)
def test_what_is_about_a_person_is_named(name: str, what: str) -> None:
    assert names.sensitive(name) == what


def test_names_stay_as_they_are_where_a_contract_allows() -> None:
    odd = ["Größe (m²)", " Alter ", "two\nlines", "", "score", "a", "a ", "x" * 300]
    assert names.allowed(odd) == ["Größe (m²)", "Alter", "two lines", "column_4", "score_given", "a", "a_2", "x" * 200]


def test_the_likeliest_target_is_called_like_one_or_stands_last() -> None:
    assert names.likely_target(["churn", "age", "plan"])[0] == "churn"
    assert names.likely_target(["age", "plan", "price"])[0] == "price"
