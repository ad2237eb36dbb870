"""Whatever happens to writers, shipper and store in whatever order: each record that was appended arrives exactly once."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from tests.unit.serving.sealed import seal
from treadle.bundle.place import BundlePlace
from treadle.errors import StoreUnavailable
from treadle.serving.records import LabelRecord, PredictionRecord
from treadle.serving.shipper import Shipper
from treadle.serving.spool import SpoolWriter, frame, salt_of, segments
from treadle.state.schema import labels, predictions, profile_parts
from treadle.state.store import Store, open_store

ROW, SCORES = np.array([1, 2], dtype="<f4").tobytes(), np.array([0.25, 0.75], dtype="<f4").tobytes()

acts = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.sampled_from(["close", "die"]), st.integers(0, 1)),
        st.tuples(st.sampled_from(["ship", "restart", "fail", "commit and lose the answer"])),
    ),
    max_size=25,
)


class Unsteady(Store):
    """A store whose next transaction can be made to fail: rolled back, or committed although the caller is told that it was not."""

    fault = ""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        fault, Unsteady.fault = Unsteady.fault, ""
        with super().write() as conn:
            yield conn
            if fault == "fail":
                raise StoreUnavailable(self.url, "a test")
        if fault:
            raise StoreUnavailable(self.url, "a test")


class Spool:
    """Two writers, a shipper, and what was appended."""

    def __init__(self, folder: Path, empty: Path, bundles: BundlePlace, digest: str) -> None:
        shutil.copy(empty, folder / "state.db")
        self.folder, self._bundles, self._digest = folder / "spool", bundles, digest
        self.store = Unsteady(f"sqlite:///{folder / 'state.db'}")
        self.appended: list[str] = []
        self._writers = [self._writer(), self._writer()]
        self.restart()

    def _writer(self) -> SpoolWriter:
        return SpoolWriter(self.folder, segment_bytes=400)

    def append(self, which: int, count: int) -> None:
        new = [f"p{len(self.appended) + number}" for number in range(count)]
        self._writers[which].append([record for name in new for record in self._records(name)])
        self.appended += new

    def _records(self, name: str) -> tuple[PredictionRecord, LabelRecord]:
        made = PredictionRecord(name, "toy", 1, self._digest, 1, "champion", float(len(name)), 0.001, ROW, SCORES, "{}")
        return made, LabelRecord(f"l{name}", "toy", "no", 1.0, 2.0, prediction_id=name)

    def close(self, which: int) -> None:
        self._writers[which].close()

    def die(self, which: int) -> None:
        """Die in the middle of an append: half a frame stands at the end of the segment."""
        writer = self._writers[which]
        if writer._fd is not None:  # noqa: SLF001 - what a process that is killed leaves behind
            torn = frame(list(self._records("torn")), salt_of(writer._path))  # noqa: SLF001 - as above
            os.write(writer._fd, torn[: len(torn) // 2])  # noqa: SLF001 - as above
        writer.close()
        self._writers[which] = self._writer()

    def ship(self) -> int:
        return self._shipper.step()

    def restart(self) -> None:
        self._shipper = Shipper(self.store, self.folder, self._bundles, bucket_seconds=60, clock=lambda: 10.0)

    def stumble(self, how: str) -> None:
        Unsteady.fault = how
        try:
            self.ship()
        except StoreUnavailable:
            pass
        finally:
            Unsteady.fault = ""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "state.db"
    store = open_store(f"sqlite:///{path}")
    store.compact()
    store.close()
    return path


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[BundlePlace, str]:
    place = BundlePlace(tmp_path_factory.mktemp("bundles"))
    return place, seal(place).digest


def everything(store: Store) -> tuple[list[str], list[str], int]:
    with store.read() as conn:
        rows: Any = conn.execute(select(predictions.c.prediction_id)).scalars()
        told: Any = conn.execute(select(labels.c.prediction_id)).scalars()
        return sorted(rows), sorted(told), conn.execute(select(func.coalesce(func.sum(profile_parts.c.rows), 0))).scalar_one()


@given(acts)
def test_each_record_arrives_exactly_once(empty: Path, sealed: tuple[BundlePlace, str], done: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), empty, *sealed)
        for what, *how in done:
            if what in {"fail", "commit and lose the answer"}:
                spool.stumble(what)
            else:
                getattr(spool, what)(*how)
        for which in (0, 1):
            spool.close(which)
        spool.restart()
        while spool.ship():
            pass
        while segments(spool.folder):
            spool.ship()
        names = sorted(spool.appended)
        assert everything(spool.store) == (names, names, len(names))
        spool.store.close()
