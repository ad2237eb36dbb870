"""What ``scripts/fuzz`` does for an hour, for some seconds; and what it has found, again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import over_http
from tests.fuzz.over_http import Found, Kept
from tests.fuzz.server import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SECONDS = float(os.environ.get("TREADLE_TEST_FUZZ_SECONDS", "20"))
SEED = 1


@pytest.fixture(scope="module", params=[False, True], ids=["without keys", "with keys"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("fuzzed"), keys=request.param) as made:
        yield made


def test_the_service_answers_as_its_description_says(server: Server) -> None:
    found = Found()

    over_http.fuzz(server, found, seed=SEED, seconds=SECONDS, examples=20)

    assert found.failures == {}
    assert server.faults() == ""
    assert found.cases > 20
    assert {"not_a_server_error", "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance"} <= set(found.checks)


def test_what_was_found_once_is_answered_as_then(server: Server) -> None:
    kept = [one for one in over_http.corpus() if one.keys == (server.token is not None)]

    assert len(kept) > 50
    assert over_http.replay(server, kept) == []
    assert server.faults() == ""


def test_a_service_that_lies_about_itself_is_found_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of this one promises to take a row that it refuses."""
    if server.token:
        pytest.skip("once is enough")
    honest = over_http.described

    def lie(asked: Server) -> dict[str, object]:
        description = honest(asked)
        description["components"]["schemas"]["price_row"]["properties"]["rooms"]["maximum"] = 10_000
        description["paths"] = {path: operations for path, operations in description["paths"].items() if path == "/predict/price"}
        return description

    monkeypatch.setattr(over_http, "described", lie)
    found = Found()

    over_http.fuzz(server, found, seed=SEED, seconds=SECONDS, examples=20)

    assert any("positive_data_acceptance" in name for name in found.failures)


def test_of_two_that_reach_the_same_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "CORPUS", tmp_path / "http")
    longer = Kept("POST", "/predict/churn", {}, "[1, 2]", 422, "churn")
    other = Kept("POST", "/predict/churn", {}, "", 422, "Not JSON")
    found = Found(reached={one.reached: one for one in (longer, other)})

    assert over_http.keep(found) == 2
    assert over_http.keep(Found(reached={longer.reached: longer}), limit=2) == 2
    assert over_http.corpus() == [other, longer]
