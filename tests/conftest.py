"""What every test may ask for: a workspace, a store on SQLite and PostgreSQL, a free port, the mirror of public data.

Nothing of the caller's own TREADLE_* settings reaches a test.
"""

import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgres_cluster import cluster, database
from treadle.settings import MARKER, Workspace

REPOSITORY = Path(__file__).resolve().parent.parent

MIRROR = pytest.StashKey[str]()

hypothesis.settings.register_profile("treadle", deadline=None, max_examples=60)  # a busy machine is no failure
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=10_000, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("treadle")


def pytest_configure(config: pytest.Config) -> None:
    """Take every setting of the caller out of the environment; what is for tests alone stays, for the processes that run them too."""
    config.stash[MIRROR] = os.environ.get("TREADLE_TEST_DATA_MIRROR", "")
    for name in [name for name in os.environ if name.startswith("TREADLE_") and not name.startswith("TREADLE_TEST_")]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first: files that run side by side, on several cores, then end at about the same time."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were skipped, and why: a skipped test has proved nothing."""
    why: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        why.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    if why:
        terminalreporter.section("skipped tests")
    for reason, names in sorted(why.items()):
        terminalreporter.line(f"{reason} ({len(names)})")
        for name in sorted(names):
            terminalreporter.line(f"  {name}")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a fresh workspace with copies of the repository's projects; it never goes to the network for data.

    It is the one that ``Workspace.find()`` returns, here and in processes that the test starts.
    """
    root = tmp_path / "workspace"
    shutil.copytree(REPOSITORY / "projects", root / "projects", ignore=shutil.ignore_patterns("__pycache__"))
    (root / MARKER).write_text("offline = true\n", encoding="utf-8")
    monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
    return Workspace.find(root)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a throwaway PostgreSQL, which ends with the session."""
    with cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty store, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    with database(request.getfixturevalue("postgres_url"), f"test_{uuid.uuid4().hex}") as url:
        yield url


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def mirror(pytestconfig: pytest.Config) -> Path:
    """Return the folder with copies of the public data sets: TREADLE_TEST_DATA_MIRROR, or shared/data beside the clone."""
    folder = Path(pytestconfig.stash[MIRROR] or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no mirror of the public data (TREADLE_TEST_DATA_MIRROR names the folder)")
    return folder
