"""Forgetting one model, or everything: what goes, what stays, and what stands in the way."""

import time

import pytest
from filelock import FileLock
from sqlalchemy import Connection

from tests.integration.retention.conftest import Shop
from tests.integration.retraining.conftest import START, told_apart, write_project
from tests.shell import failed, treadle
from treadle import api
from treadle.errors import ProjectNotFound, ServiceRunning, StillRunning
from treadle.registry import disposal, runs
from treadle.retention import reset
from treadle.retention.inventory import Ground
from treadle.retraining.controller import LEASE
from treadle.serving.supervisor import only_one
from treadle.state import deployments, events, heads, lease, log
from treadle.state.store import open_store

pytestmark = pytest.mark.integration


def test_one_model_is_forgotten_and_the_other_stays(stocked: Shop) -> None:
    night, place = stocked.night, stocked.night.workspace
    write_project(place, "other")
    night.log(told_apart(20), since=START)
    night.champion("other")
    night.log(told_apart(10), since=START, model="other")
    night.service.follower.look()
    night.service.predict({"tenure": 1, "spend": 2.0, "customer": "spooled"})
    night.service.spool.close()
    done = api.reset("churn", workspace=place)
    assert done.counts["bundles"] == 6
    assert done.counts["snapshots"] == 6
    with night.store.read() as conn:
        assert log.totals(conn, "churn")["rows"] == 0
        assert log.totals(conn, "other")["rows"] == 10
        assert deployments.generations(conn) == {"other": 1}
        assert events.verify(conn) > 0
    assert night.tracking.versions("churn") == []
    assert len(night.tracking.versions("other")) == 1
    assert len(night.bundles.digests()) == 1
    assert [event.model for event in night.events("model.reset")] == ["churn"]
    assert (place.projects_dir / "churn" / "model.yaml").is_file()


def test_a_forgotten_model_can_be_begun_anew(stocked: Shop) -> None:
    api.reset("churn", workspace=stocked.night.workspace)
    stocked.snapshots.clear()
    assert stocked.version() == 1
    stocked.night.promote(1)
    assert stocked.night.deployment.generation == 1


def test_all_state_goes_but_projects_keys_and_downloads(stocked: Shop) -> None:
    place = stocked.night.workspace
    for name in ("keys.json", "downloads/data.csv", "mine.txt"):
        (place.home / name).parent.mkdir(exist_ok=True)
        (place.home / name).write_text("{}")
    stocked.night.store.close()
    done = api.reset(workspace=place)
    assert sorted(path.name for path in place.home.iterdir()) == ["downloads", "keys.json", "mine.txt"]
    assert [sentence.rsplit("/", 1)[1] for sentence in done.left] == ["downloads stays.", "keys.json stays.", "mine.txt stays."]
    assert (place.projects_dir / "churn" / "model.yaml").is_file()
    assert api.reset(keys=True, workspace=place).counts["rows"] == 0
    assert not (place.home / "keys.json").exists()


def test_a_store_elsewhere_loses_only_what_is_treadles(stocked: Shop, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(store_url)
    with store.write() as conn:
        conn.exec_driver_sql("CREATE TABLE mine (x INTEGER)")
        conn.exec_driver_sql("INSERT INTO mine VALUES (1)")
    monkeypatch.setenv("TREADLE_STORE_URL", store_url)
    place = type(stocked.night.workspace).find(stocked.night.workspace.root)
    done = api.reset(workspace=place)
    assert "only Treadle's tables in it have gone" in done.left[0]
    with store.read() as conn:
        assert conn.exec_driver_sql("SELECT x FROM mine").scalar_one() == 1
        with pytest.raises(Exception, match="deployment"):
            conn.exec_driver_sql("SELECT * FROM deployment")
    store.close()


def test_each_process_that_runs_is_named_and_nothing_goes(stocked: Shop) -> None:
    night, place = stocked.night, stocked.night.workspace
    lease.acquire(night.store, LEASE, "watcher:4711", ttl=3600, now=time.time())
    with FileLock(place.home / "serve.lock"), runs.started(night.tracking, "churn", name="by hand", turn_id=None):
        with pytest.raises(StillRunning) as told:
            api.reset("churn", workspace=place)
        said = " ".join(told.value.problems)
        assert "the service in" in said
        assert "the controller watcher:4711" in said
        assert f"a training of churn, process {disposal.maker()}" in said
    assert len(stocked.versions()) == 6


def held(lock: FileLock) -> None:
    lock.acquire()


def test_what_starts_while_a_person_is_asked_stands_in_the_way(stocked: Shop) -> None:
    night, place = stocked.night, stocked.night.workspace
    lock = FileLock(place.home / "serve.lock")
    with pytest.raises(StillRunning, match="something still works with") as told:
        api.reset("churn", workspace=place, confirm=lambda _: held(lock))
    assert "the service in" in " ".join(told.value.problems)
    lock.release()

    def watch(_: str) -> None:
        assert lease.acquire(night.store, LEASE, "watcher:1", ttl=3600, now=time.time())

    with pytest.raises(StillRunning) as told:
        api.reset("churn", workspace=place, confirm=watch)
    assert "the controller watcher:1" in " ".join(told.value.problems)
    assert len(stocked.versions()) == 6


def test_nothing_starts_while_a_model_is_forgotten_and_all_may_after_it(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    night, place = stocked.night, stocked.night.workspace
    seen: list[object] = []
    deleted = reset._delete_rows  # noqa: SLF001 - the moment in which rows go

    def look(conn: Connection, model: str) -> int:
        with pytest.raises(ServiceRunning), only_one(place):
            pass
        seen.append(lease.holder(conn, LEASE, now=time.time()))
        return deleted(conn, model)

    monkeypatch.setattr(reset, "_delete_rows", look)
    heads.sign(night.store, place.home, at=1.0, before=0)  # as the commands that made all this would have
    api.reset("churn", workspace=place)
    assert [str(holder).split(":")[0] for holder in seen] == ["reset"]
    with only_one(place):
        assert lease.acquire(night.store, LEASE, "watcher:1", ttl=60, now=time.time())
    assert api.events_verify(workspace=place).unsigned == 0  # what it did is signed


def test_a_run_whose_process_has_died_stands_in_nobodys_way(stocked: Shop) -> None:
    with runs.started(stocked.night.tracking, "churn", name="by hand", turn_id=None):
        (run,) = disposal.runs(stocked.night.tracking, "churn")
    assert disposal.goes_on(run, now=0.0, longest=0.0)
    dead = disposal.RunFacts(run.id, "RUNNING", run.began, run.maker.rpartition(":")[0] + ":4194305", run.places)
    assert not disposal.goes_on(dead, now=run.began, longest=1e9)
    elsewhere = disposal.RunFacts(run.id, "RUNNING", run.began, "elsewhere:1", run.places)
    assert disposal.goes_on(elsewhere, now=run.began + 10, longest=11)
    assert not disposal.goes_on(elsewhere, now=run.began + 10, longest=10)


def test_a_name_that_nobody_knows_is_refused(stocked: Shop) -> None:
    with pytest.raises(ProjectNotFound):
        api.reset("chrn", workspace=stocked.night.workspace)


def test_the_files_of_a_run_are_deleted_only_where_mlflow_keeps_them(stocked: Shop) -> None:
    ground = Ground(stocked.night.workspace, stocked.night.store)
    mine = stocked.night.workspace.root / "mine" / "artifacts"
    mine.mkdir(parents=True)
    with runs.started(stocked.night.tracking, "churn", name="by hand", turn_id=None) as run:
        run.attach("card.json", {})
    (facts,) = disposal.runs(stocked.night.tracking, "churn")
    folder = disposal.local(facts.places[0])
    assert folder is not None
    assert disposal.delete_files([mine.as_uri(), *facts.places], ground.artifacts) == [mine.as_uri()]
    assert mine.is_dir()
    assert not folder.parent.exists()


def test_the_command_asks_for_the_name_and_takes_no_other(stocked: Shop) -> None:
    failed(treadle("reset", "churn", stdin="iris\n"), "'iris' was typed, not 'churn'")
    assert len(stocked.versions()) == 6
    done = treadle("reset", "churn", stdin="churn\n")
    assert done.code == 0, done
    assert "6 bundles" in done.out
    assert stocked.versions() == []
    stocked.night.store.close()
    assert treadle("reset", "--yes", "--json").json["counts"]["rows"] > 0
