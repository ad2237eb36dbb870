"""The whole loop, as a user sees it: the demo in a process of its own, with real workers, controller and training."""

import os
import re
import subprocess
import sys

import pytest

from treadle.settings import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECONDS = 290


def start(workspace: Workspace, *options: str) -> "subprocess.Popen[str]":
    """Start the demo on free ports; it ends by itself."""
    environment = {**os.environ, "TREADLE_PORT": "0", "TREADLE_TRACKING_PORT": "0", "TREADLE_CONTROLLER_PORT": "0"}
    command = [sys.executable, "-m", "treadle.cli.main", "demo", "--exit", *options]
    return subprocess.Popen(command, cwd=workspace.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(demo: "subprocess.Popen[str]") -> str:
    """Wait for the end of a demo that must go well, and return what it said."""
    with demo:
        try:
            said, _ = demo.communicate(timeout=SECONDS)
        finally:
            demo.kill()
    assert demo.returncode == 0, said
    return said


def test_it_heals_by_itself_without_a_mirror(workspace: Workspace) -> None:
    said = ended(start(workspace, "--seed", "1"))
    assert re.search(r"Healed: \d+% of the gap", said)
    assert re.search(r"requests failed\W+0\b", said)
    assert "answer by answer" in said


def test_the_control_arms_behave_side_by_side(workspace: Workspace) -> None:
    calm, down = start(workspace, "--seed", "2", "--no-shift"), start(workspace, "--seed", "3", "--no-retrain")
    try:
        said = ended(calm)
    finally:
        said_down = ended(down)
    assert "no alarm, nothing retrained" in said
    assert "stays down" in said_down
    assert "a turn of the loop opens" not in said_down
    assert len(list((workspace.home).glob("demo-*"))) == 2
