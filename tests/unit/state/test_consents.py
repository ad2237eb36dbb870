"""What people have said: kept as it was said, told in the chain, once."""

import pytest

from treadle.errors import ReasonMissing
from treadle.state import consents, events
from treadle.state.consents import Word, why
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

VERDICT = Verdict("v1", "churn", 3, "d" * 64, "gate", passed=True, reasons=(), policy_digest="p", evidence={}, at=1.0)
YES = Word("approve", "Looked at it.", "ada", "key", 2.0, "c1")
NO = Word("reject", "Too slow.", "grace", "os", 3.0, "c2")


def test_what_was_said_of_a_verdict_is_kept_in_order(store: Store) -> None:
    with store.write() as conn:
        consents.give(conn, NO.on(VERDICT))
        consents.give(conn, YES.on(VERDICT))
    with store.read() as conn:
        assert consents.on(conn, "v1") == [YES.on(VERDICT), NO.on(VERDICT)]
        assert consents.on(conn, "v2") == []


@pytest.mark.parametrize(("word", "kind"), [(YES, "consent.given"), (NO, "consent.refused")])
def test_it_is_told_in_the_chain(store: Store, word: Word, kind: str) -> None:
    with store.write() as conn:
        consents.give(conn, word.on(VERDICT))
    with store.read() as conn:
        (event,) = events.after(conn, 0)
    assert (event.kind, event.model, event.actor, event.at) == (kind, "churn", word.actor, word.at)
    assert event.data == {
        "id": word.id,
        "version": 3,
        "digest": "d" * 64,
        "verdict": "v1",
        "decision": word.decision,
        "reason": word.reason,
        "source": word.source,
    }


def test_the_same_word_twice_is_one(store: Store) -> None:
    with store.write() as conn:
        first = consents.give(conn, YES.on(VERDICT))
        assert consents.give(conn, Word("reject", "", "mallory", "os", 9.0, "c1").on(VERDICT)) == first
    with store.read() as conn:
        assert events.last_seq(conn) == 1


@pytest.mark.parametrize(
    ("given", "kept"), [(" Looks\tgood.\n", "Looks good."), ("ok\x1b[2J", "ok[2J"), ("見た", "見た"), ("7", "7"), ("a" * 3000, "a" * 2000)]
)
def test_a_reason_is_kept_as_one_line(given: str, kept: str) -> None:
    assert why("approve a version", given) == kept


@pytest.mark.parametrize("given", ["", "  ", "...", "\x83", "\U00090fd5", None, 7])
def test_a_reason_has_a_word_in_it(given: object) -> None:
    with pytest.raises(ReasonMissing, match="To approve a version needs a reason, a word at least"):
        why("approve a version", given)
