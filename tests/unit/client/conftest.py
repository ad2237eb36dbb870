"""Both clients, for every test that is about what they share."""

import pytest

from tests.unit.client.answering import Caller, Machine


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return each of the two clients in its turn."""
    return Caller(request.param, Machine())
