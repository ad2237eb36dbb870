"""What `treadle gc` takes from a place that hosts share, and what it leaves there."""

from pathlib import Path

import pytest

from tests import small_bundles
from tests.integration.retention.conftest import Shop
from treadle.bundle.place import BundlePlace
from treadle.bundle.remote import Remote
from treadle.data.snapshot import SnapshotPlace
from treadle.errors import RemoteUnavailable
from treadle.retention.inventory import Ground

pytestmark = pytest.mark.integration


def share(shop: Shop, folder: Path) -> None:
    """Let the workspace of a shop share all that it has."""
    ground = shop.ground
    ground.bundles.remote, ground.snapshots.remote = Remote(f"file://{folder}/bundles"), Remote(f"file://{folder}/snapshots")
    for digest in ground.bundles.digests():
        ground.bundles.share(digest)
    for digest in shop.snapshots.values():
        frame, meta = ground.snapshots.load("churn", digest)
        ground.snapshots.save("churn", frame, meta)


def test_what_goes_goes_from_the_shared_place_too_but_for_what_another_workspace_may_use(stocked: Shop, tmp_path: Path) -> None:
    share(stocked, tmp_path)
    bundles, snapshots = stocked.ground.bundles, stocked.ground.snapshots
    before = set(bundles.digests())
    foreign = small_bundles.put(tmp_path / "foreign", small_bundles.answering(9.0))
    BundlePlace(tmp_path / "elsewhere", bundles.remote).put(foreign.files, "churn", foreign.manifest.lineage)

    swept = stocked.gc().swept

    assert swept is not None
    assert swept.counts["bundle"] > 0
    assert bundles.digests_shared() < before | {foreign.digest}
    assert bundles.digests_shared() == set(bundles.digests()) >= {foreign.digest}
    empty, rows = BundlePlace(tmp_path / "empty", bundles.remote), SnapshotPlace(tmp_path / "rows", snapshots.remote)
    assert {empty.get(digest).manifest.model for digest in empty.digests()} == {"churn"}
    assert {one.digest for one in rows.list("churn")} == {one.digest for one in snapshots.list("churn")} < set(stocked.snapshots.values())
    assert stocked.gc().swept is not None, "again, with nothing left to do"


def test_a_host_with_an_empty_cache_takes_nothing_for_old(stocked: Shop, tmp_path: Path) -> None:
    share(stocked, tmp_path)
    ground = Ground(stocked.night.workspace, stocked.night.store)
    ground.bundles = BundlePlace(tmp_path / "empty", stocked.ground.bundles.remote)
    ground.snapshots = SnapshotPlace(tmp_path / "rows", stocked.ground.snapshots.remote)
    for digest in stocked.ground.bundles.digests():
        there = ground.bundles.made(digest)
        assert there >= stocked.ground.bundles.made(digest) > 0
        ground.bundles.get(digest)
        assert ground.bundles.made(digest) == pytest.approx(there, abs=0.01)


def test_a_shared_place_that_is_away_ends_the_collection_and_nothing_goes(stocked: Shop, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    share(stocked, tmp_path / "mount")
    before = stocked.versions()
    (tmp_path / "mount").rename(tmp_path / "unmounted")
    with pytest.raises(RemoteUnavailable, match="there is no folder"):
        stocked.gc()
    assert stocked.versions() == before
