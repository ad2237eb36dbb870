"""A controller dies between a step and its record: the next one does the step again, and nothing is there twice."""

from types import ModuleType

import pytest

from tests import small_bundles
from tests.integration.retraining.conftest import CUT, Night, told_apart
from treadle.errors import TreadleError
from treadle.registry import admission, promotion
from treadle.retraining.steps import Next, Result, take
from treadle.state import deployments

pytestmark = pytest.mark.integration

JUDGED = told_apart(60)


def step_and_die(night: Night) -> Result:
    """Do the step of the open turn, and record nothing."""
    return take(night.desk, night.project, night.turn())


def judge_and_die_before(what: str, module: ModuleType, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge a challenger that is as good as the champion; the controller dies when it comes to a function of ``module``."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    night.champion()
    night.judged_turn(small_bundles.answering(lean=1.4))
    night.log(JUDGED, since=CUT)
    with monkeypatch.context() as dying:
        dying.setattr(module, what, die)
        with pytest.raises(KeyboardInterrupt):
            step_and_die(night)


def generations(night: Night) -> int:
    with night.store.read() as conn:
        return len(deployments.history(conn, "churn"))


def test_rows_that_were_collected_are_found_again_though_more_have_matured(night: Night) -> None:
    night.champion()
    night.log(told_apart(120), since=CUT)
    night.open_turn(onset=CUT)
    first = step_and_die(night)
    night.log(told_apart(50), since=CUT + 100)
    night.now += 30
    night.controller().round()
    assert isinstance(first, Next)
    assert first.data["rows"] == 120
    assert first.data.items() <= night.turn().data.items()
    assert night.turn().step == "train"
    assert len(night.snapshots.list("churn")) == 2  # the other one is of the planted versions


def test_a_version_that_was_registered_is_found_again(night: Night) -> None:
    night.champion()
    turn = night.open_turn("train", snapshot=night.trained_on()[0], cut=CUT, rows=1)
    version = night.register(small_bundles.answering(), turn=turn.id)
    first, second = step_and_die(night), step_and_die(night)
    assert isinstance(first, Next)
    assert first == second
    night.controller().round()
    assert (night.turn().step, night.turn().data["version"]) == ("judge", version)
    assert len(night.tracking.versions("churn")) == 2


def test_a_verdict_that_was_recorded_is_found_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_and_die_before("start_canary", promotion, night, monkeypatch)
    judged = night.verdict(2, "gate")
    assert judged.evidence["turn"] == night.turn().id
    night.log(told_apart(60, low=200), since=night.now - 5)
    night.now += 100
    night.controller().round()
    assert [event.data["id"] for event in night.events("verdict.recorded")] == [judged.id]
    assert (night.deployment.verdict, night.turn().data["rehearsed"]) == (judged.id, [6, 60])


def test_a_verdict_that_holds_no_more_is_made_anew(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_and_die_before("standing", admission, night, monkeypatch)
    by_hand = promotion.gate_version(night.workspace, night.store, night.project, 2, at=night.now + 1)
    night.now += 10
    night.controller().round()
    assert len(night.events("verdict.recorded")) == 3
    assert night.deployment.verdict not in {by_hand.id, night.events("verdict.recorded")[0].data["id"]}
    assert night.turn().step == "canary"


def test_a_canary_that_was_started_is_found_again_with_what_was_rehearsed(night: Night) -> None:
    night.champion()
    night.judged_turn(small_bundles.answering(lean=1.4))
    night.log(JUDGED, since=CUT)
    first = step_and_die(night)
    night.log(told_apart(60, low=200), since=night.now - 5)
    night.now += 100
    assert step_and_die(night) == first
    night.controller().round()
    assert isinstance(first, Next)
    assert first.data["rehearsed"] == (6, 60)
    assert night.turn().data["rehearsed"] == [6, 60]
    assert night.turn().data["canary_at"] == night.deployment.at
    assert generations(night) == 2
    assert len(night.events("verdict.recorded")) == 1


@pytest.mark.parametrize(
    ("live", "outcome", "roles"), [([(1, 150.0)] * 120, "promoted", {"champion": 2}), ([(1, 5.0)] * 60, "aborted", {"champion": 1})]
)
def test_a_canary_that_was_judged_is_not_judged_again(
    night: Night, live: list[tuple[int, float]], outcome: str, roles: dict[str, int]
) -> None:
    night.champion()
    night.judged_turn(small_bundles.answering(lean=1.0))
    night.log(JUDGED, since=CUT)
    night.controller().round()
    night.controllers.pop().close()
    night.serve(live)
    first = step_and_die(night)
    assert night.turn().outcome is None
    assert generations(night) == 3
    assert step_and_die(night) == first
    night.controller().round()
    assert night.turn().outcome == outcome
    assert night.turn().reason == getattr(first, "reason", None)
    assert night.roles() == roles
    assert generations(night) == 3
    assert len(night.events("verdict.recorded")) == 2


def test_a_canary_started_by_a_try_that_died_goes_when_its_turn_cannot_go_on(night: Night) -> None:
    night.champion()
    turn = night.judged_turn(small_bundles.answering())
    night.log(JUDGED, since=CUT)
    step_and_die(night)
    small_bundles.flip(night.workspace.bundle_dir, turn.data["digest"])
    night.controller().round()
    assert night.turn().outcome == "refused"
    assert night.roles() == {"champion": 1}


def test_a_turn_whose_champion_was_replaced_by_a_person_ends_at_whatever_step(night: Night) -> None:
    night.champion()
    controller = night.controller()
    for step in ("collect", "train", "judge"):
        night.now += 1
        night.promote(1)
        night.open_turn(step, version=9, digest="d")
        other = night.register(small_bundles.answering(), cut=CUT + len(step))
        night.promote(other)
        controller.round()
        assert night.turn().outcome == "superseded", step
        assert f"Version {other} has become champion meanwhile" in (night.turn().reason or "")


def test_an_error_of_collecting_is_no_end(night: Night) -> None:
    night.champion()
    night.log(told_apart(120), since=CUT)
    night.open_turn(onset=CUT)
    (night.workspace.snapshot_dir / "churn").chmod(0o700)
    kept = next((night.workspace.snapshot_dir / "churn").glob("*.parquet.dvc"))
    kept.write_text("no: [yaml", encoding="utf-8")
    controller = night.controller()
    controller.round()
    controller.round()
    assert night.turn().outcome is None
    assert len(night.events("controller.stumbled")) == 1


def test_what_may_be_otherwise_in_the_next_round_ends_no_turn(night: Night) -> None:
    night.champion()
    turn = night.open_turn("train", snapshot="s", cut=CUT, rows=1)
    (night.workspace.home / "mlflow.db").write_bytes(b"no database")
    with pytest.raises(TreadleError, match="MLflow"):
        take(night.desk, night.project, turn)
