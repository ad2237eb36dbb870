"""Whoever opens a store to write begins its record first, so that only a real loss of the heads is ever told as one."""

import ast
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import treadle
from treadle import api
from treadle.loop import Loop, run_controller
from treadle.serving import shipper
from treadle.settings import Workspace
from treadle.state import events
from treadle.state.heads import audit, sign, signed
from treadle.state.store import Store, open_store

PACKAGE = Path(treadle.__file__).parent

BEGIN = {"api/opening.py", "api/retention.py", "demo/script.py", "recovery/restore.py", "serving/shipper.py"}
READ = {"api/audit.py", "checking/machine.py", "recovery/backup.py", "recovery/databases.py", "serving/worker.py", "stack.py"}
"""Who checks, looks, copies or serves. A worker must not write into the store: what it has to tell goes through the spool."""


def called(path: Path) -> set[str]:
    """Return the names of what a file calls."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


def test_every_module_that_opens_a_store_begins_its_record_or_only_reads() -> None:
    calls = {path.relative_to(PACKAGE).as_posix(): called(path) for path in PACKAGE.rglob("*.py") if path.name != "store.py"}
    assert {name for name, names in calls.items() if names & {"open_store", "Store"}} == BEGIN | READ
    assert {name for name in BEGIN if calls[name] & {"begin", "signed"}} == BEGIN
    assert {name for name in READ if calls[name] & {"begin", "signed"}} == set()


def command(workspace: Workspace, _store: Store) -> None:
    api.status(workspace=workspace)


def loop(workspace: Workspace, store: Store) -> None:
    Loop(workspace, store)


def controller(workspace: Workspace, store: Store) -> None:
    run_controller(workspace, store, threading.Event(), once=True)


def ship(workspace: Workspace, _store: Store) -> None:
    looks = iter([False, True])
    shipper.run(workspace, lambda _seconds: next(looks))


def work(workspace: Workspace, store: Store) -> None:
    with signed(store, workspace.home):
        pass


@pytest.mark.parametrize("entry", [command, loop, controller, ship, work], ids=lambda entry: str(entry.__name__))
def test_after_each_way_in_events_that_nobody_signs_are_no_alarm(workspace: Workspace, entry: Callable[[Workspace, Store], None]) -> None:
    store = open_store(workspace.store_url)
    entry(workspace, store)
    with store.write() as conn:
        events.append(conn, "thing.happened", at=1.0, data={})
    sign(store, workspace.home, at=2.0)
    assert audit(store, workspace.home).unsigned == 0
    with store.read() as conn:
        assert events.after(conn, 0, limit=1)[0].kind == "audit.began"
    store.close()
