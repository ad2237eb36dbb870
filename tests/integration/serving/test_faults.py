"""Real faults under the running service: a disk that is full, a database that is damaged, files that nobody can read."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import small_bundles
from tests.crew import until
from tests.integration.hosts.host import Callers, Host, deploy, ids_in, open_at, require_each_once, slot
from treadle.state import heads

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DISK = "24m"
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder that is a file system of its own, with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


class Filling:
    """Takes every byte of a disk that is free, and whatever becomes free, until the block ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._path.unlink()

    def _fill(self) -> None:
        with self._path.open("wb", buffering=0) as ballast:
            while not self._stop.is_set():
                try:
                    ballast.write(b"\0" * PAGE)
                except OSError:
                    self._stop.wait(0.002)


def test_a_full_disk_refuses_and_says_when_to_come_back_and_all_goes_on_when_there_is_room(tmp_path: Path, small_disk: Path) -> None:
    with Host(tmp_path / "host", f'home = "{small_disk}"\n') as host:
        store = open_at(host)
        heads.begin(store, host.workspace.home, at=time.time())
        deploy(store, slot(host, small_bundles.answering(), 1))
        host.serve()
        with Callers(host.url) as callers:
            callers.more()
            until(lambda: ids_in(store), "the shipper has begun")
            with Filling(small_disk):
                until(lambda: sum(callers.refused.values()) > 50, "callers are refused")
                time.sleep(2)
                assert host.is_ready()
            callers.more(100)
        assert set(callers.refused) == {(503, True)}
        assert callers.resets == 0
        assert host.deaths() == []
        require_each_once(store, callers)
        heads.audit(store, host.workspace.home)
        store.close()


COUNT_ON_A_FULL_DISK = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from prometheus_client import CollectorRegistry
from treadle.serving.metrics import ServingMetrics, reserve, scrape
reserve()
metrics = ServingMetrics(CollectorRegistry())
with open(os.path.join(sys.argv[1], "ballast"), "wb", buffering=0) as ballast:
    try:
        while True:
            ballast.write(bytes(4096))
    except OSError:
        pass
for version in range(1, 200):
    metrics.version("churn", version).predictions.inc()
for model in "abcdefgh":
    metrics.duration(model).observe(1)
print(scrape(CollectorRegistry()).decode())
"""


def test_versions_and_models_that_come_while_the_disk_is_full_are_counted(small_disk: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COUNT_ON_A_FULL_DISK, small_disk], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert 'ml_predictions_total{model_name="churn",model_version="199"} 1.0' in done.stdout


def test_a_promotion_is_followed_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    settings = f'home = "{small_disk}"\nstore_url = "sqlite:///{tmp_path / "state.db"}"\nbundle_dir = "{tmp_path / "bundles"}"\n'
    with Host(tmp_path / "host", settings) as host:
        store = open_at(host)
        deploy(store, slot(host, small_bundles.answering(), 1))
        host.serve()
        with Callers(host.url) as callers:
            callers.more()
            with Filling(small_disk):
                until(lambda: sum(callers.refused.values()) > 20, "callers are refused")
                generation = deploy(store, slot(host, small_bundles.answering(1), 2))
                until(lambda: host.ready().generations["churn"] == generation, "the promotion is followed")
            callers.more(100)
        assert (host.deaths(), callers.resets, set(callers.refused)) == ([], 0, {(503, True)})
        assert set(callers.answered.values()) == {1, 2}
        require_each_once(store, callers)
        store.close()


# a damaged database


def spoil(database: Path) -> None:
    """Overwrite a database, as a disk that fails or a tool that errs does."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.write(os.urandom(database.stat().st_size))


def copy(database: Path, to: Path) -> None:
    """Copy a database that is in use, whole."""
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(to)) as target:
        source.backup(target)


def put_back(backup: Path, database: Path) -> None:
    """Put a copy in the place of a database, as a restore does: under the same name, but another file."""
    for journal in ("-wal", "-shm"):
        database.with_name(database.name + journal).unlink(missing_ok=True)
    backup.replace(database)


def test_a_damaged_database_costs_no_caller_an_answer_and_the_copy_of_it_is_caught_up(tmp_path: Path) -> None:
    with Host(tmp_path / "host") as host:
        database, backup = host.workspace.home / "state.db", tmp_path / "backup.db"
        store = open_at(host)
        heads.begin(store, host.workspace.home, at=time.time())
        deploy(store, slot(host, small_bundles.answering(), 1))
        host.serve()
        with Callers(host.url) as callers:
            callers.more()
            until(lambda: ids_in(store), "the shipper has begun")
            store.close()
            copy(database, backup)
            callers.more(100)
            spoil(database)
            until(lambda: host.ready().trouble, "the workers say that they cannot read the deployments")
            until(lambda: str(database) in host.shipper_log(), "the shipper says that it cannot write")
            callers.more(100)
            said = host.run("status")
            assert (said.returncode, "Traceback" in said.stderr) == (1, False)
            assert str(database) in said.stderr
            assert "`treadle restore BACKUP --into FOLDER`" in said.stderr
            assert host.is_ready()
            put_back(backup, database)
            until(lambda: not host.ready().trouble, "the workers read the deployments again")
            callers.more(100)
        assert (callers.refused, callers.resets, host.deaths()) == ({}, 0, [])
        store = open_at(host)
        require_each_once(store, callers)
        store.close()
