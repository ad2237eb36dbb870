"""A workspace with versions, snapshots, roles and a log, carried away as one folder and laid out elsewhere."""

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.recovery.house import House, label
from tests.shell import failed, treadle
from treadle import api
from treadle.bundle.place import BundlePlace
from treadle.data.snapshot import SnapshotPlace
from treadle.recovery.marker import marker
from treadle.registry.tracking import Tracking
from treadle.retention.collection import uncollected
from treadle.serving.spool import segments
from treadle.settings import MARKER, Workspace
from treadle.state import events, lease
from treadle.state.store import Store, open_store

pytestmark = pytest.mark.integration


def test_everything_is_there_again_and_the_chain_holds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.answers(0, 20)
    house.append(label(3))
    house.ship()
    told = house.backup()
    assert told.rows["predictions"] == 20
    assert told.trouble == ""
    place = house.restore()
    assert house.rows(place) == house.rows(house.place)
    monkeypatch.setenv("TREADLE_WORKSPACE", str(place.root))
    assert treadle("events", "--verify").code == 0
    with Store(place.store_url).read() as conn:
        assert [event.kind for event in events.after(conn, told.last.seq)] == ["backup.restored"]
    assert [one.digest for one in SnapshotPlace(place.snapshot_dir).list("churn")] == [
        one.digest for one in SnapshotPlace(house.place.snapshot_dir).list("churn")
    ]
    assert BundlePlace(place.bundle_dir).digests() == BundlePlace(house.place.bundle_dir).digests()
    assert Tracking(place).versions("churn") == Tracking(house.place).versions("churn")
    assert not marker(place.home).exists()


def test_a_backup_is_told_in_the_record_and_says_what_it_holds(house: House) -> None:
    house.answers(0, 3)
    house.ship()
    house.answers(3, 5)
    done = treadle("backup", house.copy)
    assert "3 predictions, 0 labels, 2 in the spool. What came after is not in it." in done.out
    with house.shop.night.store.read() as conn:
        (told,) = events.newest(conn, 1)
    assert (told.kind, told.data["folder"]) == ("backup.made", str(house.copy))
    again = treadle("restore", house.copy, "--into", house.elsewhere)
    assert "3 predictions, 0 labels, 2 in the spool. What came after is not in it." in again.out
    assert "signed heads" in again.out


def test_what_waits_in_the_spool_is_shipped_once_after_a_restore(house: House) -> None:
    house.answers(0, 10)
    house.ship(once=True)
    house.answers(10, 30)
    house.append(label(20))
    told = house.backup()
    assert (told.rows["predictions"], told.waiting.predictions, told.waiting.labels) == (10, 20, 1)
    place = house.restore()
    assert house.ship(place) == 21
    house.ship()
    ours, theirs = house.rows(place), house.rows(house.place)
    assert ours["predictions"] == theirs["predictions"]
    assert len(ours["predictions"]) == 30
    assert ours["labels"] == theirs["labels"]
    assert [row[:-1] for row in ours["profile_parts"]] == [row[:-1] for row in theirs["profile_parts"]] or sum(
        row[-1] for row in ours["profile_parts"]
    ) == 30


def test_a_segment_that_is_shipped_between_its_copy_and_the_store_s_is_not_shipped_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from treadle.recovery import spooled

    house.answers(0, 10)
    house.ship(once=True)
    house.answers(10, 20)
    drop = spooled.drop_shipped

    def meanwhile(*given: Any) -> list[Path]:
        left = drop(*given)
        house.ship(once=True)  # the copied segment is behind what the store knows of it now
        return left

    monkeypatch.setattr(spooled, "drop_shipped", meanwhile)
    told = house.backup()
    assert (told.rows["predictions"], told.waiting.total) == (20, 0)
    place = house.restore()
    assert house.ship(place) == 0
    assert segments(place.spool_dir) == []
    assert len(house.rows(place)["predictions"]) == 20
    with Store(place.store_url).read() as conn:
        assert events.newest(conn, None, kind="log") == []


def test_a_segment_that_has_gone_meanwhile_is_in_the_store_and_not_in_the_copy(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from treadle.recovery import spooled

    house.answers(0, 10)
    copy = spooled.copy

    def meanwhile(*given: Any) -> list[Path]:
        made = copy(*given)
        house.writer.close()
        house.ship()
        return made

    monkeypatch.setattr(spooled, "copy", meanwhile)
    told = house.backup()
    assert (told.rows["predictions"], told.waiting.total) == (10, 0)
    assert not [name for name in told.files if name.startswith("spool/")]


def test_what_a_worker_is_about_to_append_is_left_out_of_the_copy(house: House) -> None:
    house.answers(0, 2)
    (path,) = segments(house.place.spool_dir)
    with path.open("ab") as file:
        file.write(b"\xc1TF1\xff\x00")  # the beginning of a frame, by a writer that lives
    assert house.backup().waiting.predictions == 2
    place = house.restore()
    assert house.ship(place) == 2
    with Store(place.store_url).read() as conn:
        assert events.newest(conn, None, kind="log") == []


def test_the_old_controller_s_lease_does_not_hold_the_new_one_up(house: House) -> None:
    held = lease.acquire(house.shop.night.store, "controller", "old", ttl=3600, now=time.time())
    assert held is not None
    house.backup()
    place = house.restore()
    store = open_store(place.store_url)
    fresh = lease.acquire(store, "controller", "new", ttl=60, now=time.time())
    assert fresh is not None
    assert fresh.token > held.token
    store.close()


# where it goes


def test_a_place_that_holds_something_is_named_and_left_alone(house: House) -> None:
    house.backup()
    place = house.restore()
    before = house.rows(place)
    message = failed(treadle("restore", house.copy, "--into", place.root), "Nothing was restored", str(place.home), "state.db")
    assert "rows of the table events" in message
    assert house.rows(place) == before


def test_a_project_that_is_the_same_stays_and_one_that_differs_is_named(house: House) -> None:
    house.backup()
    shutil.copytree(house.place.projects_dir, house.elsewhere / "projects")
    (house.elsewhere / MARKER).write_text("offline = true\n")
    other = house.elsewhere / "projects" / "churn" / "model.py"
    was = other.read_text()
    other.write_text("changed = True\n")
    failed(treadle("restore", house.copy, "--into", house.elsewhere), "churn", "model.py")
    assert not (house.elsewhere / ".treadle").exists()
    other.write_text(was)
    assert "Kept: the project churn" in treadle("restore", house.copy, "--into", house.elsewhere).out


@pytest.mark.parametrize(("taken", "reason"), [("file", "a file of this name"), ("folder", "something already"), ("backup", "a backup of")])
def test_a_backup_goes_nowhere_where_something_is(house: House, taken: str, reason: str) -> None:
    house.copy.parent.mkdir(parents=True)
    if taken == "file":
        house.copy.write_text("mine")
    else:
        house.copy.mkdir()
        (house.copy / ("manifest.json" if taken == "backup" else "mine")).write_text("mine")
    failed(treadle("backup", house.copy), reason)
    assert list(house.copy.parent.iterdir()) == [house.copy]


@pytest.mark.parametrize("inside", [".treadle/copy", "projects/copy"])
def test_a_backup_does_not_go_into_what_it_copies(house: House, inside: str) -> None:
    failed(treadle("backup", house.place.root / inside), "which is copied")


# what is wrong with it


def test_a_damaged_backup_is_refused_by_the_name_of_each_file(house: House) -> None:
    told = house.backup()
    name = next(name for name in told.files if name.endswith("model.onnx"))
    content = bytearray((house.copy / name).read_bytes())
    content[0] ^= 0xFF
    (house.copy / name).write_bytes(content)
    (house.copy / "audit" / "key").unlink()
    done = treadle("restore", house.copy, "--into", house.elsewhere)
    assert done.code == 3
    assert name in done.err
    assert "audit/key: No such file" in done.err
    assert not house.elsewhere.exists()


def test_a_manifest_that_was_edited_is_found(house: House) -> None:
    house.backup()
    path = house.copy / "manifest.json"
    told = json.loads(path.read_text())
    told["rows"]["predictions"] += 1
    path.write_text(json.dumps(told))
    done = treadle("restore", house.copy, "--into", house.elsewhere)
    assert done.code == 3
    assert "manifest.json: it has been changed" in done.err


@pytest.mark.parametrize(("changed", "what"), [({"format": 2}, "format 2"), ({"revision": "9999"}, "revision 9999")])
def test_a_backup_of_a_newer_treadle_is_refused_by_name(house: House, changed: dict[str, Any], what: str) -> None:
    told = msgspec.structs.replace(house.backup(), **changed).sealed()
    (house.copy / "manifest.json").write_bytes(told.to_bytes())
    failed(treadle("restore", house.copy, "--into", house.elsewhere), "newer than this Treadle", what)


def test_a_folder_that_is_no_backup_is_named(house: House, tmp_path: Path) -> None:
    failed(treadle("restore", tmp_path / "nothing", "--into", house.elsewhere), "is no backup")


def test_a_missing_bundle_with_a_role_ends_the_backup_and_leaves_nothing(house: House) -> None:
    shutil.rmtree(house.place.bundle_dir / house.digest)
    failed(treadle("backup", house.copy), house.digest)
    assert list(house.copy.parent.iterdir()) == []


def test_a_damaged_bundle_without_a_role_is_told_and_does_not_end_the_backup(house: House) -> None:
    path = house.place.bundle_dir / house.shop.digest(3) / "model.onnx"
    path.write_bytes(b"no graph")
    done = treadle("backup", house.copy)
    assert done.code == 0
    assert "Damaged already" in done.out
    assert house.shop.digest(3) in done.out


def test_a_record_that_was_in_trouble_is_restored_as_it_is(house: House) -> None:
    with closing(sqlite3.connect(house.place.home / "state.db")) as conn:
        conn.execute("UPDATE events SET actor = 'nobody' WHERE seq = 2")
        conn.commit()
    assert "in trouble" in treadle("backup", house.copy).out
    assert "in trouble" in treadle("restore", house.copy, "--into", house.elsewhere).out


# secrets


def test_only_its_owner_can_read_a_backup_and_no_password_stands_in_it(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert treadle("keys", "create", "ada", "--role", "admin").code == 0
    # A database that only the settings name: the store itself is another one.
    (house.place.root / MARKER).write_text('# mine\noffline = true\nstore_url = "postgresql://me:hunter2secret@127.0.0.1:1/x"\n')
    monkeypatch.setenv("TREADLE_STORE_URL", f"sqlite:///{house.place.home / 'state.db'}")
    told = house.backup()
    assert stat.S_IMODE(house.copy.stat().st_mode) == 0o700
    for name in ("audit/key", "audit/heads.jsonl", "keys.json"):
        assert stat.S_IMODE((house.copy / name).stat().st_mode) == 0o600
    assert (house.copy / MARKER).read_text() == 'offline = true\nstore_url = "postgresql://me:***@127.0.0.1:1/x"\n'
    assert [name for name in [*told.files, "manifest.json"] if b"hunter2secret" in (house.copy / name).read_bytes()] == []
    monkeypatch.setenv("TREADLE_STORE_URL", f"sqlite:///{tmp_path / 'new' / 'state.db'}")
    place = house.restore()
    assert stat.S_IMODE((place.home / "audit" / "key").stat().st_mode) == 0o600


# a full disk, and kills

SMALL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["treadle", *sys.argv[2:]]
from treadle.cli.main import main
main()
"""


@pytest.mark.parametrize("answers", [0, 1500])
def test_a_disk_without_room_is_told_and_nothing_is_left(house: House, answers: int) -> None:
    house.answers(0, answers)  # without them MLflow's database is what does not fit, with them the state's
    house.ship()
    command = [sys.executable, "-c", SMALL_DISK, "400000", "backup", str(house.copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=house.place.root)
    assert done.returncode == 1
    assert f"The backup at {house.copy} could not be finished" in done.stderr
    assert list(house.copy.parent.iterdir()) == []


def test_a_killed_backup_leaves_nothing_that_looks_like_one_and_the_next_clears_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from treadle.recovery import backup

    with monkeypatch.context() as patch:
        patch.setattr(backup, "remove", lambda _: None)  # a kill clears nothing up
        patch.setattr(backup, "sync_all", _killed)
        with pytest.raises(KeyboardInterrupt):
            api.backup(house.copy)
    assert not house.copy.exists()
    assert [path.name for path in house.copy.parent.iterdir()] == [".monday.unfinished"]
    house.backup()
    assert [path.name for path in house.copy.parent.iterdir()] == ["monday"]


def test_a_collection_waits_for_a_backup(house: House) -> None:
    command = [sys.executable, "-m", "treadle.cli.main", "gc"]
    with uncollected(house.place.home):
        process = subprocess.Popen(command, cwd=house.place.root, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=6)
    assert process.wait(timeout=60) == 0


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


# a place that hosts share


def test_what_is_only_in_the_place_that_hosts_share_is_in_the_backup_and_is_shared_again(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("shared", "new"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TREADLE_REMOTE_URL", (tmp_path / "shared").as_uri())
    place = Workspace.find(house.place.root)
    BundlePlace.of(place).share(house.digest)
    shutil.rmtree(place.bundle_dir / house.digest)
    house.backup()
    monkeypatch.setenv("TREADLE_REMOTE_URL", (tmp_path / "new").as_uri())
    there = house.restore()
    assert BundlePlace(there.bundle_dir).has(house.digest)
    assert house.digest in BundlePlace.of(there).digests_shared()
