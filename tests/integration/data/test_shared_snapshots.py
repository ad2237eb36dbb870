"""Snapshots in a place that hosts share: what one host saved another finds, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pandas import DataFrame

from tests.broken_remote import Gone
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import RemoteUnavailable, SnapshotCorrupt, SnapshotNotFound

pytestmark = pytest.mark.integration


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Gone]:
    yield Gone(f"memory://{tmp_path.name}/snapshots")
    MemoryFileSystem.store.clear()


@pytest.fixture
def first(tmp_path: Path, remote: Gone) -> SnapshotPlace:
    return SnapshotPlace(tmp_path / "first", remote)


@pytest.fixture
def second(tmp_path: Path, remote: Gone) -> SnapshotPlace:
    return SnapshotPlace(tmp_path / "second", remote)


def rows(seed: int = 0) -> DataFrame:
    return DataFrame({"number": np.random.default_rng(seed).normal(size=20)})


def test_what_one_host_saved_another_finds_loads_and_lists(first: SnapshotPlace, second: SnapshotPlace) -> None:
    saved = first.save("churn", rows(), {"turn": "1"})
    other = first.save("churn", rows(1), {"turn": "2"})

    frame, meta = second.load("churn", saved.digest)
    pd.testing.assert_frame_equal(frame, rows())
    assert meta == {"turn": "1"}
    assert [one.digest for one in second.list("churn")] == [saved.digest, other.digest]
    found = second.get("churn", other.digest)
    assert (found.dvc_md5, found.rows, found.meta) == (other.dvc_md5, 20, {"turn": "2"})
    assert not found.path.stat().st_mode & 0o222
    assert second.list("iris") == []
    assert second.leftovers() == []
    with pytest.raises(SnapshotNotFound, match="nor in the shared place memory://"):
        second.load("churn", "0" * 64)


def test_what_is_here_needs_no_shared_place(first: SnapshotPlace, second: SnapshotPlace, remote: Gone) -> None:
    saved = first.save("churn", rows(), {"turn": "1"})
    second.load("churn", saved.digest)
    remote.left = 0

    assert second.load("churn", saved.digest)[1] == {"turn": "1"}
    assert second.get("churn", saved.digest).digest == saved.digest
    assert second.find("churn", lambda one: one.meta["turn"] == "1") == second.get("churn", saved.digest)
    with pytest.raises(RemoteUnavailable):
        second.find("churn", lambda one: one.meta["turn"] == "2")
    with pytest.raises(RemoteUnavailable):
        second.list("churn")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_interrupted_upload_is_invisible_and_can_be_done_again(
    count: int, first: SnapshotPlace, second: SnapshotPlace, remote: Gone
) -> None:
    remote.left = count
    with pytest.raises(RemoteUnavailable):
        first.save("churn", rows(), {"turn": "1"})
    remote.left = 1_000
    assert second.list("churn") == []
    saved = first.save("churn", rows(), {"turn": "1"})
    assert [one.digest for one in second.list("churn")] == [saved.digest]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_interrupted_download_leaves_nothing(count: int, first: SnapshotPlace, second: SnapshotPlace, remote: Gone) -> None:
    saved = first.save("churn", rows(), {})
    remote.left = count - 1
    with pytest.raises(RemoteUnavailable):
        second.load("churn", saved.digest)
    assert not second.folder.exists() or not list(second.folder.rglob("*.parquet*"))


@pytest.mark.parametrize("ending", ["", ".dvc"])
def test_a_changed_object_is_refused_by_name_and_not_kept(ending: str, first: SnapshotPlace, second: SnapshotPlace, remote: Gone) -> None:
    saved = first.save("churn", rows(), {})
    name = f"churn/{saved.digest}.parquet{ending}"
    content = (remote.read(name) or b"").replace(saved.dvc_md5.encode(), b"0" * 32) if ending else b"other"
    remote.write(name, content)

    with pytest.raises(SnapshotCorrupt, match=f"memory://.*{saved.digest}"):
        second.load("churn", saved.digest)
    assert not list(second.folder.rglob("*.parquet*"))


def test_the_same_rows_saved_on_two_hosts_are_one(first: SnapshotPlace, second: SnapshotPlace) -> None:
    saved = first.save("churn", rows(), {"turn": "1"})
    again = second.save("churn", rows(), {"turn": "1"})
    assert (again.digest, again.dvc_md5) == (saved.digest, saved.dvc_md5)
    assert len(second.list("churn")) == 1


def test_a_snapshot_is_as_old_on_every_host(first: SnapshotPlace, second: SnapshotPlace, remote: Gone) -> None:
    saved = first.save("churn", rows(), {})
    second.load("churn", saved.digest)
    known = second.folder / "churn" / f"{saved.digest}.parquet.dvc"
    assert known.stat().st_mtime == pytest.approx(remote.made(f"churn/{known.name}"), abs=0.01)


def test_a_removed_snapshot_is_gone_from_the_shared_place(first: SnapshotPlace, second: SnapshotPlace, remote: Gone) -> None:
    saved = first.save("churn", rows(), {})
    with first.writing():
        first.remove("churn", saved.digest)
    assert remote.names() == []
    assert second.list("churn") == first.list("churn") == []
