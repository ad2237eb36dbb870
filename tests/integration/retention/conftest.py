"""A workspace with planted versions, as the tests of the controller have it, looked at half a year later."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests import small_bundles
from tests.integration.retraining.conftest import Night, empty_mlflow, night, workspace, write_project
from treadle.retention.collection import Collected, collect
from treadle.retention.inventory import Ground
from treadle.settings import MARKER, Workspace
from treadle.state import deployments
from treadle.state.deployments import Slot

__all__ = ["empty_mlflow", "night", "workspace"]

LATER = 200 * 86400.0
RETENTION = {"versions": 1, "generations": 2}


class Shop:
    """Versions and snapshots of churn, and the collection that clears up among them."""

    def __init__(self, night: Night, snapshots: dict[int, str] | None = None) -> None:
        self.night = night
        write_project(night.workspace, retention=RETENTION)
        self.ground = Ground(night.workspace, night.store)
        self.snapshots = snapshots if snapshots is not None else {}

    def version(self) -> int:
        """Plant a version that was made from a snapshot of its own."""
        number = len(self.snapshots) + 1
        frame = pd.DataFrame({"tenure": [float(number)], "spend": [2.0], "customer": ["known"], "left": ["yes"]})
        kept = self.night.snapshots.save("churn", frame, {"source": "log"})
        self.night._trained_on["churn"] = kept.digest, kept.dvc_md5  # noqa: SLF001 -- a planted version of other rows
        made = self.night.register(small_bundles.answering(lean=number / 10))
        self.snapshots[made] = kept.digest
        return made

    def digest(self, version: int) -> str:
        return self.night.tracking.version("churn", version).digest

    def canary(self, version: int) -> None:
        with self.night.store.write() as conn:
            present = deployments.require(conn, "churn")
            slots = deployments.with_canary(present, version, self.digest(version), 0.1)
            deployments.insert(conn, "churn", expected=present.generation, slots=slots, reason="a person", at=1.0)

    def gc(self, **how: object) -> Collected:
        return collect(self.ground, clock=later, rest=lambda _: None, **how)  # type: ignore[arg-type]

    def versions(self) -> list[int]:
        return [one.version for one in self.night.tracking.versions("churn")]

    def whole(self) -> bool:
        """Tell whether nothing names what is gone: versions and roles their bundles, and bundles their snapshots."""
        bundles = set(self.night.bundles.digests())
        snapshots = {one.dvc_md5 for one in self.night.snapshots.list("churn")}
        with self.night.store.read() as conn:
            slots: tuple[Slot, ...] = deployments.require(conn, "churn").slots
        named = {one.digest for one in self.night.tracking.versions("churn")} | {slot.digest for slot in slots}
        return named <= bundles and all(self.night.bundles.listing(digest).lineage.snapshot in snapshots for digest in bundles)


def later() -> float:
    return time.time() + LATER


@pytest.fixture(scope="session")
def stocked_home(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Path, dict[int, str]]:
    """Return a home folder with six versions, and each one's snapshot: 5 is champion, 4, 2 and 1 were it before."""
    root = tmp_path_factory.mktemp("stocked")
    (root / MARKER).write_text("offline = true\n")
    place = Workspace.find(root)
    write_project(place)
    place.home.mkdir()
    shutil.copy(empty_mlflow, place.home)
    night = Night(place)
    shop = Shop(night)
    for number in range(1, 7):
        assert shop.version() == number
    for version in (1, 2, 4, 5):
        night.promote(version)
    night.close()
    return place.home, shop.snapshots


@pytest.fixture
def stocked(workspace: Workspace, stocked_home: tuple[Path, dict[int, str]]) -> Iterator[Shop]:
    home, snapshots = stocked_home
    shutil.rmtree(workspace.home)
    shutil.copytree(home, workspace.home)
    night = Night(workspace)
    yield Shop(night, dict(snapshots))
    night.close()
