"""Drills that need no long traffic: what they refuse, what they find, and that they leave nothing that could take a role."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.drills import dead_controller
from treadle.errors import DrillImpossible

pytestmark = pytest.mark.integration


def test_only_a_controller_of_this_machine_is_killed() -> None:
    here = socket.gethostname()
    with pytest.raises(DrillImpossible, match="runs on elsewhere, not here"):
        dead_controller.process_of("elsewhere:12:abc")
    with pytest.raises(DrillImpossible, match="is no controller of its own"):
        dead_controller.process_of(f"{here}:{os.getpid()}:abc")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(DrillImpossible, match="is no controller of its own"):
            dead_controller.process_of(f"{here}:{other.pid}:abc")
    finally:
        other.communicate()


def test_a_controller_is_known_by_its_command(tmp_path: Path) -> None:
    script = tmp_path / "treadle"
    script.write_text("input()\n", encoding="utf-8")
    other = subprocess.Popen([sys.executable, str(script), "loop"], stdin=subprocess.PIPE)
    try:
        assert dead_controller.process_of(f"{socket.gethostname()}:{other.pid}:abc") == other.pid
    finally:
        other.communicate(b"\n")
