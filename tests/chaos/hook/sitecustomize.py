"""Puts the watch into every process of Treadle that a test starts; this folder stands in PYTHONPATH then."""

import os
import sys

if "TREADLE_TEST_CRASH" in os.environ:
    from tests.chaos import boundaries

    role = boundaries.role_of(sys.orig_argv)
    if role is not None:
        boundaries.install(role, boundaries.Plan.of(os.environ[boundaries.VARIABLE]))
