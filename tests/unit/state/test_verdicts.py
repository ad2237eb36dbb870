"""Verdicts: kept as they were given, the last one of a kind counts."""

from dataclasses import replace

from treadle.state import events, verdicts
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

PASSED = Verdict(
    "v1", "churn", 3, "d" * 64, "gate", passed=True, reasons=("Good.", "Fast."), policy_digest="p", evidence={"auc": 0.8}, at=1.0
)


def test_a_verdict_is_read_as_it_was_recorded(store: Store) -> None:
    with store.write() as conn:
        verdicts.record(conn, PASSED)
    with store.read() as conn:
        assert verdicts.get(conn, "v1") == PASSED
        assert verdicts.get(conn, "v2") is None
        [told] = events.after(conn, 0)
    assert (told.kind, told.model, told.at) == ("verdict.recorded", "churn", 1.0)
    assert (told.data["passed"], told.data["reasons"]) == (True, ["Good.", "Fast."])


def test_a_verdict_cannot_be_changed_by_recording_it_again(store: Store) -> None:
    with store.write() as conn:
        verdicts.record(conn, PASSED)
        assert verdicts.record(conn, replace(PASSED, passed=False)) == PASSED
    with store.read() as conn:
        assert verdicts.get(conn, "v1") == PASSED
        assert events.verify(conn) == 1


def test_the_last_verdict_of_a_kind_counts(store: Store) -> None:
    later = replace(PASSED, id="v0", passed=False, at=2.0)
    canary = replace(PASSED, id="v3", kind="canary", at=3.0)
    with store.write() as conn:
        for verdict in (later, PASSED, canary):
            verdicts.record(conn, verdict)
    with store.read() as conn:
        assert verdicts.latest(conn, "churn", 3, "gate") == later
        assert verdicts.latest(conn, "churn", 3, "canary") == canary
        assert verdicts.latest(conn, "churn", 4, "gate") is None
