"""What is true of SQLite and of URLs alone."""

import os
from pathlib import Path

import pytest
from sqlalchemy import insert

from treadle.errors import StoreUnavailable
from treadle.state import schema
from treadle.state import store as store_module
from treadle.state.store import Store, open_store


def test_a_commit_survives_the_process_and_readers_do_not_block(store: Store) -> None:
    with store.write() as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_flush_brings_the_journal_to_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    with store.write() as conn:
        conn.execute(insert(schema.leases).values(name="a", holder="me", token=1, expires=0.0))
    store.flush()
    assert synced == ["state.db-wal"]


def test_a_flush_without_a_journal_has_nothing_to_do(store: Store) -> None:
    store.close()
    store.flush()


def test_a_flush_that_fails_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(5, "broken disk")

    monkeypatch.setattr(os, "fsync", refuse)
    with store.write() as conn:
        conn.execute(insert(schema.leases).values(name="a", holder="me", token=1, expires=0.0))
    with pytest.raises(StoreUnavailable, match="broken disk"):
        store.flush()


def test_a_writer_that_waits_too_long_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.01)
    hasty = Store(store.url)
    with store.write() as conn:
        conn.execute(insert(schema.leases).values(name="a", holder="me", token=1, expires=0.0))
        with pytest.raises(StoreUnavailable, match="locked"), hasty.write():
            pytest.fail("two writers at once")
    hasty.close()


def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path / 'deep' / 'er' / 'state.db'}").close()
    assert (tmp_path / "deep" / "er" / "state.db").is_file()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match=r"file/state\.db"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'state.db'}")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailable, match="not a database") as caught:
        open_store(f"sqlite:///{tmp_path / 'state.db'}")
    assert str(tmp_path / "state.db") in caught.value.what
    assert caught.value.fix.endswith("`treadle restore BACKUP --into FOLDER`.")


def test_a_server_that_is_away_is_told_without_the_password() -> None:
    store = Store("postgresql://me:secret@127.0.0.1:1/treadle")
    with pytest.raises(StoreUnavailable) as caught, store.read():
        pytest.fail("connected")
    assert "me:***@127.0.0.1:1/treadle" in str(caught.value)
    assert "secret" not in str(caught.value)
    store.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://me:secret@host/db", "mysql is not among"),
        ("me:secret@host", "parse"),
        ("nothing://me:secret@host/db", "nothing is not among"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_the_password(url: str, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told) as caught:
        Store(url)
    assert "secret" not in str(caught.value)
