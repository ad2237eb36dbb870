"""An empty state store on Postgres, for the tests that tests/unit/state runs on SQLite."""

import uuid
from collections.abc import Iterator

import pytest

from tests.postgres_cluster import database
from treadle.state.schema import metadata
from treadle.state.store import Store, open_store


@pytest.fixture(scope="session")
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """Yield one store for all tests: to make a database takes longer than most of them."""
    with database(postgres_url, f"state_{uuid.uuid4().hex}") as url:
        store = open_store(url)
        yield store
        store.close()


@pytest.fixture
def store(postgres_store: Store) -> Iterator[Store]:
    """Yield an empty store."""
    yield postgres_store
    with postgres_store.write() as conn:
        for table in metadata.sorted_tables:
            conn.execute(table.delete())
