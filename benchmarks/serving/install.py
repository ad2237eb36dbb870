"""The slim install: a fresh environment with what serving needs, and what it takes on the disk."""

import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.serving import environments
from benchmarks.serving.environments import EnvironmentFailedError

KILOBYTE = 1024
SHOWN = 10


@dataclass(frozen=True)
class Install:
    """An environment: its Python, its bytes on the disk, and the bytes of each package, the largest first."""

    python: Path
    size: int
    packages: dict[str, int]


def make(folder: Path) -> Install:
    """Make a fresh environment (``venv``, with pip in it) and install the base of this checkout, with the versions of the lock.

    Raises:
        EnvironmentFailedError: it could not be made, perhaps for want of a network.
    """
    wheels, venv = folder / "wheel", folder / "venv"
    python = venv / "bin" / "python"
    try:
        environments.run(
            sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels), at=environments.REPOSITORY
        )
        (wheel,) = wheels.glob("*.whl")
        environments.run(sys.executable, "-m", "venv", str(venv))
        environments.install(python, str(wheel), "--constraint", str(environments.REPOSITORY / "requirements.lock"))
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailedError(environments.reason(error.stderr or error.stdout or str(error))) from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailedError(f"it was not made within {environments.SECONDS} s") from error
    (site,) = venv.glob("lib/python*/site-packages")
    return Install(python, on_disk(venv), packages(site))


def on_disk(folder: Path) -> int:
    """Return the bytes that a folder takes on the disk, as ``du`` counts them."""
    done = subprocess.run(["du", "-sk", str(folder)], check=True, capture_output=True, text=True)  # noqa: S607
    return int(done.stdout.split()[0]) * KILOBYTE


def packages(site: Path) -> dict[str, int]:
    """Return the bytes of the files of each package of an environment, compiled ones too, the largest package first."""
    found = {}
    for package in metadata.distributions(path=[str(site)]):
        paths = {Path(str(file.locate())).resolve() for file in package.files or ()}
        paths |= {
            compiled for path in paths if path.suffix == ".py" for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")
        }
        found[package.name] = sum(path.stat().st_size for path in paths if path.is_file())
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def told(found: Install) -> str:
    """Return the size, and the largest packages, as a line of Markdown."""
    largest = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in list(found.packages.items())[:SHOWN])
    return f"- slim install (`pip install treadle`): {found.size / 1e6:.0f} MB on disk; the largest, in MB: {largest}"
