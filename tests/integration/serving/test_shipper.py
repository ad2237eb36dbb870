import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from sqlalchemy import func, select

from tests.crew import until
from tests.unit.serving.sealed import seal
from treadle.bundle.place import BundlePlace
from treadle.serving.records import EventRecord, LabelRecord, PredictionRecord
from treadle.serving.shipper import NICENESS
from treadle.serving.spool import SpoolWriter, segments
from treadle.settings import Workspace
from treadle.state import events, log
from treadle.state.schema import labels, predictions
from treadle.state.store import Store, open_store

pytestmark = pytest.mark.integration

ROWS = 4000
ROUNDS = 4


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TREADLE_STORE_URL", store_url)
    store = open_store(store_url)
    yield store
    store.close()


def start(workspace: Workspace) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TREADLE_WORKSPACE": str(workspace.root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "treadle.serving.shipper"], env=environment, stderr=subprocess.PIPE)


def shipped(store: Store) -> int:
    with store.read() as conn:
        return conn.execute(select(func.count()).select_from(predictions)).scalar_one()


def has_shipped(store: Store, rows: int) -> bool:
    return shipped(store) >= rows


def until_it(ships: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait for what the process does, as long as it runs."""
    until(lambda: ships() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1].decode()


def write(workspace: Workspace, digest: str, first: int, ended: threading.Event) -> None:
    """Write as a worker does, over several segments, every other prediction of ``ROWS`` with a label and now and then an event."""
    writer = SpoolWriter(workspace.spool_dir, segment_bytes=100_000)
    row, scores = np.array([1, 2], dtype="<f4").tobytes(), np.array([0.25, 0.75], dtype="<f4").tobytes()
    for number in range(first, ROWS, 2):
        record = PredictionRecord(
            f"p{number}", "toy", 1, digest, 1, "champion", float(number), 0.001, row, scores, "{}", entity=f"e{number % 50}"
        )
        writer.append([record, LabelRecord(f"l{number}", "toy", "no", 1.0, 2.0, prediction_id=f"p{number}")])
        if number % 500 == first:
            writer.append([EventRecord("deployment.followed", "toy", {"number": number}, 1.0)])
        if number % 10 == first:
            ended.wait(0.005)
    writer.close()


@pytest.mark.timeout(240)
def test_each_record_arrives_exactly_once_however_often_the_shipper_is_killed(workspace: Workspace, store: Store) -> None:
    workspace = Workspace.find(workspace.root)
    bundle = seal(BundlePlace(workspace.bundle_dir))
    chance = random.Random(42)
    ended = threading.Event()
    writers = [threading.Thread(target=write, args=(workspace, bundle.digest, first, ended)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    for number in range(ROUNDS):
        process = start(workspace)
        until_it(partial(has_shipped, store, (number + 1) * ROWS // (ROUNDS + 2)), process)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ended.set()
    for writer in writers:
        writer.join()
    process = start(workspace)
    until_it(lambda: not segments(workspace.spool_dir), process)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0
    _require_each_once(store, bundle.profile.digest, bundle.profile.layout.columns[0].slots)
    assert not (workspace.spool_dir / "quarantine").exists()


def _require_each_once(store: Store, profile_digest: str, slots: int) -> None:
    with store.read() as conn:
        assert set(conn.execute(select(predictions.c.prediction_id)).scalars()) == {f"p{number}" for number in range(ROWS)}
        assert set(conn.execute(select(labels.c.label_id)).scalars()) == {f"l{number}" for number in range(ROWS)}
        # Events and counts have no key of their own that would hide a second arrival.
        followed = Counter(event.data["number"] for event in events.after(conn, 0) if event.kind != "audit.began")
        assert followed == {number: 1 for number in range(ROWS) if number % 500 in (0, 1)}
        counts = log.counts(conn, "toy", 1, profile_digest, since=0, until=1e9)
        assert counts is not None
        assert counts[:slots].sum() == ROWS
        events.verify(conn)


def test_a_signal_ends_it_after_the_bite_and_it_runs_with_low_priority(workspace: Workspace, store: Store) -> None:
    workspace = Workspace.find(workspace.root)
    bundle = seal(BundlePlace(workspace.bundle_dir))
    write(workspace, bundle.digest, 0, _at_once())
    process = start(workspace)
    until_it(lambda: shipped(store) > 0, process)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == NICENESS
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    begun = shipped(store)
    with store.read() as conn:
        counts = log.counts(conn, "toy", 1, bundle.profile.digest, since=0, until=1e9)
    assert counts is not None
    assert counts[: bundle.profile.layout.columns[0].slots].sum() == begun


def _at_once() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_the_shipper_loads_no_training_library() -> None:
    heavy = ("sklearn", "pandas", "mlflow", "scipy", "torch", "lightgbm", "xgboost", "onnxruntime", "fastapi")
    code = f"import sys, treadle.serving.shipper; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
