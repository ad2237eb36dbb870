"""The whole loop, as a user sees it: the demo in a process of its own, with real workers, controller and training."""

import os
import re
import subprocess
import sys

import pytest

from treadle.settings import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def demo(workspace: Workspace, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end, on free ports, and return what it said."""
    environment = {**os.environ, "TREADLE_PORT": "0", "TREADLE_TRACKING_PORT": "0", "TREADLE_CONTROLLER_PORT": "0", **settings}
    command = [sys.executable, "-m", "treadle.cli.main", "demo", "--exit", *options]
    done = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, timeout=290, check=False)
    print(done.stdout, done.stderr)  # noqa: T201 -- what pytest shows when it fails
    return done


def test_it_heals_by_itself_without_a_mirror(workspace: Workspace) -> None:
    done = demo(workspace, "--seed", "1")
    assert done.returncode == 0, "the exit code says that it did not heal"
    assert re.search(r"Healed: \d+% of the gap", done.stdout)
    assert re.search(r"requests failed\W+0\b", done.stdout)
    assert "answer by answer" in done.stdout


def test_without_a_change_nothing_is_alarmed_and_nothing_retrained(workspace: Workspace) -> None:
    done = demo(workspace, "--seed", "2", "--no-shift")
    assert done.returncode == 0
    assert "no alarm, nothing retrained" in done.stdout


def test_without_retraining_the_model_stays_down(workspace: Workspace) -> None:
    done = demo(workspace, "--seed", "3", "--no-retrain")
    assert done.returncode == 0
    assert "stays down" in done.stdout
    assert "a turn of the loop opens" not in done.stdout
