"""The tests of tests/unit/state/test_columns.py on Postgres."""

import pytest

from tests.unit.state.test_columns import *  # noqa: F403 - each test is the test

pytestmark = pytest.mark.integration
