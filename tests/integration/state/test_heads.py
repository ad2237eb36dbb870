"""The tests of tests/unit/state/test_heads.py on Postgres."""

import pytest

from tests.unit.state.test_heads import *  # noqa: F403 - each test is the test

pytestmark = pytest.mark.integration
