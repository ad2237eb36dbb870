"""Files of labels into a real store, beside real predictions."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select

from tests import small_bundles
from tests.unit.state.rows import joined, prediction
from treadle.data import label_import
from treadle.data.label_import import Imported, import_labels
from treadle.errors import LabelColumnsInvalid, LabelsRefused, TableUnreadable
from treadle.projects import find
from treadle.settings import Workspace
from treadle.state import deployments, events, joins, log
from treadle.state.deployments import Slot
from treadle.state.schema import labels
from treadle.state.store import Store, open_store

NOW = 1_800_000_000.0


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    """Yield the workspace's store with three answered customers."""
    opened = open_store(workspace.store_url)
    with opened.write() as conn:
        log.insert_predictions(
            conn, [prediction(f"p{one}", request_id=f"r{one}", entity=f"c{one}", at=NOW - 1000 + one, answer="{}") for one in (1, 2, 3)]
        )
    yield opened
    opened.close()


class Desk:
    """Imports files into the workspace's store."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self.workspace = workspace
        self.store = store

    def __call__(self, path: Path, *, columns: dict[str, str] | None = None, skip_bad: bool = False, now: float = NOW) -> Imported:
        project = find(self.workspace, "churn")
        return import_labels(self.workspace, self.store, project, path, columns=columns or {}, skip_bad=skip_bad, now=now, actor="ada")

    def joined(self) -> dict[tuple[str | None, str], str | None]:
        """Return the prediction of each label by its key and value."""
        with self.store.read() as conn:
            rows = conn.execute(select(labels)).all()
        return {(row.prediction_id or row.request_id or row.entity, row.value): row.joined_id for row in rows}


@pytest.fixture
def desk(workspace: Workspace, store: Store) -> Desk:
    return Desk(workspace, store)


def test_labels_find_their_predictions_by_any_key(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("prediction_id;request_id;customer_id;churn\np1;;;stayed\n;r2;;churned\n;;c3;stayed\n;;c4;stayed\n")

    assert desk(path) == Imported("churn", read=4, new=4, known=0, joined=3, waiting=1, refused=0, kept=None)
    assert desk.joined() == {("p1", "stayed"): "p1", ("r2", "churned"): "p2", ("c3", "stayed"): "p3", ("c4", "stayed"): None}


def test_a_second_import_adds_nothing(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("prediction_id,churn\np1,stayed\np2,churned\np9,churned\np1,stayed\n")

    assert (desk(path).new, desk(path, now=NOW + 60).new) == (3, 0)
    assert desk(path, now=NOW + 90) == Imported("churn", read=4, new=0, known=4, joined=0, waiting=0, refused=0, kept=None)


def test_going_back_to_an_older_value_is_news(desk: Desk, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "truth.csv"
    for day, (value, new) in enumerate([("stayed", 1), ("churned", 1), ("stayed", 1), ("stayed", 0)]):
        path.write_text(f"request_id,churn\nr1,{value}\n")
        assert desk(path, now=NOW + day).new == new
    with store.read() as conn:
        newest = conn.execute(select(labels.c.value).order_by(labels.c.event_at.desc()).limit(1)).scalar_one()
    assert newest == "stayed"


def test_of_several_lines_for_one_prediction_the_last_counts_however_often_they_come(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("request_id,churn\nr1,stayed\nr2,stayed\nr1,churned\n")
    assert [desk(path, now=NOW + day).new for day in range(3)] == [2, 0, 0]
    assert desk.joined() == {("r1", "churned"): "p1", ("r2", "stayed"): "p2"}


def test_a_label_that_came_before_its_prediction_is_joined_then(desk: Desk, tmp_path: Path, store: Store) -> None:
    (tmp_path / "truth.csv").write_text("prediction_id,churn\np9,churned\n")
    assert desk(tmp_path / "truth.csv").waiting == 1
    with store.write() as conn:
        log.insert_predictions(conn, [prediction("p9")])
        joins.resolve_labels(conn, now=NOW, expire={})
        assert set(joined(conn).values()) == {"p9"}


def test_parquet_and_json_are_read_as_csv_is(desk: Desk, tmp_path: Path) -> None:
    rows = [{"customer_id": "c1", "churn": "stayed", "at": NOW - 5}, {"customer_id": "c2", "churn": "churned", "at": NOW - 5}]
    (tmp_path / "truth.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "truth.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "truth.parquet")
    pd.DataFrame(rows).assign(at=pd.to_datetime([NOW - 5, NOW - 5], unit="s")).to_parquet(tmp_path / "times.parquet")
    names = ("truth.jsonl", "truth.json", "truth.parquet", "times.parquet")
    assert [desk(tmp_path / name, now=NOW + number).new for number, name in enumerate(names)] == [2, 0, 0, 0]


BAD = "customer_id,churn,at,note\nc1,stayed,,\nc2,Yes,,é\n,stayed,2027-06-01,x\nc3,churned\nc3,churned,2026-11-20,\n"


def test_one_bad_line_refuses_the_file_and_is_kept_to_be_mended(desk: Desk, tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(BAD, encoding="cp1252")

    with pytest.raises(LabelsRefused) as caught:
        desk(path)

    assert caught.value.what == f"3 lines of {path} are refused, so no label of it was imported."
    assert caught.value.problems == (
        "line 3: churn is 'Yes'; allowed: one of stayed, churned",
        "line 4: customer_id is ''; allowed: a text of 1 to 256 printable characters",
        "line 4: at is '2027-06-01'; allowed: an ISO date or time, or epoch seconds, up to now",
        "line 5: the header has 4 cells, this line has 2",
    )
    assert desk.joined() == {}
    (kept,) = (workspace.home / "reports" / "labels" / "churn").glob("truth-*.csv")
    assert str(kept) in caught.value.fix
    rows = list(csv.DictReader(kept.read_text(encoding="utf-8").splitlines()))
    assert [(row["where"], row["customer_id"], row["churn"], row["note"]) for row in rows] == [
        ("line 3", "c2", "Yes", "é"),
        ("line 4", "", "stayed", "x"),
        ("line 5", "c3", "churned", ""),
    ]
    kept.write_text(
        kept.read_text(encoding="utf-8").replace("c2,Yes", "c2,stayed").replace(",stayed,2027-06-01", "c9,stayed,"), encoding="utf-8"
    )
    assert desk(kept, skip_bad=True).new == 3


def test_the_good_lines_are_imported_if_one_asks_for_it(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(BAD)
    imported = desk(tmp_path / "truth.csv", skip_bad=True)
    assert (imported.read, imported.new, imported.refused) == (5, 2, 3)
    assert imported.kept is not None
    assert imported.kept.is_file()


def test_bites_make_no_difference(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_import, "BITE", 2)
    (tmp_path / "truth.csv").write_text("prediction_id,churn\n" + "".join(f"p{n % 5},stayed\n" for n in range(9)))
    assert desk(tmp_path / "truth.csv") == Imported("churn", read=9, new=5, known=4, joined=3, waiting=2, refused=0, kept=None)


def test_the_record_says_who_imported_what(desk: Desk, tmp_path: Path, store: Store) -> None:
    (tmp_path / "truth.csv").write_text("prediction_id,churn\np1,stayed\n")
    desk(tmp_path / "truth.csv")
    with store.read() as conn:
        (event,) = [event for event in events.after(conn, 0) if event.kind == "labels.imported"]
    counts: dict[str, Any] = {"read": 1, "new": 1, "joined": 1, "waiting": 0, "refused": 0}
    assert (event.model, event.actor, event.data) == ("churn", "ada", {"file": "truth.csv", **counts})


def test_the_classes_are_those_of_the_champion(desk: Desk, tmp_path: Path, workspace: Workspace, store: Store) -> None:
    bundle = small_bundles.put(workspace.bundle_dir, small_bundles.answering())
    with store.write() as conn:
        deployments.insert(conn, "churn", expected=0, slots=[Slot("champion", 1, bundle.digest, 1.0)], reason="a test", at=1.0)
    (tmp_path / "truth.csv").write_text("customer,left\nc1,yes\n")
    assert desk(tmp_path / "truth.csv").joined == 1


def test_a_file_that_names_no_prediction_is_refused_with_what_to_type(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("pid,churn\np1,stayed\n")
    with pytest.raises(LabelColumnsInvalid, match=r"Its columns: pid, churn\.\n.*--column"):
        desk(tmp_path / "truth.csv")
    assert desk(tmp_path / "truth.csv", columns={"prediction_id": "pid"}).joined == 1
    with pytest.raises(TableUnreadable):
        desk(tmp_path / "nowhere.csv")
