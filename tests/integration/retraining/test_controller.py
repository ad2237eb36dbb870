"""The rounds of a controller: what it opens and closes, what it puts back, and what may not stop it."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from tests import small_bundles
from tests.integration.retraining.conftest import CUT, START, Night, told_apart, write_project
from treadle.retraining import controller as controllers
from treadle.settings import Workspace
from treadle.state import deployments, episodes, events, log, turns
from treadle.state.events import read_heads
from treadle.state.heads import heads_file, key_file
from treadle.state.log import Part
from treadle.state.schema import profile_parts

pytestmark = pytest.mark.integration

GOOD = told_apart(60)
BAD = [(tenure, spend, "no" if label == "yes" else "yes") for tenure, spend, label in GOOD]


def open_episodes(night: Night) -> list[tuple[int, str]]:
    with night.store.read() as conn:
        return [(one.version, one.signal) for one in episodes.open_ones(conn, "churn")]


def end_turn(night: Night, outcome: str) -> None:
    with night.store.write() as conn:
        turn = turns.current(conn, "churn")
        assert turn is not None
        turns.close(conn, turn, outcome=outcome, reason="a test", at=night.now)


# episodes


def test_an_alarm_opens_one_episode_and_one_turn_and_both_wait(night: Night) -> None:
    night.champion()
    night.log(BAD, since=night.now - 60)
    controller = night.controller()
    for _ in range(3):
        assert controller.round()
    assert open_episodes(night) == [(1, "quality")]
    assert [turn.step for turn in night.turns()] == ["collect"]
    assert night.turn().data["champion"] == 1
    assert [event.kind for event in night.events() if event.kind.startswith(("episode", "turn"))] == ["episode.opened", "turn.opened"]


def test_an_episode_that_has_passed_closes_as_recovered(night: Night) -> None:
    night.champion()
    night.log(BAD, since=night.now - 60)
    controller = night.controller()
    controller.round()
    night.now += 200
    night.log(GOOD, since=night.now - 60)
    controller.round()
    assert open_episodes(night) == []
    assert night.events("episode.closed")[0].data["outcome"] == "recovered"


def test_the_episode_of_a_former_champion_closes_as_superseded(night: Night) -> None:
    night.champion()
    night.alarm()
    night.promote(night.register(small_bundles.answering(lean=0.1)))
    night.controller().round()
    assert night.events("episode.closed")[0].data["outcome"] == "superseded"
    assert night.turns() == []


def test_a_turn_that_was_refused_rests_and_waits_for_labels_before_the_next(night: Night) -> None:
    night.champion()
    night.alarm()
    controller = night.controller()
    controller.round()
    end_turn(night, "refused")
    night.now += 49
    night.log(GOOD[:4], since=night.now - 15)
    controller.round()
    assert len(night.turns()) == 1  # the rest is not over
    night.now += 2
    controller.round()
    assert len(night.turns()) == 1  # four labels are not five
    night.log(GOOD[:1], since=night.now - 12)
    controller.round()
    assert len(night.turns()) == 2


def test_after_so_many_failures_a_person_is_asked_once(night: Night) -> None:
    night.champion()
    night.alarm()
    controller = night.controller()
    for outcome in ("refused", "aborted", "training failed"):
        controller.round()
        end_turn(night, outcome)
        night.now += 100
        night.log(GOOD[:10], since=night.now - 20)
    for _ in range(3):
        controller.round()
    assert len(night.turns()) == 3
    assert len(night.events("person.needed")) == 1


def test_retraining_can_be_switched_off_in_the_settings(night: Night, workspace: Workspace) -> None:
    (workspace.root / "treadle.toml").write_text("retraining = false\n", encoding="utf-8")
    quiet = Night(Workspace.find(workspace.root))
    quiet.champion()
    quiet.alarm()
    quiet.controller().round()
    assert quiet.turns() == []
    quiet.close()


# aliases and the chain


def test_an_alias_moved_by_hand_is_put_back_and_told(night: Night) -> None:
    night.champion()
    other = night.register(small_bundles.answering(lean=0.1))
    controller = night.controller()
    controller.round()
    with night.tracking.client() as client:
        client.set_registered_model_alias("churn", "champion", str(other))
    night.now += 10
    controller.round()
    assert night.tracking.aliases("churn")[0] == {"champion": 1}
    assert [event.data for event in night.events("alias.overridden")] == [
        {"model": "churn", "alias": "champion", "found": other, "restored": 1}
    ]


def test_the_head_of_the_events_is_signed_when_there_are_new_ones(night: Night) -> None:
    night.champion()
    controller = night.controller()
    for _ in range(3):
        controller.round()
        night.now += 10
    heads = read_heads(heads_file(night.workspace.home), key_file(night.workspace.home).read_bytes())
    assert len(heads) == 1
    night.alarm()
    controller.round()
    heads = read_heads(heads_file(night.workspace.home), key_file(night.workspace.home).read_bytes())
    with night.store.read() as conn:
        assert events.verify(conn, heads) == heads[-1].seq
    assert key_file(night.workspace.home).stat().st_mode & 0o777 == 0o600


# what may not stop it


def test_one_broken_contract_does_not_stop_the_watch_of_the_others_and_is_told_once(night: Night) -> None:
    write_project(night.workspace, "alpha")
    night.champion("alpha")
    night.champion()
    night.alarm()
    (night.workspace.projects_dir / "alpha" / "model.yaml").write_text("name: [", encoding="utf-8")
    controller = night.controller()
    for _ in range(3):
        assert controller.round()
    assert len(night.turns()) == 1
    (told,) = night.events("controller.stumbled")
    assert told.model == "alpha"
    assert "is not valid" in told.data["error"]
    write_project(night.workspace, "alpha")
    controller.round()
    (night.workspace.projects_dir / "alpha" / "model.yaml").unlink()
    controller.round()
    assert "no project 'alpha'" in night.events("controller.stumbled")[1].data["error"]


def test_one_model_that_cannot_be_observed_does_not_stop_the_others(night: Night) -> None:
    write_project(night.workspace, "alpha")
    night.champion("alpha")
    with night.store.read() as conn:
        champion = deployments.require(conn, "alpha").champion
    assert champion is not None
    small_bundles.flip(night.workspace.bundle_dir, champion.digest)
    night.champion()
    night.alarm()
    night.controller().round()
    assert len(night.turns()) == 1
    assert [event.model for event in night.events("controller.stumbled")] == ["alpha"]


def test_a_round_outlives_mlflow(night: Night) -> None:
    night.champion()
    (night.workspace.home / "mlflow.db").rename(night.workspace.home / "away.db")
    (night.workspace.home / "mlflow.db").write_bytes(b"no database")
    night.alarm()
    controller = night.controller()
    for _ in range(3):
        assert controller.round()
        night.now += 10
    assert len(night.turns()) == 1
    (told,) = night.events("controller.stumbled")
    assert (told.model, told.data["task"]) == (None, "aliases")
    assert (night.workspace.home / "audit" / "heads.jsonl").is_file()


def test_a_round_outlives_the_store(night: Night, tmp_path: Path) -> None:
    night.champion()
    night.alarm()
    controller = night.controller()
    assert controller.round()
    before = len(night.events())
    database = night.workspace.home / "state.db"
    night.store.close()
    for suffix in ("", "-wal", "-shm"):
        if (part := database.with_name(f"state.db{suffix}")).exists():
            part.rename(tmp_path / part.name)
    database.mkdir()
    controller.round()
    night.controller().round()
    database.rmdir()
    for part in tmp_path.glob("state.db*"):
        part.rename(database.with_name(part.name))
    night.store.close()
    assert controller.round()
    assert len(night.events()) >= before


def test_a_controller_that_ends_while_the_store_is_away_ends_all_the_same(night: Night, tmp_path: Path) -> None:
    controller = night.controller()
    assert controller.round()
    database = night.workspace.home / "state.db"
    night.store.close()
    for part in night.workspace.home.glob("state.db*"):
        part.rename(tmp_path / part.name)
    database.mkdir()
    controller.close()
    database.rmdir()
    for part in tmp_path.glob("state.db*"):
        part.rename(database.with_name(part.name))


def test_a_model_without_a_deployment_is_left_alone(night: Night) -> None:
    assert night.controller().round()
    assert night.events() == []


# fencing


def test_while_one_controller_holds_the_lease_another_does_nothing(night: Night) -> None:
    night.champion()
    night.alarm()
    first, second = night.controller(), night.controller()
    assert first.round()
    before = len(night.events())
    assert not second.round()
    assert len(night.events()) == before
    first.close()
    assert second.round()


def taken_over(night: Night, moment: int) -> tuple[bool, int, int]:
    """Suspend a controller at the moment when it looks at its clock for the so-manieth time, and let another take over.

    Return whether that moment came, and the number of events when it went on and at its end.
    """
    calls, seen = iter(range(1_000_000)), [0]

    def clock() -> float:
        if next(calls) == moment:
            now, night.now = night.now, night.now + 60
            assert night.controller().round()
            seen[0] = len(night.events())
            return now
        return START

    held = night.controller(clock).round()
    assert held is not bool(seen[0])
    return bool(seen[0]), seen[0], len(night.events())


def test_a_controller_that_was_suspended_and_replaced_writes_nothing_at_whatever_moment(night: Night) -> None:
    night.champion()
    night.log(BAD, since=START - 60)
    for moment in itertools.count(1):
        came, before, after = taken_over(night, moment)
        if not came:
            break
        assert before == after
        night.controllers[-1].close()
        night.now = START
    assert moment > 3
    assert len(night.turns()) == 1


def test_a_controller_that_is_replaced_in_the_middle_of_a_step_starts_no_second_canary(night: Night) -> None:
    night.champion()
    night.log(GOOD, since=CUT)
    for moment in itertools.count(1):
        night.judged_turn(small_bundles.answering(lean=0.001 * moment))
        generation = night.deployment.generation
        came, before, after = taken_over(night, moment)
        assert night.deployment.generation == generation + 1
        assert night.turn().step == "canary"
        if not came:
            break
        assert before == after
        night.now += 1
        night.promote(1)
        assert night.controllers[-1].round()
        assert night.turn().outcome == "superseded"
        night.controllers[-1].close()
        night.now = START + moment
    assert moment > 5


def test_a_controller_that_was_replaced_between_two_rounds_holds_the_lease_no_more(night: Night) -> None:
    night.champion()
    slept = night.controller(lambda: START)
    assert slept.round()
    night.now += 60
    assert night.controller().round()
    assert not slept.round()
    night.controllers[-1].close()
    assert slept.round()  # and may have it again


# running


# a clock that jumps


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_controller_goes_on_acting_alone_when_the_clock_jumps(night: Night, jump: float) -> None:
    night.champion()
    passed = [0.0]
    acting, waiting = night.controller(), night.controller(timer=lambda: passed[0])
    assert acting.round()
    assert not waiting.round()
    night.now += jump
    for _ in range(3):
        assert acting.round()
        assert not waiting.round()
        night.now += 8
        passed[0] += 8


def test_the_lease_of_a_dead_controller_ends_though_the_clock_was_put_back(night: Night) -> None:
    night.champion()
    passed = [0.0]
    dead, waiting = night.controller(), night.controller(timer=lambda: passed[0])
    assert dead.round()
    night.now -= 3600
    assert not waiting.round()
    passed[0] += controllers.LEASE_SECONDS
    assert not waiting.round()
    passed[0] += 0.1
    assert waiting.round()
    assert not dead.round()


def test_housekeeping_goes_on_when_the_clock_was_put_back(night: Night) -> None:
    night.champion()
    controller = night.controller()
    assert controller.round()
    night.now -= 3600
    night.promote(1)
    assert controller.round()
    heads = read_heads(heads_file(night.workspace.home), key_file(night.workspace.home).read_bytes())
    assert heads[-1].seq == len(night.events())


def test_a_controller_that_is_told_to_stop_gives_its_lease_back(night: Night) -> None:
    stop = threading.Event()
    rounds = iter(range(1_000_000))

    def clock() -> float:
        if next(rounds) > 8:
            stop.set()
        return START

    night.controller(clock).run(stop)
    assert night.controller().round()


def test_one_round_is_enough_where_no_training_runs(night: Night) -> None:
    night.champion()
    night.controller().run(threading.Event(), once=True)
    assert night.controller().round()


@pytest.mark.parametrize("wait", [controllers.pause])
def test_a_pause_ends_when_it_is_told_to_stop(wait: Callable[[threading.Event, float], None]) -> None:
    stop = threading.Event()
    stop.set()
    wait(stop, 1_000)
    wait(threading.Event(), 0.001)


# the parts of the live profile


def ship_part(night: Night, segment: str, *, at: float) -> None:
    with night.store.write() as conn:
        log.add_part(conn, segment, 0, Part("churn", 1, "p", at, np.array([1, 2]), 3))
        log.advance_segment(conn, segment, 10, start=0, sealed=True, at=at)


def parts(night: Night) -> list[tuple[str, float, int]]:
    with night.store.read() as conn:
        each = profile_parts.c
        return [tuple(row) for row in conn.execute(select(each.segment, each.bucket, each.rows).order_by(each.bucket, each.segment))]


def test_parts_of_buckets_that_are_over_are_merged_and_old_segments_forgotten(night: Night) -> None:
    day, bucket = 86400.0, night.workspace.settings.profile_seconds
    over = night.now - bucket - controllers.MERGE_AFTER - 1
    for segment, at in (("a", over), ("b", over), ("c", over + 2)):
        ship_part(night, segment, at=at)
    ship_part(night, "gone", at=night.now - 31 * day)
    controller = night.controller()
    controller.round()
    assert parts(night) == [("", night.now - 31 * day, 3), ("", over, 6), ("c", over + 2, 3)]
    with night.store.read() as conn:
        assert {name for name in ("a", "b", "c", "gone") if log.offset(conn, name)} == {"a", "b", "c"}
    night.now += controllers.HOUSEKEEPING_SECONDS
    controller.round()
    assert parts(night)[2] == ("", over + 2, 3)


def test_a_controller_that_was_replaced_merges_nothing(night: Night) -> None:
    first = night.controller()
    first.round()
    ship_part(night, "a", at=0.0)
    clock = night.now + 1000
    assert night.controller(lambda: clock).round()
    assert parts(night) == [("", 0.0, 3)]
    ship_part(night, "b", at=0.0)
    night.now += controllers.HOUSEKEEPING_SECONDS
    assert not first.round()
    assert parts(night) == [("", 0.0, 3), ("b", 0.0, 3)]
