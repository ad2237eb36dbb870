"""Files of rows through a real service; only the network between is left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests import small_bundles
from tests.small_service import Service
from treadle import service
from treadle.client import Client
from treadle.console import asking
from treadle.console.asking import Source
from treadle.data import files
from treadle.errors import (
    AnswerFileInvalid,
    DataUnreadable,
    RequestRefused,
    RowFileInvalid,
    RowsRefused,
    RowsUnanswered,
    ServiceUnreachable,
    TableUnreadable,
)
from treadle.projects import Project
from treadle.settings import Workspace
from treadle.spec import Contract

CODE = """
import pandas as pd

def load(path):
    raw = pd.read_csv(path, sep="|")
    return pd.DataFrame({"tenure": raw["Months"], "spend": raw["Paid"], "customer": raw["Id"], "left": "no"})
"""
GOOD = "customer;tenure;spend;note\na;1;1,5;x\nb;2;2,5;\nc;3;30,5;y\n"


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Yield a service whose answers the client gets without a network; batches are of two rows."""
    worker = Service(tmp_path / "service")
    worker.follow(worker.slot(small_bundles.answering(), 1))

    def carry(request: httpx.Request) -> httpx.Response:
        answer = worker.ask(request.method, request.url.path, content=request.content, headers=request.headers)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def connect(url: str) -> Client:
        return Client(url, retries=0, transport=httpx.MockTransport(carry) if url == "http://treadle" else None)

    monkeypatch.setattr(service, "connect", connect)
    monkeypatch.setattr(asking, "BATCH_ROWS", 2)
    yield worker
    worker.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    content = {"name": "churn", "data": [{"kind": "simulated"}], "interface": small_bundles.INTERFACE.model_dump(mode="json")}
    return Project(folder, Contract.model_validate(content))


@pytest.fixture
def source(project: Project, tmp_path: Path) -> Any:
    def make(content: str, name: str = "rows.csv", *, raw: bool = False) -> Source:
        (tmp_path / name).write_text(content)
        return Source("http://treadle", project, tmp_path / name, raw)

    return make


def asked(live: Service) -> list[str | None]:
    return [record.entity for record in live.predictions()]


def test_rows_of_a_csv_are_answered_in_their_order(live: Service, source: Any, workspace: Workspace) -> None:
    said: list[str] = []
    counts: list[int] = []
    answers = asking.ask(workspace, source(GOOD), say=said.append, progress=counts.append)

    assert asked(live) == ["a", "b", "c"]
    assert [answer["prediction_id"] for answer in answers] == [record.prediction_id for record in live.predictions()]
    assert said == ["Left out, because the contract has no such features: note."]
    assert counts == [2, 3]


def test_any_form_of_the_same_rows_gives_the_same_answers(live: Service, source: Any, workspace: Workspace, tmp_path: Path) -> None:
    cells = [("a", 1, 1.5), ("b", 2, 2.5), ("c", 3, 30.5)]
    rows = [{"customer": customer, "tenure": tenure, "spend": spend} for customer, tenure, spend in cells]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    sources = [
        source(GOOD),
        source(json.dumps(rows), "rows.json"),
        source("\n".join(map(json.dumps, rows)), "rows.jsonl"),
        Source("http://treadle", source(GOOD).project, tmp_path / "rows.parquet"),
        source("Id|Months|Paid\na|1|1.5\nb|2|2.5\nc|3|30.5\n", "first.txt", raw=True),
    ]
    answers = [[answer["probabilities"] for answer in asking.ask(workspace, one)] for one in sources]
    assert all(one == answers[0] for one in answers)


def test_answers_go_to_a_file_as_they_come(live: Service, source: Any, tmp_path: Path) -> None:
    assert asking.ask_into(tmp_path / "out" / "answers.csv", source(GOOD)) == 3
    table = pd.read_csv(tmp_path / "out" / "answers.csv")
    columns = ["customer", "prediction_id", "prediction", "confidence", "probability_no", "probability_yes", "model", "version", "fallback"]
    assert list(table.columns) == columns
    assert list(table["customer"]) == ["a", "b", "c"]

    asking.ask_into(tmp_path / "answers.parquet", source(GOOD))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "answers.parquet").drop(columns="prediction_id"), table.drop(columns="prediction_id"), check_dtype=False
    )

    asking.ask_into(tmp_path / "answers.json", source(GOOD))
    plain = json.loads((tmp_path / "answers.json").read_text())
    assert [answer["prediction_id"] for answer in plain] == [record.prediction_id for record in live.predictions()][-3:]
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_cell_that_means_nothing_is_named_and_nothing_is_asked(live: Service, source: Any, workspace: Workspace) -> None:
    with pytest.raises(RowsRefused) as caught:
        asking.ask(workspace, source("tenure,spend\n1,cheap\nx,\n"))
    assert caught.value.problems == (
        "line 2: spend is 'cheap'; allowed: a number from 0 to 1000",
        "line 3: tenure is 'x'; allowed: a whole number from 0 to 100",
        "line 3: spend is ''; allowed: a number from 0 to 1000; it is required",
    )
    assert asked(live) == []


def test_a_column_that_every_row_must_have_is_missed_once(live: Service, source: Any, workspace: Workspace) -> None:
    with pytest.raises(RowsRefused, match="there is no column spend"):
        asking.ask(workspace, source("tenure,note\n1,x\n2,y\n"))


LATE = GOOD.replace("30,5", "3000")


def test_what_the_service_refuses_is_named_by_line_and_column(live: Service, source: Any, workspace: Workspace) -> None:
    with pytest.raises(RequestRefused) as caught:
        asking.ask(workspace, source('tenure,spend\n"1",1\n2,3000\n'))
    assert caught.value.problems == ("line 3: spend is 3000; allowed: a number from 0 to 1000",)


def test_what_was_answered_before_a_refusal_is_kept_and_said(live: Service, source: Any, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RowsUnanswered) as caught:
        asking.ask_into(tmp_path / "answers.csv", source(LATE))
    said = f"Only the first 2 rows of {tmp_path / 'rows.csv'} are answered; their answers are in {tmp_path / 'answers.csv'}."
    assert caught.value.what.startswith(said)
    assert caught.value.problems == ("line 4: spend is 3000; allowed: a number from 0 to 1000",)
    assert list(pd.read_csv(tmp_path / "answers.csv")["customer"]) == ["a", "b"]

    with pytest.raises(RowsUnanswered) as unnamed:
        asking.ask(workspace, source(LATE))
    (kept,) = (workspace.home / "reports" / "predictions" / "churn").glob("rows-*.csv")
    assert str(kept) in unnamed.value.what
    assert list(pd.read_csv(kept)["customer"]) == ["a", "b"]


def test_a_bad_cell_far_down_keeps_the_answers_before_it(live: Service, source: Any, tmp_path: Path) -> None:
    with pytest.raises(RowsUnanswered, match="do not fit the contract"):
        asking.ask_into(tmp_path / "answers.json", source(GOOD.replace("30,5", "dear")))
    assert len(json.loads((tmp_path / "answers.json").read_text())) == 2


def test_nothing_answered_leaves_no_file(live: Service, source: Any, tmp_path: Path) -> None:
    for name in ("answers.csv", "answers.parquet", "answers.json"):
        with pytest.raises(RequestRefused):
            asking.ask_into(tmp_path / name, source("tenure,spend\n2,3000\n"))
        assert not (tmp_path / name).exists()
    assert list(tmp_path.glob(".*")) == []


def test_wide_rows_go_in_smaller_batches(live: Service, source: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "CELLS", 2)
    counts: list[int] = []
    asking.ask(workspace, source(GOOD), progress=counts.append)
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("rows.csv", "", TableUnreadable),
        ("rows.csv", "tenure,spend\n", RowFileInvalid),
        ("rows.json", "[]", RowFileInvalid),
        ("rows.jsonl", '{"tenure": 1\n', RowsRefused),
        ("raw.txt", "Id|Months\na|1\n", DataUnreadable),
    ],
)
def test_a_file_without_rows_is_named(
    live: Service, source: Any, workspace: Workspace, name: str, content: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=name):
        asking.ask(workspace, source(content, name, raw=name == "raw.txt"))


@pytest.mark.parametrize(("name", "reason"), [("answers.xlsx", r"must end in \.csv"), ("rows.csv", "it holds the rows")])
def test_a_file_that_cannot_take_answers_is_refused_before_any_is_asked_for(
    live: Service, source: Any, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(AnswerFileInvalid, match=reason):
        asking.ask_into(tmp_path / name, source(GOOD))
    assert asked(live) == []
    assert (tmp_path / "rows.csv").read_text() == GOOD


def test_a_service_that_is_away_is_said_to_be(source: Any, workspace: Workspace, free_port: int) -> None:
    with pytest.raises(ServiceUnreachable):
        asking.ask(workspace, source(GOOD)._replace(url=f"http://127.0.0.1:{free_port}"))


def test_the_rows_of_a_file_are_not_held_in_memory(live: Service, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = files.rows_of

    def counted(path: Path) -> Iterator[files.Row]:
        for number, row in enumerate(plain(path)):
            read.append(number)
            yield row

    monkeypatch.setattr(asking, "rows_of", counted)
    seen: list[int] = []
    asking.ask_into(tmp_path / "answers.csv", source("tenure,spend\n" + "1,2\n" * 9), progress=lambda _count: seen.append(len(read)))
    assert seen == [2, 4, 6, 8, 9]
