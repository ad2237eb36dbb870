"""The state store is away for longer than anybody waits for it: callers notice nothing, and afterwards everything is in it once.

In the suite that lasts 12 seconds, with TREADLE_TEST_CHAOS=all 30.
"""

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import select

from tests import small_bundles
from tests.crew import until
from tests.integration.hosts.host import Callers, Host, deploy, ids_in, labels_in, open_at, require_each_once, slot
from tests.integration.retraining.conftest import write_project
from tests.postgres_cluster import database, server
from treadle.registry.tracking import Tracking
from treadle.settings import Workspace
from treadle.state import heads, schema
from treadle.state.store import BUSY_SECONDS, Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SECONDS = 30.0 if os.environ.get("TREADLE_TEST_CHAOS") == "all" else BUSY_SECONDS + 2.0

HOLD = """
import fcntl, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute("BEGIN EXCLUSIVE")
# In WAL mode that shuts out writers alone. Readers share the locks 3 to 7 of the index, which begin at byte 120.
index = open(sys.argv[1] + "-shm", "rb+")
fcntl.lockf(index, fcntl.LOCK_EX, 5, 123)
print("held", flush=True)
sys.stdin.read()
"""

Away = Callable[[], AbstractContextManager[None]]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an SQLite file with a process that lets nobody read or write it."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


@pytest.fixture(params=["sqlite", "postgres"])
def host_and_away(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Host, Away]]:
    """Yield a host, and what takes its store away for as long as a block lasts."""
    if request.param == "sqlite":
        with Host(tmp_path / "host") as host:
            yield host, lambda: locked(host.workspace.home / "state.db")
        return
    with server() as postgres, database(postgres.url, f"test_{uuid.uuid4().hex}") as url:

        @contextlib.contextmanager
        def stopped() -> Iterator[None]:
            postgres.stop()
            yield
            postgres.start()

        with Host(tmp_path / "host", f'store_url = "{url}"\n') as host:
            yield host, stopped


def lease_of(store: Store) -> tuple[str, int, float]:
    """Return who holds the controller's lease, under which token, and until when; nobody while there is none."""
    with store.read() as conn:
        found = conn.execute(select(schema.leases.c.holder, schema.leases.c.token, schema.leases.c.expires)).first()
    return (found.holder, found.token, found.expires) if found else ("", 0, 0.0)


def with_mlflow(workspace: Workspace) -> None:
    with Tracking(workspace).client():
        pass


def test_callers_notice_nothing_and_everything_is_there_afterwards(host_and_away: tuple[Host, Away]) -> None:
    host, away = host_and_away
    write_project(host.workspace)
    with_mlflow(host.workspace)
    store = open_at(host)
    heads.begin(store, host.workspace.home, at=time.time())
    deploy(store, slot(host, small_bundles.answering(), 1))
    loop = host.start("loop")
    host.serve()
    until(lambda: lease_of(store)[1], "a controller holds the lease")

    with Callers(host.url) as callers:
        callers.more()
        until(lambda: ids_in(store), "the shipper has begun")
        with away():
            began = time.monotonic()
            before, told = len(callers.answered), len(callers.labelled)
            while time.monotonic() < began + SECONDS:
                callers.more(10)
            assert host.ready().trouble
            assert host.is_ready()
            during, labels = len(callers.answered) - before, len(callers.labelled) - told
        back = time.time()
        until(lambda: lease_of(store)[2] > back + 5, "the controller has renewed its lease")
        until(lambda: not host.ready().trouble, "the workers read the deployments again")
        until(lambda: set(callers.answered) & set(ids_in(store)), "the shipper ships again")
        deploy(store, slot(host, small_bundles.answering(1), 2))
        until(lambda: 2 in callers.answered.values(), "the workers follow the next deployment")

    assert (dict(callers.refused), callers.resets) == ({}, 0)
    assert callers.slowest < 5
    assert during > 10 * SECONDS
    assert labels > 10 * SECONDS
    require_each_once(store, callers)
    assert lease_of(store)[1] == 1
    assert loop.poll() is None
    assert set(labels_in(store)) <= set(ids_in(store))
    heads.audit(store, host.workspace.home)
    store.close()
