from dataclasses import replace

import numpy as np

from tests import small_bundles
from tests.small_bundles import INTERFACE
from tests.unit.retraining.conftest import Logger
from treadle.bundle.place import BundlePlace
from treadle.projects import Project
from treadle.retraining import rows
from treadle.retraining.rows import Challenger, Found
from treadle.spec import Interface, NumberFeature
from treadle.state.store import Store


def times(start: float, count: int) -> list[float]:
    return list(np.arange(count) * 0.1 + start)


def harvest(store: Store, bundles: BundlePlace, project: Project, *, onset: float = 100, now: float = 200) -> Found:
    with store.read() as conn:
        return rows.harvest(conn, bundles, project, onset=onset, now=now)


def test_too_few_labelled_rows_are_no_harvest(store: Store, bundles: BundlePlace, project: Project, log_rows: Logger) -> None:
    log_rows(times(100, 19))
    log_rows(times(103, 50), label=None)
    found = harvest(store, bundles, project, onset=99)
    assert (len(found.rows), found.needed, found.enough, found.told) == (19, 20, False, "")


def test_without_any_rows_there_is_none_of_the_right_width(store: Store, bundles: BundlePlace, project: Project) -> None:
    found = harvest(store, bundles, project)
    assert (len(found.rows), found.rows.matrix.shape, found.rows.scores.shape) == (0, (0, 2), (0, 2))


def test_a_harvest_is_what_was_predicted_after_the_onset_and_has_matured(
    store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
) -> None:
    log_rows(times(90, 30))
    log_rows(times(100.05, 25))
    log_rows(times(195, 30))
    found = harvest(store, bundles, project)
    assert (len(found.rows), found.enough) == (25, True)
    assert found.rows.at.max() == 100.05 + 2.4


def test_an_early_label_does_not_make_a_row_ripe(store: Store, bundles: BundlePlace, project: Project, log_rows: Logger) -> None:
    log_rows(times(190.5, 30))
    assert not harvest(store, bundles, project).enough
    assert harvest(store, bundles, project, now=210).enough


def test_of_too_many_rows_the_newest_are_trained_on(store: Store, bundles: BundlePlace, project: Project, log_rows: Logger) -> None:
    log_rows(times(100.0001, 1100))
    found = harvest(store, bundles, project, now=400)
    assert len(found.rows) == 1000
    assert found.rows.at.max() == times(100.0001, 1100)[-1]


def test_the_jury_is_later_than_the_cut_and_knows_no_entity_of_the_training(
    store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
) -> None:
    log_rows(times(100.05, 20), entities=[f"e{number}" for number in range(20)])
    log_rows(times(110.05, 30), entities=[f"e{number + 10}" for number in range(30)])
    found = harvest(store, bundles, project, now=115)
    challenger = Challenger(INTERFACE, float(found.rows.at.max()), frozenset(name for name in found.rows.entity if name))
    with store.read() as conn:
        jury = rows.jury(conn, bundles, project, challenger, now=200)
    assert (len(jury.rows), jury.enough) == (20, True)
    assert jury.rows.at.min() > challenger.cut
    assert not challenger.trained_on & set(jury.rows.entity)


def test_a_jury_that_is_too_small_is_not_enough(store: Store, bundles: BundlePlace, project: Project, log_rows: Logger) -> None:
    log_rows(times(100.05, 15), entities=[f"e{number}" for number in range(15)])
    challenger = Challenger(INTERFACE, 100, frozenset(f"e{number}" for number in range(6)))
    with store.read() as conn:
        jury = rows.jury(conn, bundles, project, challenger, now=200)
    assert (len(jury.rows), jury.enough) == (9, False)


VISITS = NumberFeature(name="visits", type="integer", min=0, max=9, required=False)


def under(project: Project, interface: Interface) -> Project:
    return replace(project, contract=project.contract.model_copy(update={"interface": interface}))


class TestAcrossInterfaces:
    """The contract has grown since some of the rows were logged."""

    GROWN = INTERFACE.model_copy(update={"features": (VISITS, *reversed(INTERFACE.features))})

    def test_rows_of_an_older_interface_are_read_under_the_new_one_in_the_order_of_time(
        self, store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
    ) -> None:
        log_rows(times(100.05, 20))
        newer = small_bundles.put(bundles.folder, small_bundles.answering(features=3), self.GROWN).digest
        log_rows(times(100.1, 20), version=2, digest=newer, row=np.array([4, 30, 7], dtype="<f4").tobytes())
        found = harvest(store, bundles, under(project, self.GROWN))
        assert (len(found.rows), found.left_out) == (40, ())
        assert (np.diff(found.rows.at) > 0).all()
        assert found.rows.version[:4].tolist() == [1, 2, 1, 2]
        np.testing.assert_array_equal(found.rows.matrix[:4], [[np.nan, 0, 0], [4, 30, 7], [np.nan, 1, 1], [4, 30, 7]])

    def test_of_too_many_the_newest_of_all_versions_are_kept(
        self, store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
    ) -> None:
        log_rows(times(100.05, 900))
        newer = small_bundles.put(bundles.folder, small_bundles.answering(features=3), self.GROWN).digest
        log_rows(times(100.1, 900), version=2, digest=newer, row=np.array([4, 30, 7], dtype="<f4").tobytes())
        found = harvest(store, bundles, under(project, self.GROWN), now=400)
        assert (found.rows.version == 1).sum() == (found.rows.version == 2).sum() == 500

    def test_rows_that_mean_something_else_are_left_out_counted_and_told(
        self, store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
    ) -> None:
        log_rows(times(100.05, 25))
        renamed = (NumberFeature(name="months", type="integer"), INTERFACE.features[1])
        strange = INTERFACE.model_copy(update={"features": renamed})
        other = small_bundles.put(bundles.folder, small_bundles.answering(), strange).digest
        log_rows(times(110.05, 15), version=2, digest=other)
        log_rows(times(110.05, 5), version=2, digest=other, label=None)
        log_rows(times(120.05, 3), version=3, digest="e" * 64)
        found = harvest(store, bundles, project)
        assert len(found.rows) == 25
        two, three = found.left_out
        assert two.startswith("15 rows of version 2 were left out: ")
        assert "tenure" in two
        assert three.startswith("3 rows of version 3 were left out: what they mean is not known. There is no bundle eeee")
        assert found.told == f" {two} {three}"

    def test_rows_under_a_later_interface_are_read_as_far_as_they_are_allowed(
        self, store: Store, bundles: BundlePlace, project: Project, log_rows: Logger
    ) -> None:
        later = small_bundles.put(bundles.folder, small_bundles.answering(features=3), self.GROWN).digest
        log_rows(times(100.05, 10), version=2, digest=later, row=np.array([4, 30, 7], dtype="<f4").tobytes())
        log_rows(times(102.05, 5), version=2, digest=later, row=np.array([4, 3000, 7], dtype="<f4").tobytes())
        found = harvest(store, bundles, project)
        np.testing.assert_array_equal(found.rows.matrix, [[7, 30]] * 10)
        assert found.left_out == ("5 rows of version 2 were left out: they hold values that are not allowed here.",)
