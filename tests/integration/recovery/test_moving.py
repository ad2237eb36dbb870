"""A restore moves house: from one database into another, and through every kill."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.integration.recovery.house import House, label, rows
from tests.postgres_cluster import database
from tests.shell import failed, treadle
from treadle import api
from treadle.recovery import restore
from treadle.recovery.marker import marker
from treadle.registry.tracking import Tracking
from treadle.settings import MARKER, Workspace
from treadle.state import events
from treadle.state.store import open_store

pytestmark = pytest.mark.integration


@pytest.fixture
def servers(postgres_url: str) -> Iterator[tuple[str, str]]:
    """Yield the URLs of two empty databases: for the state, and for MLflow."""
    names = [f"test_{uuid.uuid4().hex}" for _ in range(2)]
    with database(postgres_url, names[0]) as state, database(postgres_url, names[1]) as mlflow:
        yield state, mlflow


def settle(root: Path, state: str = "", mlflow: str = "") -> None:
    root.mkdir(parents=True)
    (root / MARKER).write_text(f'offline = true\nstore_url = "{state}"\ntracking_url = "{mlflow}"\n')


def test_there_and_back_again_every_row_is_the_same(house: House, servers: tuple[str, str], tmp_path: Path) -> None:
    house.answers(0, 30)
    house.append(label(3))
    house.ship()
    house.answers(30, 40)
    house.backup()
    there = tmp_path / "there"
    settle(there, *servers)
    moved = house.restore(there)
    assert rows(servers[0]) == house.rows(house.place)
    assert not (moved.home / "state.db").exists()
    assert not (moved.home / "mlflow.db").exists()
    assert Tracking(moved).versions("churn") == Tracking(house.place).versions("churn")
    with Tracking(moved).client() as client:  # MLflow's own numbers go on behind those that were carried over
        assert int(client.create_experiment("another")) > 0
    api.backup(tmp_path / "second", workspace=moved)
    message = failed(treadle("restore", tmp_path / "second", "--into", tmp_path / "by its own settings"), "rows of the table deployment")
    assert "TREADLE_STORE_URL" in message
    settle(tmp_path / "back")
    api.restore(tmp_path / "second", into=tmp_path / "back")
    back = Workspace.find(tmp_path / "back")
    assert back.store_url.startswith("sqlite")
    assert rows(back.store_url) == house.rows(house.place)
    assert Tracking(back).versions("churn") == Tracking(house.place).versions("churn")


def test_a_restore_that_is_killed_anywhere_says_so_and_can_be_tried_again(
    house: House, servers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.answers(0, 5)
    house.ship()
    house.backup()
    there = tmp_path / "there"
    settle(there, *servers)
    kept = house.rows(house.place)
    note, steps = restore._Site._note, 0  # noqa: SLF001 -- each call is one step of what is laid out
    while True:
        left = [steps]

        def killed(site: Any, left: list[int] = left, **what: Any) -> None:
            note(site, **what)
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1

        with monkeypatch.context() as patch:
            patch.setattr(restore._Site, "_note", killed)  # noqa: SLF001
            try:
                api.restore(house.copy, into=there)
                break
            except KeyboardInterrupt:
                pass
        assert marker(there / ".treadle").exists()
        with monkeypatch.context() as patch:
            patch.setenv("TREADLE_WORKSPACE", str(there))
            failed(treadle("status"), "half restored", f"treadle restore {house.copy}")
        steps += 1
    assert steps >= 4
    assert rows(servers[0]) == kept
    assert not marker(there / ".treadle").exists()
    place = Workspace.find(there)
    assert Tracking(place).versions("churn") == Tracking(house.place).versions("churn")


def test_a_half_restored_database_that_somebody_has_written_since_is_left_alone(
    house: House, servers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.backup()
    there = tmp_path / "there"
    settle(there, servers[0])
    with monkeypatch.context() as patch:
        patch.setattr(restore._Site, "_bring_projects", _killed)  # noqa: SLF001
        with pytest.raises(KeyboardInterrupt):
            api.restore(house.copy, into=there)
    store = open_store(servers[0])
    with store.write() as conn:
        events.append(conn, "loop.paused", at=1.0, actor="ada", data={"reason": "a test"})
    store.close()
    failed(treadle("restore", house.copy, "--into", there), "has been written since")
    engine = create_engine(servers[0])
    with engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM deployment")).scalar()
    engine.dispose()


def test_a_database_that_holds_something_is_named(house: House, servers: tuple[str, str], tmp_path: Path) -> None:
    house.backup()
    settle(tmp_path / "one", *servers)
    house.restore(tmp_path / "one")
    settle(tmp_path / "two", *servers)
    message = failed(treadle("restore", house.copy, "--into", tmp_path / "two"), "rows of the table deployment", "registered_models")
    assert "half restored" not in message
    assert [path.name for path in (tmp_path / "two").iterdir()] == [MARKER]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
