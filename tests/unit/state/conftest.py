"""An empty state store on SQLite. tests/integration/state runs the same tests on Postgres as well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle.state.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield store
    store.close()
