"""A recorded stream with a known change, replayed: the present policy agrees with what was really observed, a stricter one is earlier."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.monitoring.served import POLICY, PROJECT, Traffic
from treadle.bundle.place import BundlePlace
from treadle.errors import NotDeployed
from treadle.monitoring.alarms import alarms, cleared
from treadle.monitoring.observe import observe
from treadle.projects import Project
from treadle.retraining.past import changes, read_record, reigns
from treadle.retraining.replay import Played, Record, Reign, grid, play
from treadle.spec import DriftPolicy, Policy, QualityPolicy, RetrainPolicy
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import open_store
from treadle.state.turns import Turn

CHANGE = 4000.0
END = 8000.0
STEP = 100.0


def under(**parts: object) -> Project:
    """Return the project with some parts of its policy replaced."""
    policy = Policy.model_validate(POLICY.model_dump() | parts)
    return replace(PROJECT, contract=PROJECT.contract.model_copy(update={"policy": policy}))


def recorded(traffic: Traffic, bundles: BundlePlace, project: Project = PROJECT) -> Record:
    with traffic.store.read() as conn:
        return read_record(conn, bundles, project, since=-10_000, until=END)[0]


def played(record: Record, project: Project = PROJECT, *, begin: float = 1000.0) -> Played:
    return play(record, project.contract, grid(record, since=begin, now=END, step=STEP))


def opened(done: Played) -> list[tuple[str, float]]:
    return [(one.signal, one.opened_at) for one in done.episodes]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> BundlePlace:
    return BundlePlace(tmp_path_factory.mktemp("replayed") / "bundles")


@pytest.fixture(scope="module")
def traffic(bundles: BundlePlace) -> Iterator[Traffic]:
    """Return calm traffic of one version, whose inputs move at ``CHANGE`` and go back 2,000 s later; meanwhile its answers are wrong."""
    store = open_store(f"sqlite:///{bundles.folder.parent / 'state.db'}")
    made = Traffic(store, bundles)
    made.deploy(1)
    for begin, end, world in ((0, CHANGE, {}), (CHANGE, CHANGE + 2000, {"moved": 2.0, "broken": True}), (CHANGE + 2000, END, {})):
        made.serve(np.linspace(begin, end, int(end - begin), endpoint=False).tolist(), **world)  # type: ignore[arg-type]
    yield made
    store.close()


@pytest.fixture(scope="module")
def record(traffic: Traffic, bundles: BundlePlace) -> Record:
    return recorded(traffic, bundles)


def test_the_present_policy_agrees_with_what_was_really_observed(traffic: Traffic, bundles: BundlePlace, record: Record) -> None:
    seen: list[list[object]] = []
    still: dict[str, list[object]] = {}
    for now in grid(record, since=1000, now=END, step=STEP):
        seen_now = observe(traffic.store, bundles, PROJECT, now=now)
        for signal in cleared(seen_now) & still.keys():
            still.pop(signal)[3] = now
        for alarm in alarms(seen_now):
            if alarm.signal not in still:
                still[alarm.signal] = [alarm.signal, now, alarm.onset, None]
                seen.append(still[alarm.signal])
    done = played(record)
    assert [[one.signal, one.opened_at, one.onset, one.closed_at] for one in done.episodes] == seen
    assert {one.signal for one in done.episodes} == {"drift", "quality"}
    assert all(CHANGE < one.opened_at < CHANGE + 1000 for one in done.episodes)
    assert all(one.outcome == "recovered" for one in done.episodes)


def test_a_stricter_policy_alarms_earlier_and_a_looser_one_never(record: Record) -> None:
    first = min(at for _, at in opened(played(record)))
    strict = under(drift=DriftPolicy(window=200, min_rows=100, effect=0.1))
    assert CHANGE < min(at for _, at in opened(played(record, strict))) < first
    loose = under(drift=DriftPolicy(window=600, min_rows=400, score=1.0, severe=1000, effect=1000), quality=QualityPolicy(limit=0.0))
    assert played(record, loose) == Played((), (), ())


def test_only_labels_that_had_come_by_then_count(record: Record) -> None:
    late = replace(record.pasts[1].answers, received=np.full(len(record.pasts[1].answers.row), END + 1))
    blind = Record(record.model, record.reigns, {1: replace(record.pasts[1], answers=late)}, (), record.answered, record.labelled)
    assert {signal for signal, _ in opened(played(blind))} == {"drift"}


def test_a_missing_label_counts_as_negative_where_the_policy_says_so(record: Record) -> None:
    none = replace(record.pasts[1].answers, received=np.full(len(record.pasts[1].answers.row), np.inf))
    project = under(labels={"maturity": 100, "missing": "negative"})
    judged = replace(record.pasts[1], answers=none).judged(2000, 3000, project.contract.policy.labels)
    assert len(judged.at) == 900
    assert set(judged.y.tolist()) == {0}


def test_of_several_labels_the_last_event_that_had_come_wins(record: Record) -> None:
    answers = record.pasts[1].answers
    two = replace(answers, row=np.array([0, 0]), received=np.array([200.0, 300.0]), value=["no", "yes"])
    past = replace(record.pasts[1], answers=two, truth=np.array([0, 1]))
    known = [past.judged(-1.0, now, POLICY.labels).y.tolist() for now in (150.0, 250.0, 350.0)]
    assert known == [[], [0], [1]]


def turn(opened_at: float, closed_at: float, outcome: str) -> Turn:
    return Turn("t", "toy", "a test", None, "judge", {}, opened_at, closed_at, closed_at, outcome, "so it was")


def with_turns(record: Record, *ended: Turn) -> Record:
    return Record(record.model, record.reigns, record.pasts, ended, record.answered, record.labelled)


def test_a_turn_opens_with_the_first_episode_and_stays_open_where_the_record_ends_none(record: Record) -> None:
    (one,) = played(record).turns
    assert one.opened_at == played(record).episodes[0].opened_at
    assert one.closed_at is None


def test_a_turn_ends_as_the_records_next_one_did_and_backoff_holds_the_next_back(record: Record) -> None:
    first = played(record).turns[0].opened_at
    failed = with_turns(record, turn(first, first + 150, "refused"))
    project = under(retrain=RetrainPolicy(backoff=500, new_labels=0))
    done = played(failed, project).turns
    assert (done[0].closed_at, done[0].outcome) == (first + 150, "refused")
    assert done[1].opened_at == first + 700
    eager = played(failed, under(retrain=RetrainPolicy(backoff=0, new_labels=0))).turns
    assert eager[1].opened_at == first + 200


def test_after_too_many_failures_a_person_is_asked_once(record: Record) -> None:
    first = played(record).turns[0].opened_at
    failed = with_turns(record, turn(first, first + 150, "refused"))
    done = played(failed, under(retrain=RetrainPolicy(max_failures=1)))
    assert len(done.turns) == 1
    assert done.asked == (first + 200,)


def test_no_turn_opens_where_retraining_is_switched_off(record: Record) -> None:
    assert played(record, under(retrain=RetrainPolicy(automatic=False))).turns == ()
    assert play(record, PROJECT.contract, grid(record, since=1000, now=END, step=STEP), enabled=False).turns == ()


def test_another_champion_supersedes_episodes_and_turns(record: Record) -> None:
    first = played(record).episodes[0].opened_at
    replaced = Record("toy", [Reign(1, 0, first + 50), Reign(2, first + 50, np.inf)], record.pasts, (), record.answered, record.labelled)
    done = played(replaced)
    assert done.episodes[0].outcome == "superseded"
    assert (done.turns[0].outcome, done.turns[0].closed_at) == ("superseded", first + 100)


def test_a_version_reigns_from_its_promotion_to_the_next_whatever_canaries_come_and_go() -> None:
    def generation(number: int, version: int, at: float) -> Deployment:
        return Deployment("toy", number, (Slot("champion", version, "d", 1.0),), "", None, "", at)

    history = [generation(1, 1, 10.0), generation(2, 1, 20.0), generation(3, 2, 30.0), generation(4, 1, 40.0)]
    assert reigns(history) == [Reign(1, 10.0, 30.0), Reign(2, 30.0, 40.0), Reign(1, 40.0, np.inf)]


def test_the_grid_ends_now_and_begins_with_the_first_champion(record: Record) -> None:
    late = Record("toy", [Reign(1, 250.0, np.inf)], {}, (), record.answered, record.labelled)
    assert grid(late, since=0.0, now=500.0, step=100.0) == [300.0, 400.0, 500.0]
    assert grid(late, since=400.0, now=500.0, step=100.0) == [400.0, 500.0]


def test_the_keys_that_differ_are_told() -> None:
    (only,) = changes(POLICY, POLICY.model_copy(update={"drift": DriftPolicy(window=600, min_rows=400, score=0.5)}))
    assert (only.key, only.present, only.proposed) == ("drift.score", 0.3, 0.5)


def test_a_model_without_a_champion_has_no_past(tmp_path: Path, bundles: BundlePlace) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with store.read() as conn, pytest.raises(NotDeployed):
        read_record(conn, bundles, PROJECT, since=0, until=1)
    store.close()
