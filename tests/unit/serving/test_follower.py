import asyncio
import contextlib
import gc
import os
import shutil
import sqlite3
import weakref
from pathlib import Path

import pytest

from tests import small_bundles
from tests.small_service import Service
from treadle.errors import DeploymentsUnknown, ModelNotReady, StoreUnavailable
from treadle.serving.follower import RETRY_SECONDS
from treadle.state import deployments
from treadle.state.store import Store, open_store


def test_with_nothing_deployed_there_is_nothing_to_answer_with(service: Service) -> None:
    assert service.inference.routes.missing == ["The deployments have not been read yet."]

    service.follower.look()

    assert service.inference.routes.missing == ["No model is deployed yet: train and promote one."]


def test_a_new_generation_is_followed_and_told(service: Service) -> None:
    first, second = service.slot(small_bundles.answering(), 1), service.slot(small_bundles.answering(1), 2)
    service.follow(first)
    assert service.predict()["version"] == 1

    service.follow(second)

    assert service.predict()["version"] == 2
    assert service.inference.routes.tables["churn"].generation == 2
    assert service.events() == [("deployment.followed", "churn")] * 2
    loaded = [service.metric("ml_model_loaded", model_name="churn", model_version=version) for version in ("1", "2")]
    assert loaded == [0, 1]


def test_an_unchanged_digest_keeps_its_session_and_a_dropped_one_is_freed(service: Service) -> None:
    first, second = service.slot(small_bundles.answering(), 1), service.slot(small_bundles.answering(1), 2, "canary", 0.5)
    champion = service.slot(small_bundles.answering(), 1, weight=0.5)
    service.follow(first)
    before = service.inference.routes.loaded[first.digest]

    service.follow(champion, second)
    canary = weakref.ref(service.inference.routes.loaded[second.digest])
    assert service.inference.routes.loaded[first.digest] is before

    service.follow(first)
    gc.collect()
    assert set(service.inference.routes.loaded) == {first.digest}
    assert canary() is None


def test_a_flipped_byte_is_refused_and_the_old_version_keeps_answering(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    bad = service.slot(small_bundles.answering(1), 2)
    small_bundles.flip(service.bundles, bad.digest)

    service.follow(bad)
    service.follower.look()

    assert service.predict()["version"] == 1
    routes = service.inference.routes
    assert (routes.refused["churn"].generation, routes.missing) == (2, [])
    assert "model.onnx" in routes.refused["churn"].reason
    assert service.events() == [("deployment.followed", "churn"), ("bundle.refused", "churn")]


def test_a_refused_generation_is_tried_again_after_a_rest(service: Service) -> None:
    slot = service.slot(small_bundles.answering(), 1)
    away = service.bundles / "away"
    shutil.move(service.bundles / slot.digest, away)
    service.follow(slot)
    with pytest.raises(ModelNotReady, match="There is no bundle"):
        service.predict()
    shutil.move(away, service.bundles / slot.digest)

    service.follower.look()
    assert "churn" in service.inference.routes.refused

    service.now += RETRY_SECONDS
    service.follower.look()
    assert service.predict()["version"] == 1
    assert service.inference.routes.refused == {}
    assert service.events() == [("bundle.refused", "churn"), ("deployment.followed", "churn")]


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_keeps_nobody_from_a_refused_generation_or_from_the_next_one(service: Service, jump: float) -> None:
    slot = service.slot(small_bundles.answering(), 1)
    away = service.bundles / "away"
    shutil.move(service.bundles / slot.digest, away)
    service.follow(slot)
    shutil.move(away, service.bundles / slot.digest)

    service.now += jump
    service.follower.look()
    assert service.predict()["version"] == 1

    service.now -= jump
    service.follow(service.slot(small_bundles.answering(1), 2))
    assert service.predict()["version"] == 2


def test_a_worker_that_starts_when_the_present_generation_is_refused_answers_with_the_one_before(service: Service) -> None:
    bad = service.slot(small_bundles.answering(2), 3)
    for slot in (service.slot(small_bundles.answering(), 1), service.slot(small_bundles.answering(1), 2), bad):
        service.deploy(slot)
    small_bundles.flip(service.bundles, bad.digest)

    service.follower.look()

    assert service.predict()["version"] == 2
    assert service.inference.routes.refused["churn"].generation == 3
    assert service.events() == [("bundle.refused", "churn"), ("deployment.followed", "churn")]

    service.follow(service.slot(small_bundles.answering(3), 4))
    assert (service.predict()["version"], service.inference.routes.refused) == (4, {})


def test_one_broken_model_leaves_the_others_alone(service: Service) -> None:
    bad = service.slot(small_bundles.answering(1), 1)
    small_bundles.flip(service.bundles, bad.digest, "card.json")
    service.deploy(bad, model="broken")

    service.follow(service.slot(small_bundles.answering(), 1))

    assert service.predict()["version"] == 1
    assert [line.split(":")[0] for line in service.inference.routes.missing] == ["broken cannot be served"]


def test_a_damaged_fallback_does_not_keep_a_sound_champion_out(service: Service) -> None:
    old = service.slot(small_bundles.answering(), 1, "fallback", 0.0)
    small_bundles.flip(service.bundles, old.digest)

    service.follow(service.slot(small_bundles.answering(1), 2), old)

    assert service.predict()["version"] == 2
    assert old.digest not in service.inference.routes.loaded
    assert service.events() == [("bundle.refused", "churn"), ("deployment.followed", "churn")]


def test_while_the_store_is_away_the_last_table_answers(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    read = Store.read

    def away(self: Store) -> object:
        raise StoreUnavailable("the store", "gone")

    monkeypatch.setattr(Store, "read", away)
    service.follower.look()
    assert service.predict()["version"] == 1
    assert "gone" in service.inference.routes.trouble
    assert service.inference.routes.missing == []

    monkeypatch.setattr(Store, "read", read)
    service.follow(service.slot(small_bundles.answering(1), 2))
    assert (service.predict()["version"], service.inference.routes.trouble) == (2, "")


def test_another_database_under_the_same_name_is_read_once_the_old_one_is_damaged(service: Service, tmp_path: Path) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    database, copy = tmp_path / "state.db", tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(database, copy)
        with database.open("r+b") as file:
            file.write(os.urandom(database.stat().st_size))
    service.store.close()
    service.follower.look()
    assert "state.db" in service.inference.routes.trouble
    assert service.predict()["version"] == 1

    copy.replace(database)
    service.follow(service.slot(small_bundles.answering(1), 2))

    assert (service.predict()["version"], service.inference.routes.trouble) == (2, "")


def test_a_worker_that_starts_while_the_store_is_away_waits_for_it(service: Service) -> None:
    def away() -> Store:
        raise StoreUnavailable("the store", "not up yet")

    service.connect = away
    service.follower.look()
    assert "not up yet" in service.inference.routes.missing[0]

    service.connect = lambda: open_store(service.url)
    service.follow(service.slot(small_bundles.answering(), 1))
    assert service.predict()["version"] == 1


def test_a_full_disk_does_not_keep_a_worker_on_an_old_version(service: Service) -> None:
    service.spool_folder.write_text("no folder")

    service.follow(service.slot(small_bundles.answering(), 1))

    assert service.inference.routes.tables["churn"].generation == 1


def test_the_loop_goes_on_after_a_fault(service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    outcomes = iter([RuntimeError("a fault"), None])
    looked = asyncio.Event()

    def look() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    async def followed() -> None:
        loop = asyncio.get_running_loop()

        def seen() -> None:
            look()
            loop.call_soon_threadsafe(looked.set)

        monkeypatch.setattr(service.follower, "look", seen)
        task = asyncio.create_task(service.follower.run(0))
        await asyncio.wait_for(looked.wait(), 10)
        task.cancel()

    asyncio.run(followed())

    assert "a fault" in caplog.text


def away() -> Store:
    message = "a test"
    raise StoreUnavailable(message, "it is away")


def test_a_worker_that_starts_while_the_store_is_away_answers_with_what_the_host_followed_last(service: Service) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    service.follow(service.slot(small_bundles.answering(1), 2))
    before = service.predict()
    there, service.connect = service.connect, away

    service.restart()

    after = service.predict()
    assert (after["version"], after["probabilities"]) == (2, before["probabilities"])
    assert service.inference.routes.missing == []
    assert "it is away" in service.inference.routes.trouble

    service.connect = there
    service.deploy(service.slot(small_bundles.answering(2), 3))
    service.follower.look()
    assert service.predict()["version"] == 3
    assert service.inference.routes.trouble == ""


def test_a_remembered_version_that_is_gone_is_not_answered_with(service: Service) -> None:
    slot = service.slot(small_bundles.answering(), 1)
    service.follow(slot)
    small_bundles.flip(service.bundles, slot.digest)
    service.connect = away
    service.restart()
    with pytest.raises(DeploymentsUnknown, match="it is away"):
        service.predict()
    assert service.ask("POST", "/predict/churn", json=small_bundles.ROW).status_code == 503


@pytest.mark.parametrize("content", [b"", b"{", b'{"deployments": 3}', None])
def test_a_memory_that_cannot_be_read_is_none(service: Service, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "followed.json").write_bytes(content)
    service.connect = away
    service.restart()
    answer = service.ask("POST", "/predict/churn", json=small_bundles.ROW)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "What is deployed is not known yet" in answer.json()["error"]["what"]


def test_a_memory_that_cannot_be_written_keeps_nobody_from_following(service: Service, tmp_path: Path) -> None:
    (tmp_path / "followed.json").mkdir()
    service.follow(service.slot(small_bundles.answering(), 1))
    assert service.predict()["version"] == 1
    assert [path.name for path in tmp_path.iterdir() if "followed" in path.name] == ["followed.json"]


def test_a_rollback_needs_nothing_from_the_disk_and_one_look(service: Service) -> None:
    """The former champion is held as the fallback: it answers again though its bundle has gone, and is the very one that was loaded."""
    first, second = service.slot(small_bundles.answering(), 1), service.slot(small_bundles.answering(1), 2)
    service.follow(first)
    service.follow(second, service.slot(small_bundles.answering(), 1, "fallback", 0.0))
    held = service.inference.routes.loaded[first.digest]
    shutil.rmtree(service.bundles)

    with service.store.write() as conn:
        deployments.rollback(conn, "churn", expected=2, reason="Worse.", at=service.now)
    service.follower.look()

    assert service.predict()["version"] == 1
    assert service.inference.routes.loaded[first.digest] is held
