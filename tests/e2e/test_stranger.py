"""A stranger's table goes from a file to a service that heals itself, with nothing but what `treadle init` has drafted."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import treadle
from tests.hurtful_tables import classification, regression
from tests.shipping import ship_the_rest
from treadle.bundle.place import BundlePlace
from treadle.demo.healing import measure
from treadle.demo.stream import Stream
from treadle.engine.encode import example
from treadle.projects import find
from treadle.settings import Workspace
from treadle.simulation.traffic import Pace, Traffic
from treadle.simulation.world import open_world
from treadle.stack import Stack
from treadle.state import deployments, events, log, turns
from treadle.state.events import Event
from treadle.state.store import Store, open_store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

CALM_SECONDS = 15.0
HEAL_SECONDS = 240.0


@pytest.mark.parametrize(
    ("name", "make", "target"),
    [("cancelled", classification, "gekündigt"), ("worth", regression, "Jahreswert (€)")],
)
def test_a_table_that_hurts_is_served_labelled_drifts_and_is_retrained(
    name: str, make: Callable[[Path], Path], target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # measured, the processes would take twice as long
    treadle.init(name, make(tmp_path / "Export 2024 (alt).csv"), target, workspace=tmp_path)
    workspace = hurried(tmp_path)
    treadle.train(name, workspace=workspace)
    verdict, deployment = treadle.promote(name, workspace=workspace)
    assert deployment is not None, verdict.reasons
    project, store = find(workspace, name), open_store(workspace.store_url)
    interface = project.contract.interface
    first = champion(store, name)
    with Stack(workspace, lambda _: None, tracking=False, free_ports=True) as stack:
        answered = httpx.post(f"{stack.addresses.api}/predict/{name}", json=example(interface))
        assert answered.is_success, answered.text
        client = Traffic(
            stack.addresses.api, name, interface, open_world(workspace, project, seed=1), Pace(rate=220, singles=0.1, delay=1.5)
        )
        with Stream([client]) as stream:
            time.sleep(CALM_SECONDS)
            assert found(store, "episode.opened") is None, "an alarm, though nothing has changed"
            client.shifted = True
            ended = wait_for_the_turn(store, name)
            (tally,) = stream.stop()
    assert ended is not None, "no turn ended"
    assert ended.data["outcome"] == "promoted", ended.data["reason"]
    assert (tally.failed, tally.failures) == (0, [])
    ship_the_rest(workspace, store)
    with store.read() as conn:
        counted = log.totals(conn, name)
    assert (counted["rows"], counted["labels"]) == (tally.rows + 1, tally.labels)

    world = open_world(workspace, project, seed=2)
    healing = measure(project, BundlePlace(workspace.bundle_dir), world, {"first": first, "last": champion(store, name)}, seed=1)
    store.close()
    assert healing.closed > 0.5, healing


def hurried(root: Path) -> Workspace:
    """Return the workspace under the drafted demo policy, with quick clocks."""
    found = Workspace.find(root)
    changes = {"overlay": "demo", "profile_seconds": 1.0, "controller_seconds": 0.5, "poll_seconds": 0.2, "offline": True, "workers": 1}
    return Workspace(found.root, found.settings.model_copy(update=changes))


def champion(store: Store, name: str) -> str:
    with store.read() as conn:
        slot = deployments.require(conn, name).champion
    assert slot is not None
    return slot.digest


def found(store: Store, kind: str) -> Event | None:
    with store.read() as conn:
        return next((event for event in events.after(conn, 0) if event.kind == kind), None)


def wait_for_the_turn(store: Store, name: str) -> Event | None:
    deadline = time.monotonic() + HEAL_SECONDS
    while time.monotonic() < deadline:
        ended = found(store, "turn.closed")
        if ended is not None:
            return ended
        time.sleep(0.5)
    with store.read() as conn:
        open_turn = turns.current(conn, name)
    raise AssertionError(f"after {HEAL_SECONDS} s the turn stands at {open_turn}")
