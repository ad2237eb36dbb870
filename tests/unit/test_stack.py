import pytest

from treadle.stack import tracking_host


@pytest.mark.parametrize(
    ("host", "listens"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "localhost"), ("0.0.0.0", "127.0.0.1"), ("models.example", "127.0.0.1")],  # noqa: S104
)
def test_the_mlflow_page_asks_for_no_key_and_stays_on_this_machine(host: str, listens: str) -> None:
    assert tracking_host(host) == listens
