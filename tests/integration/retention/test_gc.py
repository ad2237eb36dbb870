"""A sweep over real places: state, bundles, snapshots, MLflow; what it leaves, whatever interrupts it."""

import os
import time
from pathlib import Path

import pytest

from tests.integration.retention.conftest import RETENTION, Shop, later
from tests.integration.retraining.conftest import START, told_apart, write_project
from tests.shell import treadle
from treadle.errors import BundleNotFound, GenerationGone, TrackingUnavailable
from treadle.registry import promotion
from treadle.retention.collection import decide
from treadle.retention.inventory import Ground
from treadle.retention.sweep import Sweep
from treadle.settings import Settings, Workspace
from treadle.state import log

pytestmark = pytest.mark.integration


def test_what_nobody_needs_goes_and_a_rollback_still_works(stocked: Shop) -> None:
    night = stocked.night
    gone = {version: stocked.digest(version) for version in (1, 3)}
    done = stocked.gc()
    assert stocked.versions() == [2, 4, 5, 6]
    assert not any(night.bundles.has(digest) for digest in gone.values())
    assert sorted(one.digest for one in night.snapshots.list("churn")) == sorted(stocked.snapshots[version] for version in (2, 4, 5, 6))
    assert stocked.whole()
    assert done.swept is not None
    assert done.swept.counts == {"version": 2, "bundle": 2, "snapshot": 2}
    back = promotion.rollback(night.workspace, night.store, "churn", reason="a test", at=1.0)
    assert [slot.version for slot in back.slots if slot.weight] == [4]
    assert stocked.gc().plan.removals == ()


def test_the_copy_that_dvc_keeps_goes_too(stocked: Shop) -> None:
    cache = stocked.night.snapshots.folder / ".dvc" / "cache"
    before = sum(path.is_file() for path in cache.rglob("*"))
    stocked.gc()
    assert (before, sum(path.is_file() for path in cache.rglob("*"))) == (6, 4)


def test_each_kind_that_went_is_one_event(stocked: Shop) -> None:
    stocked.gc()
    told = [event.data for event in stocked.night.events("gc.removed")]
    assert [(one["what"], one["count"]) for one in told] == [("version", 2), ("bundle", 2), ("snapshot", 2)]
    assert told[0]["names"] == ["1", "3"]
    assert told[0]["reason"] == "It has no role and is not among the 1 newest (retention.versions)."


def test_a_dry_run_changes_nothing(stocked: Shop) -> None:
    done = stocked.gc(dry_run=True)
    assert len(done.plan.removals) == 6
    assert done.swept is None
    assert stocked.versions() == [1, 2, 3, 4, 5, 6]
    assert stocked.night.events("gc.removed") == []


def test_a_generation_that_was_collected_says_so_when_it_is_asked_back(stocked: Shop) -> None:
    night = stocked.night
    stocked.gc()
    with pytest.raises(
        GenerationGone, match=r"Generation 1 of churn cannot come back: bundle \w+ of its version 1 is no longer there"
    ) as told:
        promotion.rollback(night.workspace, night.store, "churn", reason="a test", at=1.0, to=1)
    assert told.value.problems == ("whose bundles are still there: choose from 3",)
    assert night.deployment.generation == 4


def test_a_role_that_is_given_between_plan_and_sweep_is_respected(stocked: Shop) -> None:
    decided, policies = decide(stocked.ground, None, now=later())
    stocked.canary(3)
    swept = Sweep(stocked.ground, policies, clock=later).run(decided)
    assert stocked.versions() == [2, 3, 4, 5, 6]
    assert {key.kind for key in swept.spared} == {"version", "bundle", "snapshot"}
    assert stocked.whole()


def test_a_version_that_has_gone_gets_no_role_from_one_who_looked_it_up_before(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    night = stocked.night
    verdict = promotion.gate_version(night.workspace, night.store, night.project, 3, at=1.0)
    servable = promotion._servable  # noqa: SLF001 -- the moment between looking a version up and giving it a role

    def looked_up(*given: object) -> str:
        digest = servable(*given)  # type: ignore[arg-type]
        stocked.gc()
        return digest

    monkeypatch.setattr(promotion, "_servable", looked_up)
    with pytest.raises(BundleNotFound):
        promotion.promote(night.workspace, night.store, night.project, 3, verdict, at=2.0)
    assert night.roles() == {"champion": 5}


@pytest.mark.parametrize("survived", range(6))
def test_a_killed_sweep_leaves_nothing_that_names_what_is_gone(stocked: Shop, survived: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    take = Sweep._out_of_sight  # noqa: SLF001 -- each call takes one thing away

    def killed(sweep: Sweep, key: object) -> Path | None:
        if len(done) == survived:
            raise KeyboardInterrupt
        done.append(key)
        return take(sweep, key)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Sweep, "_out_of_sight", killed)
        with pytest.raises(KeyboardInterrupt):
            stocked.gc()
    assert stocked.whole()
    for folder in stocked.night.bundles.leftovers():
        os.utime(folder, (time.time(), time.time()))
    stocked.gc()
    assert stocked.whole()
    assert stocked.versions() == [2, 4, 5, 6]
    assert stocked.night.bundles.leftovers() == []
    assert len(stocked.night.bundles.digests()) == len(stocked.night.snapshots.list("churn")) == 4


def test_what_an_open_turn_works_on_stays(stocked: Shop) -> None:
    stocked.night.open_turn("judge", champion=5, version=3, digest=stocked.digest(3), snapshot=stocked.snapshots[1])
    stocked.gc()
    assert stocked.versions() == [2, 3, 4, 5, 6]
    assert stocked.snapshots[1] in {one.digest for one in stocked.night.snapshots.list("churn")}


def test_old_rows_go_with_their_labels_in_bites_and_needed_ones_stay(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    night = stocked.night
    monkeypatch.setattr("treadle.retention.sweep.BITE", 7)
    night.log(told_apart(50), since=START)
    night.log(told_apart(20), since=later() - 10 * 86400)
    done = stocked.gc()
    with night.store.read() as conn:
        assert {key: log.totals(conn, "churn")[key] for key in ("rows", "labels")} == {"rows": 20, "labels": 20}
    (told,) = [event.data for event in night.events("gc.removed") if event.data["what"] == "log"]
    assert (told["predictions"], told["labels"]) == (50, 50)
    assert done.swept is not None
    assert done.swept.counts["log"] == 100


def test_rows_from_the_onset_of_an_open_episode_on_stay(stocked: Shop) -> None:
    stocked.night.log(told_apart(50), since=START)
    stocked.night.alarm(onset=START + 2.0)
    stocked.gc()
    with stocked.night.store.read() as conn:
        assert log.totals(conn, "churn")["rows"] == 31


def test_vacuum_gives_the_room_back(stocked: Shop) -> None:
    stocked.night.log(told_apart(5000), since=START)
    database = stocked.night.workspace.home / "state.db"
    stocked.night.store.compact()
    before = database.stat().st_size
    stocked.gc(vacuum=True)
    assert database.stat().st_size < before / 2


def test_only_the_named_model_is_looked_at(stocked: Shop) -> None:
    write_project(stocked.night.workspace, "other", retention=RETENTION)
    stocked.gc(model="other")
    assert stocked.versions() == [1, 2, 3, 4, 5, 6]


def test_without_mlflow_versions_bundles_and_snapshots_stay(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    night = stocked.night
    night.log(told_apart(10), since=START)
    settings = Settings(tracking_url="http://127.0.0.1:9")
    away = Ground(Workspace(night.workspace.root, settings), night.store)
    monkeypatch.setattr(away.tracking, "client", _refusing)
    decided, _ = decide(away, None, now=later())
    assert {one.thing.key.kind for one in decided.removals} == {"log"}
    assert "So no version, run, bundle or snapshot is looked at." in decided.missing[0]


def _refusing() -> None:
    raise TrackingUnavailable("http://127.0.0.1:9", "refused")


def test_drafts_of_killed_processes_go(stocked: Shop) -> None:
    draft = stocked.night.bundles.folder / ".draft-dead"
    draft.mkdir()
    (draft / "model.onnx").write_bytes(b"half")
    stocked.gc()
    assert not draft.exists()


def test_the_command_tells_a_person_and_a_script(stocked: Shop) -> None:
    told = treadle("gc", "--dry-run", "--json").json
    assert set(told) == {"removed", "going", "staying", "bytes", "spared", "left"}
    assert {one["by"] if "by" in one else one["reason"] for one in told["staying"]} >= {"it was just made", "champion now"}
    done = treadle("gc")
    assert done.code == 0, done
    assert "champion now" in done.out
    assert stocked.versions() == [1, 2, 3, 4, 5, 6]
    assert treadle("gc", "chrn").code == 1
