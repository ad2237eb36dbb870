"""A workspace whose spool has a writer, carried away and laid out elsewhere."""

import time
from pathlib import Path
from typing import Any

from tests.integration.retention.conftest import Shop
from tests.shell import treadle
from treadle.bundle.place import BundlePlace
from treadle.recovery import manifest
from treadle.serving.records import LabelRecord, PredictionRecord, Record
from treadle.serving.shipper import Shipper
from treadle.serving.spool import SpoolWriter
from treadle.settings import Workspace
from treadle.state import heads
from treadle.state.schema import metadata
from treadle.state.store import Store, open_store


def prediction(number: int, digest: str = "d" * 64) -> PredictionRecord:
    return PredictionRecord(
        prediction_id=f"p{number}",
        model="churn",
        version=5,
        digest=digest,
        generation=4,
        role="champion",
        at=1_800_000_000.0 + number,
        seconds=0.001,
        row=bytes(8),
        scores=bytes(8),
        answer=f'{{"n":{number}}}',
    )


def label(number: int) -> LabelRecord:
    return LabelRecord(f"l{number}", "churn", "yes", 1_800_000_001.0, 1_800_000_002.0, prediction_id=f"p{number}")


class House:
    """The stocked workspace with a spool that has a writer, and the copy of it."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop = shop
        self.place = shop.night.workspace
        heads.sign(shop.night.store, self.place.home, at=time.time(), before=0)
        self.digest = shop.digest(5)
        self.writer = SpoolWriter(self.place.spool_dir, segment_bytes=1_000_000)
        self.copy = folder / "safe" / "monday"
        self.elsewhere = folder / "elsewhere"

    def append(self, *records: Record) -> None:
        self.writer.append(records)

    def answers(self, begin: int, end: int) -> None:
        for number in range(begin, end):
            self.append(prediction(number, self.digest))

    def ship(self, place: Workspace | None = None, *, once: bool = False) -> int:
        where = place or self.place
        store = open_store(where.store_url)
        shipper = Shipper(store, where.spool_dir, BundlePlace(where.bundle_dir), bucket_seconds=60)
        shipped = shipper.step()
        while not once and (more := shipper.step()):
            shipped += more
        store.close()
        return shipped

    def backup(self) -> manifest.Manifest:
        done = treadle("backup", self.copy)
        assert done.code == 0, done
        return manifest.read(self.copy)

    def restore(self, into: Path | None = None) -> Workspace:
        into = into or self.elsewhere
        done = treadle("restore", self.copy, "--into", into)
        assert done.code == 0, done
        return Workspace.find(into)

    def rows(self, place: Workspace) -> dict[str, list[tuple[Any, ...]]]:
        return rows(place.store_url)


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the state, but for the leases and for what is told only after a copy."""
    store = Store(url)
    with store.read() as conn:
        found = {
            table.name: sorted((tuple(row) for row in conn.execute(table.select())), key=repr)
            for table in metadata.sorted_tables
            if table.name != "leases"
        }
    store.close()
    found["events"] = [row for row in found["events"] if not row[2].startswith(("backup.",))]
    return found
