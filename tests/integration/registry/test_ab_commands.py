"""ab start, ab report, ab stop, switch and rollback, as a person types them."""

import pytest

from tests.integration.registry.conftest import Shelf
from tests.shell import failed, treadle
from treadle.registry import promotion
from treadle.settings import Workspace
from treadle.state import deployments, events
from treadle.state.deployments import Deployment
from treadle.state.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def ready(workspace: Workspace, store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store of a workspace whose iris has a champion and two versions that nobody has judged yet."""
    monkeypatch.setenv("COLUMNS", "300")
    shelf.snapshot()
    for number, code in enumerate("cef", 1):
        assert shelf.register(code_digest=code * 64) == number
        with store.write() as conn:
            events.append(conn, "version.registered", at=0.5, model="iris", data={"version": number})
    verdict = promotion.gate_version(workspace, store, shelf.project, 1, at=1.0)
    promotion.promote(workspace, store, shelf.project, 1, verdict, at=2.0)
    return store


def present(store: Store) -> Deployment:
    with store.read() as conn:
        return deployments.require(conn, "iris")


def test_an_ab_test_from_its_start_to_its_end(ready: Store) -> None:
    started = treadle("ab", "start", "iris", "2=0.2", "3=0.1", "--reason", "Which one?")
    assert started.code == 0, started.err
    assert "The A/B test of iris runs in generation 3: version 1 (champion) 0.7, version 2 (arm) 0.2, version 3 (arm) 0.1." in started.out
    report = treadle("ab", "report", "iris")
    assert report.code == 0, report.err
    assert "It is too early to compare version 2 and version 1, the champion: 0 rows of 0 entities and 0 of 0 have a label" in report.out
    told = treadle("ab", "report", "iris", "--json").json
    assert (told["weights"], told["report"]["metric"]) == ({"1": 0.7, "2": 0.2, "3": 0.1}, "f1_macro")
    assert told["report"]["champion"]["value"] is None
    dropped = treadle("ab", "stop", "iris", "--drop", 2)
    assert "iris version 1 is champion in generation 4; the test goes on without version 2." in dropped.out
    ended = treadle("ab", "stop", "iris", "--promote", 3, "--reason", "Better.")
    assert "iris version 3 is champion in generation 5, with all traffic." in ended.out
    assert present(ready).reason == "Version 3 passed the gate and takes all traffic. The A/B test ends. Better."
    failed(treadle("ab", "report", "iris"), "No A/B test of iris runs.")


def test_models_are_switched_and_rolled_back(ready: Store) -> None:
    switched = treadle("switch", "iris=2", "--json")
    assert switched.code == 0, switched.err
    assert [one["generation"] for one in switched.json] == [2]
    assert "iris is back at version 1, in generation 3." in treadle("rollback", "iris").out
    failed(treadle("rollback", "iris", "churn"), "None of iris, churn was switched. churn cannot be rolled back")
    assert present(ready).generation == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("switch", "iris"), "'iris' is not MODEL=VERSION, such as iris=3."),
        (("switch", "iris=new"), "'iris=new' is not MODEL=VERSION"),
        (("switch", "iris=1", "iris=2"), "iris is named twice"),
        (("ab", "start", "iris", "two=0.1"), "'two=0.1' is not VERSION=SHARE"),
        (("ab", "start", "iris", "2=0.1", "2=0.2"), "with each version once"),
        (("ab", "stop", "iris", "--promote", "2", "--drop", "2"), "give one of them"),
        (("rollback", "iris", "churn", "--to", "1"), "--to names a generation of one model"),
    ],
)
def test_what_was_mistyped_is_told(workspace: Workspace, arguments: tuple[str, ...], said: str) -> None:
    done = treadle(*arguments)
    assert done.code != 0
    assert said in done.err
