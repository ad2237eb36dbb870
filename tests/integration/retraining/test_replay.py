"""A night that the real controller has watched, replayed."""

from pathlib import Path

import pytest

from tests.integration.retraining.conftest import START, Night, told_apart, write_project
from tests.shell import failed, treadle
from treadle.errors import ContractInvalid
from treadle.retraining.past import replay_policy
from treadle.state import episodes

pytestmark = pytest.mark.integration


def wrong(count: int) -> list[tuple[float, float, str]]:
    """Return rows whose labels are the other way round than the graph expects."""
    return [(tenure, spend, "no" if label == "yes" else "yes") for tenure, spend, label in told_apart(count)]


def overlay(night: Night, text: str) -> Path:
    path = night.workspace.root / "new.yaml"
    path.write_text(text)
    return path


def test_the_present_policy_replays_the_episodes_that_the_controller_recorded(night: Night) -> None:
    write_project(night.workspace, retrain={"automatic": False})
    night.champion()
    night.log(told_apart(300), since=START)
    night.log(wrong(300), since=START + 100)
    controller, end = night.controller(), START + 200
    while night.now < end:
        night.now += 10
        assert controller.round()
    with night.store.read() as conn:
        recorded = [(one.signal, one.version, one.opened_at, one.onset) for one in episodes.open_ones(conn, "churn")]
    assert [signal for signal, *_ in recorded] == ["quality"]
    strict = overlay(night, "quality: {max_drop: 0.01}\nretrain: {automatic: true}\n")
    done = replay_policy(night.workspace, night.store, night.project, strict, now=end, since=START, step=10)
    assert [(one.signal, one.version, one.opened_at, one.onset) for one in done.present.episodes] == recorded
    assert done.proposed.episodes[0].opened_at <= recorded[0][2]
    assert (len(done.present.turns), len(done.proposed.turns)) == (0, 1)
    assert [change.key for change in done.changes] == ["quality.max_drop", "retrain.automatic"]
    lax = replay_policy(night.workspace, night.store, night.project, overlay(night, "quality: {limit: 0}"), now=end, since=START, step=10)
    assert lax.proposed.episodes == ()


def test_while_a_champion_reigned_whose_bundle_is_gone_nothing_is_seen_and_that_is_told(night: Night) -> None:
    night.champion()
    night.bundles.hide(night.bundles.digests()[0])
    done = replay_policy(night.workspace, night.store, night.project, overlay(night, "drift: {}"), now=START + 100, since=START, step=10)
    assert done.present.episodes == ()
    assert any("The bundle of version 1 is no longer there" in note for note in done.notes)


def test_a_policy_with_a_slip_is_refused_by_its_key(night: Night) -> None:
    night.champion()
    with pytest.raises(ContractInvalid, match=r"policy\.drift\.scor: there is no such key"):
        replay_policy(night.workspace, night.store, night.project, overlay(night, "drift: {scor: 1}"), now=START, since=0, step=10)


def test_the_command_tells_a_person_and_a_script(night: Night) -> None:
    night.champion()
    policy = overlay(night, "drift: {score: 0.1}")
    assert "drift.score: 0.3 becomes 0.1" in treadle("replay", "churn", "--policy", policy, "--since", "1h", "--step", "10m").out
    told = treadle("replay", "churn", "--policy", policy, "--since", "1h", "--step", "10m", "--json").json
    assert set(told) == {"model", "since", "until", "step", "changes", "present", "proposed", "notes"}
    assert treadle("replay", "churn", "--policy", policy, "--since", "soon").code == 2
    failed(treadle("replay", "churn", "--policy", night.workspace.root / "none.yaml"), "cannot be read")
