from tests.unit.retraining.conftest import Logger
from treadle.projects import Project
from treadle.retraining.situation import read_situation
from treadle.state import deployments, turns
from treadle.state.deployments import Slot
from treadle.state.store import Store


def test_only_turns_of_the_present_champion_count_and_labels_since_the_last_of_them(
    store: Store, project: Project, log_rows: Logger
) -> None:
    with store.write() as conn:
        for generation, at in enumerate((10.0, 50.0)):
            slots = [Slot("champion", generation + 1, f"d{generation}", 1.0)]
            deployments.insert(conn, "churn", expected=generation, slots=slots, reason="", at=at)
        for opened in (20.0, 60.0, 80.0):
            turn = turns.open_turn(conn, "churn", cause="", episode=None, step="collect", at=opened)
            turns.close(conn, turn, outcome="refused", reason="", at=opened + 10)
    log_rows([70.0, 79.5, 80.5, 85.0, 96.0])
    with store.read() as conn:
        situation = read_situation(conn, project, now=100.0)
    assert [turn.opened_at for turn in situation.recent] == [80.0, 60.0]
    assert situation.new_labels == 2
    assert situation.open_turn is None
