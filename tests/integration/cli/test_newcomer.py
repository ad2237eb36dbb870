"""Wrong things that a newcomer does. Each ends in a sentence that names the thing, and in the next step."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import small_bundles
from tests.shell import failed, treadle
from tests.small_service import Service
from treadle.settings import Workspace

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the newcomer's folder, with a table of orders in it; commands are typed there."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{10_000 + number if number % 3 else 90_000 + number},{20 + number % 50},{'ab'[number % 2]},{'no' if number % 3 else 'yes'}"
        for number in range(300)
    ]
    (tmp_path / "orders.csv").write_text("\n".join(["ticket,age,plan,returned", *rows]), encoding="utf-8")
    return tmp_path


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of its own on which nothing fits any more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here (not root)")
    (disk / "filler").write_bytes(b"x" * 60_000)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # libraries in this process may hold files open


def test_the_target_is_misspelt(folder: Path) -> None:
    said = failed(treadle("init", "orders", "--from", "orders.csv", "--target", "retuned"), "'retuned'", "did you mean 'returned'?")
    assert "`treadle init orders --from orders.csv --target returned`" in said


def test_an_id_tells_the_target(folder: Path) -> None:
    done = treadle("init", "orders", "--from", "orders.csv", "--target", "returned")
    assert done.code == 0, done
    assert "ticket: It leaks the target" in done.out
    contract = (folder / "projects" / "orders" / "model.yaml").read_text(encoding="utf-8")
    assert "- name: ticket" not in contract
    assert "ticket" in contract, "it is said in the draft that the column was left out"


@pytest.mark.parametrize("content", ["", "ticket,age,plan,returned\n"])
def test_the_file_is_empty(folder: Path, content: str) -> None:
    (folder / "orders.csv").write_text(content, encoding="utf-8")
    said = failed(treadle("init", "orders", "--from", "orders.csv", "--target", "returned"), "orders.csv has no rows")
    assert "Bring a file with rows, then type `treadle init" in said


def test_two_targets_are_named(folder: Path) -> None:
    done = treadle("init", "orders", "--from", "orders.csv", "--target", "returned", "--target", "age")
    assert "`treadle init orders_1 --from orders.csv --target returned`" in failed(done, "A model predicts one column, and 2 are named")


def test_a_text_stands_where_a_number_belongs(folder: Path) -> None:
    assert treadle("init", "orders", "--from", "orders.csv", "--target", "returned").code == 0
    table = (folder / "orders.csv").read_text(encoding="utf-8")
    (folder / "orders.csv").write_text(table.replace(",25,", ",young,", 1), encoding="utf-8")
    said = failed(treadle("train", "orders"), "age: 1 of 300 values are no numbers, such as 'young' (row 5)")
    assert "`treadle validate orders` shows the rows" in said


def test_the_port_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "treadle.toml").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("TREADLE_PORT", str(taken.getsockname()[1]))
        said = failed(treadle("serve"), f"port {taken.getsockname()[1]} of 127.0.0.1")
    assert "TREADLE_PORT, to another port; 0 takes a free one" in said


def test_the_disk_is_full(folder: Path, full_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert treadle("init", "orders", "--from", "orders.csv", "--target", "returned").code == 0
    monkeypatch.setenv("TREADLE_HOME", str(full_disk / "home"))
    said = failed(treadle("train", "orders"))
    assert "This was not foreseen" not in said
    assert "disk" in said
    assert str(full_disk) in said


def test_there_is_no_workspace_yet(folder: Path) -> None:
    failed(treadle("status"), str(folder), "`treadle init NAME --from TABLE --target COLUMN`")


def test_the_name_of_the_model_is_misspelt(workspace: Workspace) -> None:
    said = failed(treadle("evaluate", "iriss"), "There is no project 'iriss': choose from churn, house_prices, iris.")
    assert "Did you mean 'iris'?" in said
    assert "`treadle init NAME --from" in failed(treadle("evaluate", "My Orders"), "'My Orders'")


def test_the_snapshot_is_of_somewhere_else(workspace: Workspace) -> None:
    failed(treadle("validate", "iris", "--snapshot", "abc"), "no snapshot 'abc'", f"`ls {workspace.home / 'data' / 'iris'}`")


def test_the_address_is_none(workspace: Workspace) -> None:
    said = failed(treadle("predict", "iris", "--url", "nonsense"), "No service answers at nonsense", "`treadle serve`")
    assert ".." not in said


def test_a_file_of_labels_has_other_columns(folder: Path, workspace: Workspace) -> None:
    (folder / "truth.csv").write_text("id,who\n1,2\n", encoding="utf-8")
    failed(treadle("labels", "import", "truth.csv", "--model", "iris"), "Its columns: id, who.", "import truth.csv --model iris --column")


def test_a_row_is_wrong(folder: Path, workspace: Workspace) -> None:
    (folder / "rows.csv").write_text("petal_length\nlong\n", encoding="utf-8")
    failed(treadle("predict", "iris", "rows.csv", "--url", "http://127.0.0.1:9"), "`treadle predict iris rows.csv --raw`")
    failed(treadle("predict", "iris", "rows.csv", "--out", "a.txt"), "a.txt", "`--out answers.csv`")


def test_the_python_is_too_old(tmp_path: Path) -> None:
    """The interpreter is played by a script, because none as old is at hand; what runs is the set-up script itself."""
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        old = tmp_path / "bin" / name
        old.parent.mkdir(exist_ok=True)
        old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n', encoding="utf-8")
        old.chmod(0o755)
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "pyproject.toml", "requirements.lock"):
        (clone / name).write_bytes((REPOSITORY / name).read_bytes())
    (clone / "scripts" / "setup").chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(["scripts/setup"], cwd=clone, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed; /" in done.stderr
    assert " is 3.9.2." in done.stderr
    assert "sudo apt-get install python3.11" in done.stderr


def test_the_project_has_a_space_in_its_name(folder: Path) -> None:
    done = treadle("init", "my orders", "--from", "orders.csv", "--target", "returned")
    assert "`treadle init my_orders --from orders.csv --target returned`" in failed(done, "A project cannot be called 'my orders'")


def test_the_key_is_missing(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.follow(service.slot(small_bundles.answering(), 1))
    answer = service.ask("POST", "/models/churn/versions/1/approve", json={"reason": "It is good."})
    service.close()
    assert (answer.status_code, answer.json()["error"]["what"]) == (401, "Nobody is named who acts.")
    assert "`treadle keys create NAME` makes a key." in answer.json()["error"]["fix"]


def test_the_key_is_not_of_this_workspace(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_KEY", "tk_of_another_place")
    said = failed(treadle("pause", "iris", "--reason", "Let me look."), "tk_of", "none of this workspace's")
    assert "`treadle keys list`" in said
