import numpy as np

from tests.unit.retraining.conftest import Logger
from treadle.data.frame import entities
from treadle.projects import Project
from treadle.retraining import rows
from treadle.state.store import Store


def times(start: float, count: int) -> list[float]:
    return list(np.arange(count) * 0.1 + start)


def test_too_few_labelled_rows_are_no_harvest(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(100, 19))
    log_rows(times(103, 50), label=None)
    with store.read() as conn:
        assert rows.harvest(conn, project, onset=99, now=200) is None


def test_a_harvest_is_what_was_predicted_after_the_onset_and_has_matured(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(90, 30))
    log_rows(times(100.05, 25))
    log_rows(times(195, 30))
    with store.read() as conn:
        harvest = rows.harvest(conn, project, onset=100, now=200)
    assert harvest is not None
    assert len(harvest.frame) == 25
    assert harvest.cut == 100.05 + 2.4
    assert list(harvest.frame.columns) == ["tenure", "spend", "customer", "left"]


def test_an_early_label_does_not_make_a_row_ripe(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(190.5, 30))
    with store.read() as conn:
        assert rows.harvest(conn, project, onset=100, now=200) is None
        assert rows.harvest(conn, project, onset=100, now=210) is not None


def test_of_too_many_rows_the_newest_are_trained_on(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(100.0001, 1100))
    with store.read() as conn:
        harvest = rows.harvest(conn, project, onset=100, now=400)
    assert harvest is not None
    assert len(harvest.frame) == 1000
    assert harvest.cut == times(100.0001, 1100)[-1]


def test_the_jury_is_later_than_the_cut_and_knows_no_entity_of_the_training(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(100.05, 20), entities=[f"e{number}" for number in range(20)])
    log_rows(times(110.05, 30), entities=[f"e{number + 10}" for number in range(30)])
    with store.read() as conn:
        harvest = rows.harvest(conn, project, onset=100, now=115)
        assert harvest is not None
        trained_on = entities(project.contract.interface, harvest.frame)
        jury = rows.jury(conn, project, cut=harvest.cut, trained_on=trained_on, now=200)
    assert jury is not None
    assert len(jury) == 20
    assert jury.at.min() > harvest.cut
    assert not trained_on & set(jury.entity)


def test_a_jury_that_is_too_small_is_none(store: Store, project: Project, log_rows: Logger) -> None:
    log_rows(times(100.05, 15), entities=[f"e{number}" for number in range(15)])
    with store.read() as conn:
        assert rows.jury(conn, project, cut=100, trained_on=frozenset(f"e{number}" for number in range(6)), now=200) is None
