import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import select

from tests.unit.serving.sealed import seal
from treadle.bundle.place import Bundle, BundlePlace
from treadle.errors import StoreUnavailable
from treadle.serving import shipper as shipping
from treadle.serving.records import EventRecord, LabelRecord, PredictionRecord
from treadle.serving.shipper import BITE, GATHER, Shipper
from treadle.serving.spool import SpoolWriter, frame, salt_of, segments
from treadle.settings import Workspace
from treadle.state import events, log
from treadle.state.schema import predictions
from treadle.state.schema import segments as segments_table
from treadle.state.store import Store, open_store

BUCKET = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield store
    store.close()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return seal(BundlePlace(tmp_path / "bundles"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def writer(spool: Path) -> Iterator[SpoolWriter]:
    writer = SpoolWriter(spool, segment_bytes=1 << 20)
    yield writer
    writer.close()


@pytest.fixture
def shipper(store: Store, spool: Path, tmp_path: Path) -> Shipper:
    return Shipper(store, spool, BundlePlace(tmp_path / "bundles"), bucket_seconds=BUCKET, clock=lambda: 5000.0)


def prediction(number: int, bundle: Bundle, *, at: float = 100.0, status: str = "ok", **more: object) -> PredictionRecord:
    row, scores = np.array([number % 7, number % 3], dtype="<f4"), np.array([0.25, 0.75], dtype="<f4")
    kept = (row.tobytes(), scores.tobytes(), '{"prediction": "yes"}') if status == "ok" else (row.tobytes(), b"", "")
    record = PredictionRecord(f"p{number:06}", "toy", 1, bundle.digest, 3, "champion", at, 0.002, *kept, status=status)
    return msgspec.structs.replace(record, **more)


def ids(store: Store) -> list[str]:
    with store.read() as conn:
        return list(conn.execute(select(predictions.c.prediction_id).order_by(predictions.c.prediction_id)).scalars())


def told(store: Store) -> list[events.Event]:
    with store.read() as conn:
        return events.after(conn, 0)


def ship_all(shipper: Shipper) -> int:
    shipped = 0
    while step := shipper.step():
        shipped += step
    return shipped


def test_every_record_arrives_in_the_store_as_it_was_written(store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle) -> None:
    first = prediction(1, bundle, request_id="r-1", entity="e-1", fallback=True)
    writer.append([first, prediction(2, bundle, status="failed", error="it broke")])
    writer.append(
        [LabelRecord("l-1", "toy", "no", 105.0, 106.0, request_id="r-1"), EventRecord("bundle.refused", "toy", {"digest": "d"}, 7.0)]
    )
    assert shipper.step() == 4
    with store.read() as conn:
        rows = [dict(row) for row in conn.execute(select(predictions).order_by(predictions.c.prediction_id)).mappings()]
        assert log.totals(conn, "toy") == {"rows": 2, "failed": 1, "labels": 1, "orphans": 1}
    assert rows[0] == msgspec.structs.asdict(first)
    assert rows[1]["error"] == "it broke"
    event = told(store)[0]
    assert (event.kind, event.model, event.actor, event.at, event.data) == ("bundle.refused", "toy", "worker", 7.0, {"digest": "d"})
    assert shipper.step() == 0


def test_a_full_segment_goes_when_its_writer_has_gone(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, spool: Path
) -> None:
    writer.append([prediction(1, bundle)])
    (path,) = segments(spool)
    assert shipper.step() == 1
    assert shipper.step() == 0
    assert segments(spool) == [path]
    writer.append([prediction(2, bundle)])
    writer.close()
    assert ship_all(shipper) == 1
    assert segments(spool) == []
    with store.read() as conn:
        assert conn.execute(select(segments_table.c.segment, segments_table.c.sealed)).all() == [(path.stem, True)]


def test_what_was_shipped_is_on_the_disk_before_the_segment_goes(
    store: Store, shipper: Shipper, bundle: Bundle, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _segment(spool, [[prediction(1, bundle)]])
    flushed = []
    monkeypatch.setattr(store, "flush", lambda: flushed.append(path.exists()))
    ship_all(shipper)
    assert flushed == [True]
    assert not path.exists()


def test_a_segment_that_was_shipped_but_not_removed_is_removed(
    store: Store, shipper: Shipper, bundle: Bundle, spool: Path, tmp_path: Path
) -> None:
    path = _segment(spool, [[prediction(1, bundle)]])
    content = path.read_bytes()
    ship_all(shipper)
    path.write_bytes(content)
    again = Shipper(store, spool, BundlePlace(tmp_path / "bundles"), bucket_seconds=BUCKET)
    assert ship_all(again) == 0
    assert ids(store) == ["p000001"]
    assert segments(spool) == []


def test_a_bite_is_small_and_nothing_is_left_behind(store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle) -> None:
    for number in range(0, 2 * BITE + 10, 10):
        writer.append([prediction(each, bundle) for each in range(number, number + 10)])
    assert [shipper.step() for _ in range(4)] == [BITE, BITE, 10, 0]
    assert len(ids(store)) == 2 * BITE + 10


def test_a_frame_that_is_larger_than_a_chunk_arrives(store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle) -> None:
    writer.append([prediction(each, bundle, answer="x" * 900) for each in range(1000)])
    writer.append([prediction(1001, bundle)])
    assert ship_all(shipper) == 1001
    assert len(ids(store)) == 1001


def test_the_profile_is_counted_by_bucket_over_answered_rows(store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle) -> None:
    records = [prediction(number, bundle, at=float(number)) for number in range(100)]
    writer.append([*records, prediction(100, bundle, status="failed", error="no")])
    for number in range(100, 150):
        writer.append([prediction(number + 1, bundle, at=float(number))])
        shipper.step()
    layout = bundle.profile.layout
    rows = np.array([[number % 7, number % 3] for number in [*range(100), *range(101, 151)]], dtype=np.float32)
    whole = layout.count(rows, np.tile(np.array([0.25, 0.75], dtype=np.float32), (150, 1)))
    with store.read() as conn:
        found = log.counts(conn, "toy", 1, bundle.profile.digest, since=0, until=1e9)
        first = log.counts(conn, "toy", 1, bundle.profile.digest, since=0, until=60)
    assert found is not None
    assert first is not None
    assert found.tolist() == whole.tolist()
    assert first[: layout.columns[0].slots].sum() == 60


@pytest.mark.parametrize("digest", ["f" * 64, "no digest"])
def test_rows_of_a_bundle_that_cannot_be_read_are_logged_and_an_event_tells(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, digest: str
) -> None:
    writer.append([prediction(1, bundle, digest=digest), prediction(2, bundle)])
    assert ship_all(shipper) == 2
    assert ids(store) == ["p000001", "p000002"]
    (event,) = told(store)
    assert event.kind == "profile.uncounted"
    assert event.data["rows"] == 1
    assert digest in event.data["reason"]


def test_rows_of_another_shape_than_the_profile_are_logged_and_an_event_tells(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle
) -> None:
    writer.append([prediction(1, bundle, row=b"\0" * 12), prediction(2, bundle, at=200.0)])
    ship_all(shipper)
    assert ids(store) == ["p000001", "p000002"]
    assert [event.kind for event in told(store)] == ["profile.uncounted"]


def _segment(spool: Path, batches: list[list[object]]) -> Path:
    """Write a segment whose writer has died."""
    spool.mkdir(exist_ok=True)
    path = spool / "2b0a3e1c.seg"
    path.write_bytes(b"".join(frame(batch, salt_of(path)) for batch in batches))  # type: ignore[arg-type]
    return path


def test_damage_in_the_middle_is_kept_and_the_rest_shipped(store: Store, shipper: Shipper, bundle: Bundle, spool: Path) -> None:
    path = _segment(spool, [[prediction(number, bundle)] for number in range(3)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert ship_all(shipper) == 3
    assert ids(store) == ["p000000", "p000002"]
    assert (spool / "quarantine" / path.name).read_bytes() == content
    assert segments(spool) == []
    (event,) = told(store)
    third = len(content) // 3
    assert (event.kind, event.data) == ("log.damaged", {"segment": path.stem, "start": 0, "from": third, "to": 2 * third})


@pytest.mark.parametrize("cut", [1, 11, 13])
def test_a_torn_tail_ends_a_dead_writers_segment_and_is_kept(store: Store, shipper: Shipper, bundle: Bundle, spool: Path, cut: int) -> None:
    path = _segment(spool, [[prediction(1, bundle)]])
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(frame([prediction(2, bundle)], salt_of(path)))[:cut])
    ship_all(shipper)
    assert ids(store) == ["p000001"]
    assert segments(spool) == []
    assert len((spool / "quarantine" / path.name).read_bytes()) == len(whole) + cut
    assert told(store)[0].data == {"segment": path.stem, "start": 0, "from": len(whole), "to": len(whole) + cut}


def test_a_torn_tail_waits_while_its_writer_lives(store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, spool: Path) -> None:
    writer.append([prediction(1, bundle)])
    (path,) = segments(spool)
    tail = bytes(frame([prediction(2, bundle)], salt_of(path)))
    with path.open("ab") as file:
        file.write(tail[:30])
        file.flush()
        assert ship_all(shipper) == 1
        file.write(tail[30:])
    assert ship_all(shipper) == 1
    assert ids(store) == ["p000001", "p000002"]
    assert told(store) == []


def test_records_that_are_not_understood_are_kept(store: Store, shipper: Shipper, bundle: Bundle, spool: Path) -> None:
    path = _segment(spool, [[prediction(1, bundle), ["shadow", 1]]])
    ship_all(shipper)
    assert ids(store) == ["p000001"]
    assert (spool / "quarantine" / path.name).exists()
    assert [(event.kind, event.data["records"]) for event in told(store)] == [("log.unknown", 1)]


def test_what_the_store_refuses_is_kept_and_the_rest_shipped_once(store: Store, shipper: Shipper, bundle: Bundle, spool: Path) -> None:
    endless = EventRecord("odd", None, {"value": float("nan")}, 1.0)
    path = _segment(spool, [[prediction(1, bundle), endless, LabelRecord("l", "toy", "no", 1.0, 2.0, entity="e")], [prediction(2, bundle)]])
    ship_all(shipper)
    assert ids(store) == ["p000001", "p000002"]
    assert [(event.kind, event.data["number"]) for event in told(store)] == [("log.refused", 1)]
    assert (spool / "quarantine" / path.name).exists()
    with store.read() as conn:
        assert log.totals(conn, "toy")["labels"] == 1
        counted = log.counts(conn, "toy", 1, bundle.profile.digest, since=0, until=1e9)
        events.verify(conn)
    assert counted is not None
    assert counted[: bundle.profile.layout.columns[0].slots].sum() == 2


def test_a_segment_that_cannot_be_read_holds_up_no_other_and_is_told_once(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable = spool / "0000.seg"
    unreadable.mkdir(parents=True)
    writer.append([prediction(1, bundle)])
    assert ship_all(shipper) == 1
    writer.append([prediction(2, bundle)])
    assert ship_all(shipper) == 1
    assert ids(store) == ["p000001", "p000002"]
    assert caplog.text.count("0000.seg cannot be read") == 1

    unreadable.rmdir()
    _segment(spool, [[prediction(3, bundle)]]).rename(unreadable)
    unreadable.write_bytes(bytes(frame([prediction(3, bundle)], salt_of(unreadable))))
    ship_all(shipper)
    assert len(ids(store)) == 3


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_loses_no_row_and_the_chain_holds(
    store: Store, spool: Path, writer: SpoolWriter, bundle: Bundle, tmp_path: Path, jump: float
) -> None:
    clock = iter([5000.0, 5000.0 + jump, 5000.0])
    shipper = Shipper(store, spool, BundlePlace(tmp_path / "bundles"), bucket_seconds=BUCKET, clock=lambda: next(clock))
    for number, at in enumerate([5000.0, 5000.0 + jump, 5000.0]):
        writer.append([prediction(number, bundle, at=at), EventRecord("deployment.followed", "toy", {}, at)])
        assert shipper.step() == 2
    assert len(ids(store)) == 3
    with store.read() as conn:
        assert events.verify(conn) == 3
        counted = log.counts(conn, "toy", 1, bundle.profile.digest, since=0, until=1e9)
    assert counted is not None
    assert counted[: bundle.profile.layout.columns[0].slots].sum() == 3


def test_an_older_store_that_is_put_back_gets_what_it_lacks(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, tmp_path: Path
) -> None:
    writer.append([prediction(1, bundle)])
    shipper.step()
    store.close()
    database, copy = tmp_path / "state.db", tmp_path / "copy.db"
    shutil.copy(database, copy)
    writer.append([prediction(2, bundle)])
    shipper.step()
    store.close()
    database.write_bytes(os.urandom(database.stat().st_size))
    writer.append([prediction(3, bundle)])
    with pytest.raises(StoreUnavailable, match=re.escape(str(database))):
        shipper.step()
    store.close()

    copy.replace(database)
    assert shipper.step() == 2
    assert ids(store) == ["p000001", "p000002", "p000003"]


def test_while_the_store_is_away_nothing_is_lost(
    store: Store, shipper: Shipper, writer: SpoolWriter, bundle: Bundle, tmp_path: Path
) -> None:
    writer.append([prediction(1, bundle)])
    with store.write() as blocker, pytest.MonkeyPatch.context() as patch:
        # Another writer holds the database for longer than this one waits.
        patch.setattr("treadle.state.store.BUSY_SECONDS", 0)
        impatient = Shipper(Store(store.url), tmp_path / "spool", BundlePlace(tmp_path / "bundles"), bucket_seconds=BUCKET)
        with pytest.raises(StoreUnavailable):
            impatient.step()
        blocker.rollback()
    assert impatient.step() == 1
    assert ids(store) == ["p000001"]


class Waiting:
    """Stands in for the time between two bites: remembers the pauses, and stops after so many."""

    def __init__(self, rounds: int) -> None:
        self.pauses: list[float] = []
        self._rounds = rounds

    def __call__(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) > self._rounds


def test_it_waits_longer_and_longer_for_a_store_that_is_away(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    workspace.home.mkdir()
    (workspace.home / "state.db").mkdir()
    waiting = Waiting(7)
    shipping.run(workspace, waiting)
    assert waiting.pauses == [0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert "Nothing is lost" in caplog.text


def test_it_ships_full_bites_without_a_pause_and_lets_the_rest_gather(workspace: Workspace) -> None:
    writer = SpoolWriter(workspace.spool_dir, segment_bytes=1 << 20)
    bundle = seal(BundlePlace(workspace.bundle_dir))
    for number in range(BITE + 1):
        writer.append([prediction(number, bundle)])
    writer.close()
    waiting = Waiting(4)
    shipping.run(workspace, waiting)
    assert waiting.pauses == [0, 0, GATHER, 0.25, 0.25]
    store = open_store(workspace.store_url)
    assert len(ids(store)) == BITE + 1
    store.close()


def test_a_second_shipper_waits_for_the_first(workspace: Workspace) -> None:
    first_runs, first_may_end = threading.Event(), threading.Event()

    def hold(seconds: float) -> bool:
        first_runs.set()
        return first_may_end.wait(20)

    first = threading.Thread(target=shipping.run, args=(workspace, hold))
    first.start()
    first_runs.wait(20)
    second = Waiting(3)
    try:
        shipping.run(workspace, second)
        assert second.pauses == [0.25] * 4
        assert not (workspace.home / "state.db").exists()
    finally:
        first_may_end.set()
        first.join()
