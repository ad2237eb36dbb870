"""What is installed can upgrade a store: the steps are in the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from treadle.state import migrations

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_wheel_has_every_step(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {f"treadle/state/migrations/versions/{path.name}" for path in migrations.FOLDER.glob("[0-9]*.py")} <= names
    assert "\nRequires-Dist: alembic" in metadata
