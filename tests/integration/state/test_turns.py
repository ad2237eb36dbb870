"""The tests of tests/unit/state/test_turns.py on Postgres."""

import pytest

from tests.unit.state.test_turns import *  # noqa: F403 - each test is the test

pytestmark = pytest.mark.integration
