"""A virtual environment per contender, made on demand from a file that pins every version."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

REPOSITORY = Path(__file__).parents[2]
LOCKS = Path(__file__).with_name("locks")
CACHE = REPOSITORY / ".treadle" / "benchmarks" / "envs"
SHARED = ("joblib", "numpy", "onnxruntime", "scikit-learn", "scipy")
"""What has to be of one version everywhere."""
SECONDS = 1200
"""How long one step of making an environment may take."""


class EnvironmentFailedError(Exception):
    """An environment could not be made."""


def pins(lock: str) -> dict[str, str]:
    """Return the versions that a lock names, by package."""
    lines = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    named = (line.split(";")[0].strip().partition("==") for line in lines if "==" in line)
    return {name.partition("[")[0]: version for name, _, version in named}


def make(lock: str, cache: Path = CACHE) -> Path:
    """Return the Python of the environment that ``locks/<lock>.txt`` describes; make it if it is not there yet.

    Raises:
        EnvironmentFailedError: it could not be made, perhaps for want of a network.
    """
    path = LOCKS / f"{lock}.txt"
    digest = hashlib.sha256(path.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"{lock}-{digest}"
    python, finished = folder / "bin" / "python", folder / "finished"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{lock}.lock"):
        if finished.exists():
            return python
        for older in cache.glob(f"{lock}-*"):
            shutil.rmtree(older)
        try:
            _install(folder, path)
        except subprocess.CalledProcessError as error:
            raise EnvironmentFailedError(reason(error.stderr or error.stdout or str(error))) from error
        except subprocess.TimeoutExpired as error:
            raise EnvironmentFailedError(f"its environment was not made within {SECONDS} s") from error
        finished.touch()
    return python


def install(python: Path, *what: str) -> None:
    """Install into an environment, compiled as pip does it: with uv, which is quicker, or where that cannot reach a package with pip.

    Raises:
        subprocess.CalledProcessError, subprocess.TimeoutExpired: neither could.
    """
    uv, links = _uv(), os.environ.get("PIP_FIND_LINKS")
    if uv is not None:
        try:
            run(
                uv,
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(python),
                *what,
                *(["--find-links", links] if links else []),
            )
        except subprocess.CalledProcessError:
            pass
        else:
            return
    run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", *what)


def _install(folder: Path, lock: Path) -> None:
    """Make the environment with uv, which is quicker; with venv and pip where uv is missing or cannot reach a package."""
    python, uv = folder / "bin" / "python", _uv()
    if uv is not None:
        links = os.environ.get("PIP_FIND_LINKS")
        try:
            run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
            run(
                *(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r", str(lock)),
                *(["--find-links", links] if links else []),
            )
        except subprocess.CalledProcessError:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            return
    run(sys.executable, "-m", "venv", str(folder))
    run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r", str(lock))


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def run(*command: str, at: Path | None = None) -> None:
    """Run a command to its end, in the folder ``at``.

    Raises:
        subprocess.CalledProcessError, subprocess.TimeoutExpired: it failed, or took too long.
    """
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, cwd=at)


def reason(printed: str) -> str:
    """Return the first line that begins with error, or the last one."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = next((line for line in lines if line.lower().startswith("error")), lines[-1] if lines else "no reason was given")
    return f"its environment could not be made: {told[:200]}"


def shared() -> list[str]:
    """Return the pins that every lock has from Treadle's own: the forest is handed over as a file, and must be read as it was written."""
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.partition("==")[0] in SHARED]


def compile_locks() -> list[str]:
    """Resolve every ``.in`` into its lock anew; return the names of the locks."""
    uv = _uv()
    if uv is None:
        raise SystemExit("uv resolves the locks, and is not here: run make setup.")
    written = []
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "shared.txt"
        constraints.write_text("\n".join(shared()), encoding="utf-8")
        for source in sorted(LOCKS.glob("*.in")):
            target = source.with_suffix(".txt")
            run(
                *(uv, "pip", "compile", "--quiet", "--upgrade", "--python-version", "3.11", "--constraint", str(constraints)),
                *("--no-header", "--no-annotate", "--no-emit-index-url", "--output-file", str(target), str(source)),
            )
            written.append(target.name)
    return written
