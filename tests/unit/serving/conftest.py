"""The parts of one serving worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()
