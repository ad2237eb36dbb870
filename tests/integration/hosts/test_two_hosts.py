"""Two hosts by settings alone: two workspaces with homes and spools of their own, one PostgreSQL, one folder of bundles."""

import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from tests import small_bundles
from tests.crew import until
from tests.integration.hosts.host import Callers, Host, deploy, open_at, require_each_once, slot
from tests.integration.retraining.conftest import write_project
from tests.postgres_cluster import database
from treadle.bundle.place import BundlePlace
from treadle.retraining.controller import LEASE_SECONDS
from treadle.state import heads, log, schema
from treadle.state.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def hosts(tmp_path: Path, postgres_url: str, empty_mlflow: Path) -> Iterator[tuple[Host, Host]]:
    """Yield two hosts that serve one deployment; the second has the audit folder of the first, as the guide says."""
    with database(postgres_url, f"test_{uuid.uuid4().hex}") as url:
        places = f'store_url = "{url}"\nbundle_dir = "{tmp_path / "bundles"}"\ntracking_url = "sqlite:///{tmp_path / "mlflow.db"}"\n'
        settings = f"{places}profile_seconds = 2\n"
        shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
        with Host(tmp_path / "first", settings) as first, Host(tmp_path / "second", settings) as second:
            for host in (first, second):
                write_project(host.workspace)
            store = open_at(first)
            heads.begin(store, first.workspace.home, at=time.time())
            shutil.copytree(first.workspace.home / "audit", second.workspace.home / "audit")
            deploy(store, slot(first, small_bundles.answering(), 1))
            store.close()
            yield first, second


def profile_of_all_rows(store: Store, bundles: BundlePlace, version: int, digest: str) -> tuple[list[int], list[int]]:
    """Return the live profile of a version as the shippers have counted it, and as all its rows give it directly."""
    profile = bundles.get(digest).profile
    with store.read() as conn:
        counted = log.counts(conn, "churn", version, profile.digest, since=0, until=time.time() + 3600)
        each = schema.predictions.c
        rows = conn.execute(select(each.row, each.scores).where(each.version == version, each.status == "ok")).all()
    assert counted is not None
    matrix, scores = (np.frombuffer(b"".join(part), dtype="<f4").reshape(len(rows), -1) for part in zip(*rows, strict=True))
    return counted.tolist(), profile.layout.count(matrix, scores).tolist()


def joined(store: Store) -> int:
    with store.read() as conn:
        return len(conn.execute(select(schema.labels.c.label_id).where(schema.labels.c.joined_id.is_not(None))).all())


def lease_of(store: Store) -> tuple[str, int]:
    """Return who holds the controller's lease, and under which token."""
    with store.read() as conn:
        found = conn.execute(select(schema.leases.c.holder, schema.leases.c.token)).first()
    return (found.holder, found.token) if found else ("", 0)


def test_both_serve_one_model_and_one_store_has_it_all_once(hosts: tuple[Host, Host]) -> None:
    first, second = hosts
    store = open_at(first)
    bundles = BundlePlace.of(first.workspace)
    for host in hosts:
        host.serve()
    controllers = [first.start("loop")]
    until(lambda: lease_of(store)[1], "a controller holds the lease")
    controllers.append(second.start("loop"))
    promoted = slot(first, small_bundles.answering(1), 2)

    # What one host has answered, the other one is told the truth about.
    with Callers(first.url, labels_at=second.url) as here, Callers(second.url, labels_at=first.url) as there:
        here.more()
        there.more()
        generation = deploy(store, promoted)
        until(lambda: {host.ready().generations["churn"] for host in hosts} == {generation}, "the promotion is followed")
        until(lambda: {2} <= set(here.answered.values()) & set(there.answered.values()), "both answer with the new version")
        here.more()
        there.more()

    assert (here.refused, there.refused, here.resets, there.resets) == ({}, {}, 0, 0)
    require_each_once(store, here, there)
    for version in (1, 2):
        with store.read() as conn:
            digest = conn.execute(select(schema.predictions.c.digest).where(schema.predictions.c.version == version)).scalars().first()
        assert digest is not None
        counted, direct = profile_of_all_rows(store, bundles, version, digest)
        assert counted == direct
    until(lambda: joined(store) == len(here.labelled) + len(there.labelled), "every label has found its prediction")

    _one_controller_acts(store, first, second, [process.pid for process in controllers])

    for host in hosts:
        assert heads.audit(store, host.workspace.home).restart is None
        done = host.run("events", "--verify")
        assert (done.returncode, done.stderr) == (0, "")
    store.close()


def _one_controller_acts(store: Store, first: Host, second: Host, pids: list[int]) -> None:
    """Suspend the controller that acts until the other one does, and let it go on: it must find that it has been replaced."""
    holder, token = lease_of(store)
    assert (f":{pids[0]}:" in holder, token) == (True, 1)
    assert "controller" not in second.log("loop").lower()
    os.kill(pids[0], signal.SIGSTOP)
    try:
        taken = until(lambda: lease_of(store)[1] == 2, "the other controller takes over")
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert taken > LEASE_SECONDS / 2
    until(lambda: "controller" in first.log("loop"), "the first one tells that it was replaced")
    time.sleep(2)
    holder, token = lease_of(store)
    assert (f":{pids[1]}:" in holder, token) == (True, 2)
