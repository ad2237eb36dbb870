import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.spec import Contract
from treadle.spec.addresses import holds_secret, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:s3cret@db/shop", "postgresql://ada:***@db/shop"),
        ("postgresql://ada@db/shop?password=s3cret&sslmode=require", "postgresql://ada@db/shop?password=***&sslmode=require"),
        ("https://ada:s3cret@host/x.csv", "https://ada:***@host/x.csv"),
        ("https://host/x.csv?X-Amz-Signature=abc&x=1", "https://host/x.csv?X-Amz-Signature=***&x=1"),
        ("https://host/x.csv?sig=a%2Fb", "https://host/x.csv?sig=***"),
        ("mysql://ada:p@ss:word@db/shop", "mysql://ada:***@db/shop"),
        ("ada:s3cret@host", "ada:***@host"),
    ],
)
def test_a_secret_is_neither_shown_nor_overlooked(url: str, shown: str) -> None:
    assert holds_secret(url)
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    "url", ["sqlite:///a.db", "postgresql://ada@db/shop", "https://host/x.csv?page=2", "no address", "me@host", "", "file://"]
)
def test_an_address_without_one_stays_as_it_is(url: str) -> None:
    assert not holds_secret(url)
    assert without_secrets(url) == url


@given(st.text(alphabet="abc123", min_size=6))
def test_no_password_is_left_wherever_it_stands(password: str) -> None:
    secret = f"Q{password}Q"
    for url in (f"postgresql://ada:{secret}@db/x", f"postgresql://db/x?user=ada&password={secret}", f"https://h/x?token={secret}#part"):
        assert secret not in without_secrets(url)


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "download", "url": "https://ada:s3cret@host/x.csv"},
        {"kind": "download", "url": "https://host/x.csv?X-Amz-Signature=abc"},
        {"kind": "table", "url": "postgresql://db/shop?password=s3cret", "table": "orders"},
    ],
)
def test_a_contract_holds_no_secret(source: dict[str, str]) -> None:
    interface = {"task": "regression", "target": {"name": "y"}, "features": [{"name": "x", "type": "number"}]}
    with pytest.raises(ValueError, match="must not stand here"):
        Contract.model_validate({"name": "a", "data": [source], "interface": interface})
