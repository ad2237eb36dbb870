"""A harmful challenger of a drill passes the real gate, the controller takes it out, and nothing of it can take a role."""

import numpy as np
import pytest

from tests.integration.retraining.conftest import Night
from treadle.bundle.place import BundlePlace
from treadle.drills import challenger
from treadle.drills.sabotage import Harm
from treadle.drills.scene import Scene
from treadle.errors import DrillImpossible
from treadle.loop import Loop
from treadle.retraining.situation import read_situation

pytestmark = pytest.mark.integration

SPENDS = [20.0 + 7.25 * number for number in range(100)]


@pytest.fixture
def scene(night: Night) -> Scene:
    """Return where a drill happens: a champion that was really trained, and nothing else going on."""
    loop = Loop(night.workspace, night.store, clock=night.clock)
    loop.train(night.project, seed=1)
    verdict, deployment = loop.promote(night.project)
    assert deployment is not None, verdict.reasons
    return Scene(night.workspace, night.store, night.project, "http://nowhere", 1.0, 1, lambda _: None, night.clock)


@pytest.mark.parametrize("harm", ["failing", "slow"])
def test_the_loop_takes_a_harmful_challenger_out(night: Night, scene: Scene, harm: Harm) -> None:
    champion = BundlePlace(night.workspace.bundle_dir).get(scene.champion().digest)
    mark = challenger.find_mark(scene, champion)
    assert mark.feature == "spend"
    graph = challenger.harmful(champion, mark, harm, promised=0.0)
    controller = night.controller()
    with challenger.planted(scene, champion, graph, harm) as (registered, turn):
        controller.round()
        assert night.roles() == {"champion": 1, "canary": registered.version}
        honest = len(night.service.predictions())
        assert honest == 0
        night.serve([(3, float(value)) for value in mark.put(np.array(SPENDS), 0.0, 1000.0)])
        controller.round()
        assert night.turn().id == turn.id
        assert night.turn().outcome == "aborted"
        clause = "errors" if harm == "failing" else "latency"
        assert night.verdict(registered.version, "canary").evidence["clause"] == clause
    assert night.roles() == {"champion": 1}
    assert [one.version for one in night.tracking.versions("churn")] == [1]
    with night.store.read() as conn:
        assert read_situation(conn, night.project, now=night.now).recent == []


def test_a_drill_that_is_broken_off_leaves_neither_canary_nor_turn(night: Night, scene: Scene) -> None:
    champion = BundlePlace(night.workspace.bundle_dir).get(scene.champion().digest)
    graph = challenger.harmful(champion, challenger.find_mark(scene, champion), "failing", promised=0.0)

    def broken_off() -> None:
        with challenger.planted(scene, champion, graph, "failing"):
            night.controller().round()
            assert "canary" in night.roles()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert night.roles() == {"champion": 1}
    assert night.turn().outcome == "drill over"
    assert [one.version for one in night.tracking.versions("churn")] == [1]


def test_a_drill_disturbs_nothing_that_goes_on(night: Night, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "require_service", lambda _: None)
    with pytest.raises(DrillImpossible, match="no controller watches"):
        challenger.challenger(scene, "failing")
    night.controller().round()
    night.open_turn()
    with pytest.raises(DrillImpossible, match="a turn of churn is open, at the step 'collect'"):
        challenger.challenger(scene, "failing")
