import asyncio
import time
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle.bundle.place import BundlePlace
from treadle.errors import StoreUnavailable
from treadle.serving.backlog import LIGHT, LONGEST, Backlog, Pace, pause
from treadle.serving.inference import Asked, Inference
from treadle.serving.shipper import Shipper
from treadle.state.store import Store


@given(rows=st.integers(1, 1000), behind=st.floats(0, 1e6))
def test_a_batch_waits_in_proportion_and_never_long(rows: int, behind: float) -> None:
    seconds = pause(rows, behind)
    assert 0 <= seconds <= LONGEST
    assert (seconds == 0) == (behind <= LIGHT)
    assert seconds <= pause(rows, 2 * behind)
    assert pause(1000, behind) == min(max(behind - LIGHT, 0), LONGEST)


@given(steps=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 10)), min_size=1))
def test_a_pace_lies_between_the_slowest_and_the_fastest_step(steps: list[tuple[int, float]]) -> None:
    backlog, now = Backlog(), 0.0
    pace = Pace(backlog, timer=lambda: now)
    for size, seconds in steps:
        pace.begin()
        now += seconds
        pace.add(size)
        pace.end(1000)
    each = [seconds / size for size, seconds in steps if size] or [0.0]
    assert min(each) * 1000 == pytest.approx(min(backlog.seconds, min(each) * 1000))
    assert max(each) * 1000 == pytest.approx(max(backlog.seconds, max(each) * 1000))
    pace.stop()
    assert backlog.seconds == 0


def test_what_one_process_tells_the_other_sees(tmp_path: Path) -> None:
    shipper, worker = Backlog(tmp_path / "serving" / "backlog"), Backlog(tmp_path / "serving" / "backlog")
    assert (worker.seconds, worker.pause(1000)) == (0, 0)
    shipper.tell(0.25)
    assert worker.seconds == 0.25
    assert worker.pause(500) == pytest.approx(0.1)


def test_without_room_nobody_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "serving").write_text("no folder")
    assert Backlog(tmp_path / "serving" / "backlog").pause(1000) == 0
    assert "no batch waits for the shipper" in caplog.text


def test_the_shipper_tells_what_it_has_left_and_nothing_without_a_store(service: Service, tmp_path: Path) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    for _ in range(600):
        service.predict()
    backlog = Backlog(tmp_path / "backlog")
    ticks = count(step=0.5)
    shipper = Shipper(
        service.store,
        service.spool_folder,
        BundlePlace(service.bundles),
        bucket_seconds=60,
        pace=Pace(backlog, timer=lambda: next(ticks)),
    )

    assert shipper.step() == 500
    assert backlog.seconds == pytest.approx(0.1, rel=0.02)  # 100 rows are left, and 500 took half a second
    shipper.step()
    assert backlog.seconds == 0

    service.predict()
    nowhere = Store(f"sqlite:///{tmp_path / 'no' / 'state.db'}")
    away = Shipper(nowhere, service.spool_folder, BundlePlace(service.bundles), bucket_seconds=60, pace=Pace(backlog))
    backlog.tell(7)
    with pytest.raises(StoreUnavailable):
        away.step()
    assert backlog.seconds == 0


@pytest.mark.parametrize(("deadline", "slept"), [(None, 0.2), (0.1, 0.05)])
def test_a_batch_waits_but_never_for_all_of_its_time(
    service: Service, monkeypatch: pytest.MonkeyPatch, deadline: float | None, slept: float
) -> None:
    service.follow(service.slot(small_bundles.answering(), 1))
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    slow = Inference(service.spool, service._metrics, timer=time.perf_counter, pause=lambda rows: rows / 10)  # noqa: SLF001 - its own parts
    slow.routes = service.inference.routes
    asyncio.run(slow.predict_batch("churn", [ROW, ROW], Asked(seconds=deadline)))
    asyncio.run(slow.predict("churn", ROW))
    assert pauses == [slept]
