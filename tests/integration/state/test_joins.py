"""The tests of tests/unit/state/test_joins.py on Postgres."""

import pytest

from tests.unit.state.test_joins import *  # noqa: F403 - each test is the test

pytestmark = pytest.mark.integration
