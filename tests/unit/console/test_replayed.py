"""What replay says."""

import io
from dataclasses import replace

from rich.console import Console

from treadle.console.replayed import said, table, text
from treadle.retraining.past import Change, Replay
from treadle.retraining.replay import Played
from treadle.state.episodes import Episode
from treadle.state.turns import Turn

DRIFT = Episode("e1", "churn", 2, "drift", 1000.0, 900.0, 1500.0, "recovered", {})
QUALITY = Episode("e2", "churn", 2, "quality", 1200.0, 900.0, None, None, {})
TURN = Turn("t1", "churn", "why", "e1", "collect", {}, 1000.0, 1000.0)
NEVER = Played((), (), ())
OFTEN = Played((DRIFT, QUALITY), (TURN,), (1300.0,))


def test_what_a_policy_would_have_done_is_one_sentence() -> None:
    assert said(NEVER) == "would never have alarmed."
    told = said(OFTEN)
    assert told.startswith("would have alarmed twice, first at ")
    assert "(drift of version 2), and opened 1 turn of the loop, first at " in told
    assert told.endswith(", and asked a person once.")
    assert said(replace(OFTEN, turns=(), asked=())).endswith("(drift of version 2), and opened no turn.")


def test_both_policies_stand_beside_each_other_with_what_differs() -> None:
    done = Replay("churn", 0.0, 7200.0, 3600.0, (Change("drift.score", 0.3, 0.1),), NEVER, OFTEN, ("So it is.",))
    told = text(done)
    assert "looked at every 1h." in told
    assert "drift.score: 0.3 becomes 0.1" in told
    assert "The present policy would never have alarmed." in told
    assert "(So it is.)" in told
    drawn = table(done)
    assert drawn is not None
    console = Console(file=io.StringIO(), width=140)
    console.print(drawn)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "still open" in shown
    assert "recovered" in shown


def test_without_episodes_there_is_no_table() -> None:
    done = Replay("churn", 0.0, 1.0, 1.5, (), NEVER, NEVER, ())
    assert table(done) is None
    assert "The two policies are the same." in text(done)
    assert "every 1.5s" in text(done)
