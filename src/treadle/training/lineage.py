"""Where a version comes from: the rows, the code and the libraries that made it."""

import hashlib
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from treadle.bundle.manifest import Lineage
from treadle.projects import CODE_FILE, Project
from treadle.settings import Workspace
from treadle.training.fit import Rows
from treadle.training.metrics import Floats, Labels

PACKAGES = ("treadle", "numpy", "pandas", "scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "onnx", "skl2onnx", "onnxmltools")


@dataclass(frozen=True)
class Origin:
    """What the caller knows about the rows and why they are trained on.

    ``digest`` is that of the rows and ``snapshot`` their checksum in DVC. ``run_id`` names the MLflow run, ``turn_id`` the turn
    of the loop, and ``cut`` the latest prediction time (epoch seconds) among rows from the log.
    """

    digest: str
    source: str
    simulated: bool
    snapshot: str = ""
    run_id: str = ""
    turn_id: str | None = None
    cut: float | None = None


def lineage(project: Project, workspace: Workspace, origin: Origin, rows: Rows, seed: int) -> Lineage:
    """Return the lineage of a version that was trained on ``rows``."""
    return Lineage(
        data_digest=origin.digest,
        data_source=origin.source,
        simulated=origin.simulated,
        rows=len(rows.y),
        seed=seed,
        interface_digest=project.contract.interface.digest,
        code_digest=_code_digest(project.folder),
        python=platform.python_version(),
        packages=_packages(),
        snapshot=origin.snapshot,
        holdout_digest=holdout_digest(*rows.holdout),
        code_commit=_commit(workspace.root),
        run_id=origin.run_id,
        turn_id=origin.turn_id,
        cut=origin.cut,
    )


def holdout_digest(matrix: Floats, y: Labels) -> str:
    """Return the digest (hex SHA-256) of held-out rows, by which two versions know that theirs are the same."""
    return hashlib.sha256(matrix.tobytes() + y.tobytes()).hexdigest()


def _code_digest(folder: Path) -> str:
    """Return the SHA-256 (hex) of ``model.py``, followed by what other Python files stand beside it."""
    others = sorted(path for path in folder.glob("*.py") if path.name != CODE_FILE)
    return hashlib.sha256(b"".join(path.read_bytes() for path in (folder / CODE_FILE, *others))).hexdigest()


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(folder: Path) -> str:
    """Return the commit that the workspace stands at, with "-dirty" where files differ from it; "" outside git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
