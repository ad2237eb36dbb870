"""What ``treadle doctor`` finds, each trouble made for real where a test can make it."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import small_bundles
from tests.shell import treadle
from treadle.checking import machine
from treadle.checking.outcome import Outcome, failed
from treadle.settings import Workspace, load_settings
from treadle.state import deployments, migrations
from treadle.state.deployments import Slot
from treadle.state.store import open_store

Place = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def few_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """To import all that trains takes seconds; one library shows as much, and the command is run whole in tests/integration."""
    monkeypatch.setattr(machine, "TRAINS", ("sqlalchemy",))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return what makes a workspace without projects from the lines of its treadle.toml."""

    def make(*lines: str) -> Workspace:
        (tmp_path / "treadle.toml").write_text("\n".join(lines), encoding="utf-8")
        (tmp_path / "projects").mkdir(exist_ok=True)
        return Workspace(tmp_path, load_settings(tmp_path / "treadle.toml"))

    return make


def row(workspace: Workspace | None, name: str) -> Outcome:
    return next(one for one in machine.examine(workspace) if one.name == name)


def test_without_a_workspace_the_machine_is_examined_and_the_way_to_one_told() -> None:
    found = machine.examine(None)
    assert [one.name for one in found] == ["python", "machine", "serving libraries", "training libraries", "workspace"]
    assert "treadle init" in found[-1].fix


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TRAINS", ("json", "no_such_library"))
    found = row(None, "training libraries")
    assert (found.status, "no_such_library" in found.reason) == ("failed", True)
    assert "pip install" in found.fix


@pytest.mark.parametrize(("free", "status"), [(10**12, "ok"), (10**9, "warning"), (10**6, "failed")])
def test_little_disk_is_a_warning_and_none_a_failure(place: Place, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert row(place(), "disk").status == status


def test_a_home_that_cannot_be_written_is_a_failure(place: Place, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder", encoding="utf-8")
    found = row(place('home = "taken"'), "disk")
    assert (found.status, "TREADLE_HOME" in found.fix) == ("failed", True)


def test_a_taken_port_is_told_with_its_setting(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = row(place(f"port = {port}"), "port")
    assert (found.status, str(port) in found.reason, "TREADLE_PORT" in found.fix) == ("warning", True, True)
    assert row(place("port = 0"), "port").status == "ok"


def test_a_mirror_must_be_there_and_have_what_contracts_name(workspace: Workspace, tmp_path: Path) -> None:
    def with_mirror(folder: Path) -> Outcome:
        settings = workspace.settings.model_copy(update={"data_mirror": folder})
        return row(Workspace(workspace.root, settings), "data mirror")

    assert with_mirror(tmp_path / "nowhere").status == "failed"
    assert "telco_churn.csv" in with_mirror(tmp_path).reason
    for name in ("telco_churn.csv", "california_housing.csv"):
        (tmp_path / name).touch()
    assert with_mirror(tmp_path).status == "ok"


def test_a_contract_that_cannot_be_read_is_named(workspace: Workspace) -> None:
    (workspace.projects_dir / "iris" / "model.yaml").write_text("name: iris\n", encoding="utf-8")
    assert row(workspace, "project iris").status == "failed"
    assert row(workspace, "project churn").status == "ok"
    assert row(workspace, "data mirror").status == "ok"


def test_a_workspace_without_projects_is_told_how_to_get_one(place: Place) -> None:
    assert "treadle init" in row(place(), "projects").fix


def test_a_damaged_bundle_with_a_role_is_a_failure(place: Place) -> None:
    workspace = place()
    digest = small_bundles.put(workspace.bundle_dir, small_bundles.answering(), small_bundles.INTERFACE).digest
    store = open_store(workspace.store_url)
    with store.write() as conn:
        deployments.insert(conn, "churn", expected=0, slots=[Slot("champion", 1, digest, 1.0)], reason="a test", at=0.0)
    store.close()
    assert row(workspace, "bundle of churn v1").status == "ok"
    graph = workspace.bundle_dir / digest / "model.onnx"
    graph.chmod(0o600)
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    assert row(workspace, "bundle of churn v1").status == "failed"
    assert failed(machine.examine(workspace))


def test_a_store_that_cannot_be_opened_is_a_failure(place: Place) -> None:
    found = row(place('store_url = "sqlite:////proc/nowhere/state.db"'), "state store")
    assert found.status == "failed"


def test_the_revision_of_the_schema_is_told(place: Place) -> None:
    found = row(place(), "state store")
    assert (found.status, f"schema {migrations.HEAD}" in found.reason) == ("ok", True)


def test_a_store_of_a_newer_treadle_is_a_failure(place: Place) -> None:
    workspace = place()
    store = open_store(workspace.store_url)
    with store.write() as conn:
        migrations.stamp(conn, "9001")
    store.close()
    found = row(workspace, "state store")
    assert (found.status, "revision 9001" in found.reason) == ("failed", True)


def test_the_command_says_what_is_wrong_and_fails(workspace: Workspace) -> None:
    done = treadle("doctor")
    assert (done.code, "bad.yaml" in done.out) == (0, False), done
    (workspace.projects_dir / "iris" / "model.yaml").write_text("name: iris\n", encoding="utf-8")
    done = treadle("doctor", "--json")
    assert done.code == 1
    assert {one["status"] for one in done.json if one["name"] == "project iris"} == {"failed"}
