from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.monitoring.served import Traffic
from treadle.bundle.place import BundlePlace
from treadle.state.store import open_store


@pytest.fixture
def bundles(tmp_path: Path) -> BundlePlace:
    return BundlePlace(tmp_path / "bundles")


@pytest.fixture
def traffic(tmp_path: Path, bundles: BundlePlace) -> Iterator[Traffic]:
    """Return traffic to a model that is not deployed yet."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield Traffic(store, bundles)
    store.close()
