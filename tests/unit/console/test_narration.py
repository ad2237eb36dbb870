"""Every kind of event that the package records has a line for a person."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import treadle
from treadle.console.narration import LINES, narrate, tell
from treadle.console.screen import STYLES
from treadle.state import deployments, episodes, events, turns, verdicts
from treadle.state.deployments import Slot
from treadle.state.events import Event
from treadle.state.store import open_store
from treadle.state.verdicts import Verdict
from treadle.times import when

PACKAGE = Path(treadle.__file__).parent
RECORDERS = {"append", "EventRecord", "Next", "report", "_told", "_tell", "tell"}
"""What a kind is handed to: the chain of events itself, the worker's spool, what a step tells, and the reports of a training."""


def kinds() -> Iterator[tuple[str, str]]:
    """Yield (file, kind) of everything that the package records as an event."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in RECORDERS:
                yield from ((path.name, text) for argument in node.args[:3] for text in _dotted(argument))
            elif path.name == "shipper.py" and isinstance(node, ast.Tuple) and node.elts:
                # Troubles are gathered as pairs of a kind and its facts before they become records.
                yield from ((path.name, text) for text in _dotted(node.elts[0]))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _dotted(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        head, dot, tail = node.value.partition(".")
        if dot and head.isalpha() and tail.isalpha() and head.islower():
            yield node.value
    elif isinstance(node, ast.IfExp):
        yield from [*_dotted(node.body), *_dotted(node.orelse)]
    elif isinstance(node, ast.Tuple) and node.elts:
        yield from _dotted(node.elts[0])


def test_every_kind_that_is_recorded_has_a_line_and_every_line_a_kind() -> None:
    recorded = {kind for _, kind in kinds()}
    assert len(recorded) > 15
    assert recorded == set(LINES)


AT = 1_800_000_000.0

SAMPLES: dict[str, dict[str, Any]] = {
    "breaker.opened": {"worker": 7, "version": 2, "failures": 5, "error": "iris 0123 did not answer within 2 s."},
    "breaker.closed": {"worker": 7, "version": 2},
    "shadow.reported": {"version": 4, "rows": 1200, "disagreed": 31, "failed": 2},
    "data.snapshotted": {"rows": 150, "source": "library scikit-learn", "digest": "b64c5072c06b" * 5, "simulated": False},
    "data.refused": {"error": "The data break the contract.\n  - age: 3 rows are below 0\nMend the data.", "type": "DataInvalid"},
    "data.validated": {"rows": 150, "warnings": 2, "first": "x: 3 of 150 values are odd", "report": "reports/r.html"},
    "training.finished": {"metric": "f1_macro", "value": 0.93333, "digest": "db138c3c" * 8, "run": "r"},
    "training.failed": {"error": "It broke.\nMend it.", "type": "NotExportable"},
    "version.registered": {"version": 3, "digest": "db138c3cb999" * 5, "run": "r", "turn": None},
    "deployment.followed": {"generation": 4, "versions": [3]},
    "bundle.refused": {"generation": 4, "reason": "The file model.onnx is not the one that was sealed."},
    "approval.needed": {"version": 3, "verdict": "v", "people": 2, "of": []},
    "consent.given": {"version": 3, "reason": "Looked at it.", "source": "key"},
    "consent.refused": {"version": 3, "reason": "Too slow.", "source": "key"},
    "consent.unplaced": {"version": 9, "decision": "approve", "reason": "Looked at it.", "actor": "ada"},
    "key.added": {"name": "ada", "roles": ["predict", "label"], "rate": None, "burst": None},
    "key.removed": {"name": "ada"},
    "key.rotated": {"name": "ada", "overlap": 0},
    "api.called": {"method": "POST", "path": "/models/iris/versions/3/approve", "status": 202, "source": "key"},
    "loop.paused": {"reason": "The data move house."},
    "loop.resumed": {"reason": "They have moved."},
    "alias.overridden": {"model": "iris", "alias": "champion", "found": 3, "restored": None},
    "person.needed": {"reason": "3 turns in a row have failed."},
    "controller.stumbled": {"error": "MLflow cannot be used: gone\nCheck it."},
    "profile.uncounted": {"version": 3, "digest": "d", "rows": 12, "reason": "There is no bundle d."},
    "audit.began": {},
    "audit.restarted": {"unsigned": 12},
    "audit.accepted": {"unsigned": 12, "restart": 13, "reason": "The disk was lost."},
    "gc.removed": {"what": "version", "count": 2, "bytes": 1_250_000, "reason": "It has no role.", "names": ["1", "3"]},
    "backup.made": {"folder": "/safe/monday", "id": "b", "as_of": AT, "last": 12, "bytes": 1_250_000},
    "backup.restored": {"id": "b", "source": "/safe/monday", "as_of": AT, "last": 12, "from": "sqlite:///state.db"},
    "model.reset": {"rows": 12},
    "labels.imported": {"file": "may.csv", "read": 9, "new": 7, "joined": 5, "waiting": 2, "refused": 0},
    "log.damaged": {"segment": "s-1", "start": 0, "from": 10, "to": 20},
    "log.unknown": {"segment": "s-1", "start": 0, "records": 2},
    "log.refused": {"segment": "s-1", "start": 0, "number": 7, "error": "DataError"},
}

SAID = {
    "breaker.opened": "iris: a worker leaves version 2 alone, which has failed 5 times in a row: iris 0123 did not answer within 2 s.",
    "breaker.closed": "iris: version 2 answers again, and that worker asks it",
    "shadow.reported": "iris: version 4 was in the shadow: 1200 rows, 31 answered otherwise, 2 failed",
    "data.snapshotted": "iris: 150 rows from library scikit-learn, checked and kept as snapshot b64c5072c06b",
    "data.refused": "iris: the data are refused: The data break the contract. age: 3 rows are below 0 Mend the data.",
    "data.validated": "iris: the rows keep the contract, with a warning: x: 3 of 150 values are odd (and 1 more); reports/r.html",
    "training.finished": "iris: trained and exported: f1_macro 0.933 on the holdout",
    "training.failed": "iris: the training failed: It broke. Mend it.",
    "version.registered": "iris: version 3 is registered, bundle db138c3cb999",
    "deployment.followed": "iris: a worker follows generation 4",
    "bundle.refused": "iris: a worker refuses generation 4: The file model.onnx is not the one that was sealed.",
    "approval.needed": "iris: version 3 has passed the gate; 2 people must agree before it meets live traffic",
    "consent.given": "iris: version 3 is approved: Looked at it.",
    "consent.refused": "iris: version 3 is refused by a person: Too slow.",
    "consent.unplaced": "iris: ada wanted to approve version 9, on which there was no verdict: nothing was changed",
    "key.added": "iris: ada has a key now: predict, label",
    "key.removed": "iris: the key of ada is taken back",
    "key.rotated": "iris: the key of ada has a new token",
    "api.called": "iris: the API was asked to POST /models/iris/versions/3/approve: 202",
    "loop.paused": "iris: the loop is paused: The data move house.",
    "loop.resumed": "iris: the loop goes on: They have moved.",
    "alias.overridden": "iris: the alias champion was moved by hand in MLflow to version 3; it names no version again",
    "person.needed": "iris: a person is needed: 3 turns in a row have failed.",
    "controller.stumbled": "iris: the controller stumbled: MLflow cannot be used: gone Check it.",
    "profile.uncounted": "iris: 12 logged rows of version 3 are missing in the live profile: There is no bundle d.",
    "audit.began": "iris: the record begins, and is signed from here on",
    "audit.restarted": "iris: the signed heads of the record were gone; what lies before, 12 events, is vouched for by none",
    "audit.accepted": "iris: that no signed head vouches for the 12 events before number 13 is accepted: The disk was lost.",
    "gc.removed": "iris: removed: 2 of version, about 1.2 MB. It has no role.",
    "backup.made": f"iris: a backup was made at /safe/monday, 1.2 MB, as of {when(AT)}, up to event 12",
    "backup.restored": f"iris: restored from the backup /safe/monday, as of {when(AT)}, up to event 12; "
    "what came after that moment is not here",
    "model.reset": "iris: reset: 12 rows and all versions were removed",
    "labels.imported": "iris: 7 new labels from may.csv: 5 joined, 2 wait for their prediction",
    "log.damaged": "iris: the log segment s-1 is damaged: bytes 10 to 20 cannot be read",
    "log.unknown": "iris: the log segment s-1 holds 2 records of a kind that this version of Treadle does not know",
    "log.refused": "iris: the store refused a record of the log segment s-1 (DataError); the segment is kept",
}


@pytest.mark.parametrize("kind", list(SAMPLES))
def test_an_event_is_told_in_one_line(kind: str) -> None:
    line = narrate(kind, "iris", SAMPLES[kind])
    assert line.text == SAID[kind]
    assert line.style in STYLES


def test_a_metric_that_could_not_be_measured_is_said_to_be_so() -> None:
    assert "roc_auc not measured" in narrate("training.finished", None, {"metric": "roc_auc", "value": None}).text


def test_an_event_of_a_newer_version_is_shown_as_it_is() -> None:
    assert narrate("moon.risen", "iris", {"full": True}).text == "iris: moon.risen {'full': True}"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"people": 1, "of": []}, "1 person must agree"),
        ({"people": 2, "of": ["ada", "grace", "joan"]}, "2 of ada, grace, joan must agree"),
    ],
)
def test_it_says_who_must_agree(facts: dict[str, Any], said: str) -> None:
    assert said in narrate("approval.needed", "iris", {"version": 3, **facts}).text


@pytest.mark.parametrize(("actor", "said"), [("ada", " (ada)"), ("treadle", ""), ("worker", "")])
def test_a_person_who_acted_is_named(actor: str, said: str) -> None:
    event = Event(1, 1.0, "loop.paused", "iris", actor, {"reason": "The data move house."}, "")
    assert tell(event).text == f"iris: the loop is paused: The data move house.{said}"


def test_an_event_of_no_model_names_none() -> None:
    assert narrate("log.unknown", None, SAMPLES["log.unknown"]).text.startswith("the log segment")


def recorded(folder: Path) -> list[Event]:
    """Return what the state records of a whole turn of the loop."""
    store = open_store(f"sqlite:///{folder / 'state.db'}")
    rest: dict[str, Any] = {"policy_digest": "p", "evidence": {}}
    with store.write() as conn:
        passed = Verdict(
            "a", "iris", 1, "d", "gate", passed=True, reasons=("accuracy 0.93 is enough.", "No champion version to beat."), **rest, at=1.0
        )
        verdicts.record(conn, passed)
        verdicts.record(conn, Verdict("b", "iris", 2, "e", "gate", passed=False, reasons=("It is worse.", "It is slow."), **rest, at=2.0))
        verdicts.record(conn, Verdict("c", "iris", 3, "f", "canary", passed=True, reasons=("It does well.",), **rest, at=3.0))
        slots = [Slot("champion", 1, "d", 0.8), Slot("canary", 3, "f", 0.2)]
        deployments.insert(conn, "iris", expected=0, slots=slots, reason="The gate let it through.", at=4.0)
        evidence = {"reasons": ["The score is 0.9.", "petal_length alone alarms."]}
        episode = episodes.open_episode(conn, "iris", version=1, signal="drift", onset=4.0, evidence=evidence, at=5.0)
        turn = turns.open_turn(conn, "iris", cause="The drift episode is open.", episode=episode.id, step="collect", at=6.0)
        turn = turns.advance(conn, turn, step="train", at=7.0, data={})
        turn = turns.advance(conn, turn, step="canary", at=8.0, data={"seen": "100 rows, no worse."})
        turns.close(conn, turn, outcome="promoted", reason="Version 3 is the champion.", at=9.0)
        again = turns.open_turn(conn, "iris", cause="Again.", episode=None, step="collect", at=10.0)
        turns.close(conn, again, outcome="refused", reason="It is worse.", at=11.0)
        episodes.close_episode(conn, episode, outcome="superseded", at=12.0)
    with store.read() as conn:
        found = events.after(conn, 0)
    store.close()
    return found


def test_a_whole_turn_reads_as_a_story(tmp_path: Path) -> None:
    told = [(event.kind, narrate(event.kind, event.model, event.data)) for event in recorded(tmp_path)]
    assert [(line.text, line.style) for _, line in told] == [
        ("iris: version 1 passes the gate, 2 clauses: No champion version to beat.", "good"),
        ("iris: version 2 does not pass the gate: It is worse. It is slow.", "bad"),
        ("iris: version 3 passes the canary: It does well.", "good"),
        ("iris: deployed, generation 1: v1 champion 80%, v3 canary 20%. The gate let it through.", "good"),
        ("iris: ALARM, drift of version 1: The score is 0.9.", "bad"),
        ("iris: a turn of the loop opens. The drift episode is open.", "change"),
        ("iris: the rows are snapshotted; a challenger is trained", "change"),
        ("iris: 100 rows, no worse.", "change"),
        ("iris: the turn ends: promoted. Version 3 is the champion.", "good"),
        ("iris: a turn of the loop opens. Again.", "change"),
        ("iris: the turn ends: refused. It is worse.", "bad"),
        ("iris: the drift episode of version 1 closes: superseded", "quiet"),
    ]
    assert {kind for kind, _ in told} | set(SAMPLES) == set(LINES)


def test_a_key_that_an_older_treadle_gave_out_is_told() -> None:
    assert narrate("key.added", None, {"name": "ada", "role": "approver"}).text == "ada has a key now: approver"
