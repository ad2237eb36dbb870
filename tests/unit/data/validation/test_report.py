"""The report: one page that fetches nothing, the same as JSON, and a bounded sample of bad rows."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from treadle.console.validation import shown
from treadle.data.validate import bad_rows, check
from treadle.data.validation.findings import KEPT, Bar, Finding, Report
from treadle.data.validation.keep import inspect, keep
from treadle.data.validation.page import About, histogram, page
from treadle.settings import Settings, Workspace
from treadle.spec import Contract

NASTY = "<script>alert('ä')</script>"


@pytest.fixture
def contract() -> Contract:
    features = [{"name": "age", "type": "integer", "min": 0, "max": 120}, {"name": NASTY, "type": "category", "categories": ["a", "b"]}]
    interface = {"task": "binary", "target": {"name": "left", "classes": ["no", "yes"]}, "features": features}
    policy = {"data": {"contradictions": {"severity": "off"}}}
    return Contract.model_validate({"name": "people", "data": [{"kind": "simulated"}], "interface": interface, "policy": policy})


@pytest.fixture
def people() -> DataFrame:
    random = np.random.default_rng(7)
    return DataFrame(
        {
            "age": random.integers(18, 90, 300),
            NASTY: random.choice(["a", "b"], 300),
            "left": random.choice(["no", "yes"], 300),
            "id": range(300),
        }
    )


class Reader(HTMLParser):
    """Checks that each tag is closed in order, and gathers what would be fetched, tags and text."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.anchors: set[str] = set()
        self.named: set[str] = set()
        self.said = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in self.VOID else [tag]
        facts = dict(attrs)
        self.named |= {str(facts["id"])} if "id" in facts else set()
        link = facts.get("href") or facts.get("src") or ""
        self.anchors |= {link[1:]} if link.startswith("#") else set()
        self.fetched += [link] if link and not link.startswith("#") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def about(**more: str) -> About:
    return About("people", f"file {NASTY}", 1_795_258_800.0, **more)


def test_the_page_is_whole_fetches_nothing_and_says_everything(contract: Contract, people: DataFrame) -> None:
    people.loc[[3, 4], "age"] = [-1, 200]
    people.loc[5, NASTY] = NASTY
    report = check(contract, people)
    text = page(report, about(snapshot="ab" * 32, policy="cd" * 32))
    read = Reader(text)
    assert read.fetched == []
    assert not re.search(r"https?://|@import|url\(", text)
    assert "script" not in read.tags
    assert read.anchors == read.named == {f"f{number}" for number in range(1, len(report.findings) + 1)}
    for finding in report.findings:
        assert finding.message in read.said
        assert finding.advice in read.said
        assert finding.edit.strip() in read.said
    assert read.tags.count("svg") == 4
    assert "2026-11-21 11:00 UTC" in read.said
    assert "refused" in read.said
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_page_says_how_it_ended(contract: Contract, people: DataFrame) -> None:
    plain = people.drop(columns="id")
    assert "passes, with warnings" in Reader(page(check(contract, people), about())).said
    clean = check(contract, plain.drop_duplicates())
    assert clean.findings == ()
    assert "Nothing. The rows keep the contract" in Reader(page(clean, about())).said
    assert "there are no rows" in Reader(page(check(contract, plain.head(0)), about())).said


def test_a_histogram_is_as_wide_as_it_should_be() -> None:
    drawn = histogram((Bar("a<b", 3), Bar("c", 0)), 3)
    assert drawn.count("<rect") == 2
    assert "a&lt;b: 3" in drawn
    assert "nearly all different" in histogram((), 3)


def test_the_json_holds_what_the_page_says(contract: Contract, people: DataFrame, tmp_path: Path) -> None:
    people["age"] = people["age"].astype(object)
    people.loc[3, "age"] = np.inf
    kept = inspect(Workspace(tmp_path, Settings()), contract, people, about())
    assert kept.folder == tmp_path / ".treadle" / "reports" / "validation" / "people" / "2026-11-21T11-00-00.000Z"
    facts = json.loads((kept.folder / "report.json").read_text(encoding="utf-8"))
    assert (facts["rows"], facts["passed"], facts["errors"], facts["warnings"]) == (300, False, 1, 1)
    assert facts["findings"][0]["check"] == "type"
    assert facts["findings"][0]["rows"] == [3]
    assert facts["findings"][0]["advice"]
    assert facts["policy"] == contract.policy.data.digest
    assert [column["name"] for column in facts["columns"]] == ["age", NASTY, "left", "id"]
    assert kept.page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in kept.folder.iterdir()) == ["bad_rows.csv", "report.html", "report.json"]


def test_a_report_on_the_same_snapshot_is_written_anew(contract: Contract, people: DataFrame, tmp_path: Path) -> None:
    workspace, one = Workspace(tmp_path, Settings()), about(snapshot="ab" * 32)
    bad = people.assign(age=-1)
    first = keep(workspace, check(contract, bad), bad, one)
    good = people.drop(columns="id").drop_duplicates(["age", NASTY])
    second = keep(workspace, check(contract, good), good, one)
    assert first == second == tmp_path / ".treadle" / "reports" / "validation" / "people" / ("ab" * 6)
    assert not (second / "bad_rows.csv").exists()


def test_there_is_no_file_of_bad_rows_where_no_row_can_be_shown(contract: Contract, people: DataFrame, tmp_path: Path) -> None:
    kept = inspect(Workspace(tmp_path, Settings()), contract, people.drop(columns="age"), about())
    assert [finding.column for finding in kept.report.problems] == ["age"]
    assert not (kept.folder / "bad_rows.csv").exists()
    assert "bad_rows.csv" not in shown("people", kept)


def test_bad_rows_are_a_bounded_sample_in_which_each_finding_has_its_part(contract: Contract, people: DataFrame) -> None:
    many = pd.concat([people] * 10, ignore_index=True)
    many["id"] = range(3000)
    many.loc[0:2000, "age"] = -1
    many.loc[2500, NASTY] = "c"
    sample = bad_rows(check(contract, many), many)
    assert len(sample) == KEPT
    assert sample.loc[sample["treadle: row"] == 2500, "treadle: found"].item() == f"{NASTY}: category"
    assert set(sample["treadle: found"]) == {f"{NASTY}: category", "age: min"}
    assert list(sample.columns) == ["treadle: row", "treadle: found", *many.columns]


def test_a_row_that_breaks_two_checks_is_there_once(contract: Contract, people: DataFrame) -> None:
    people.loc[7, "age"], people.loc[7, NASTY] = -1, "c"
    sample = bad_rows(check(contract, people), people)
    assert sample["treadle: found"].tolist() == [f"age: min; {NASTY}: category"]


def test_errors_come_before_warnings() -> None:
    where = np.array([1])
    found = (Finding("duplicates", "warning", "*", "twice", where=np.array([2])), Finding("min", "error", "age", "low", where=where))
    assert bad_rows(Report(3, found), DataFrame({"age": [1, 2, 3]}))["treadle: row"].tolist() == [1, 2]
