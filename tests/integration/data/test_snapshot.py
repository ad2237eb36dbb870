"""Snapshots in a real DVC repository: immutable, found again, and never half-made, whatever kills the writer."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame

from treadle.data.snapshot import SnapshotPlace
from treadle.errors import SnapshotCorrupt, SnapshotNotFound

pytestmark = pytest.mark.integration


def rows(seed: int = 0) -> DataFrame:
    random = np.random.default_rng(seed)
    frame = DataFrame({"number": random.normal(size=50), "text": pd.array(random.choice(["a", "b"], 50), dtype="str"), "truth": True})
    frame["truth_or_missing"] = pd.array([True, None] * 25, dtype="boolean")
    frame.loc[3, ["number", "text"]] = None
    return frame


@pytest.fixture
def place(tmp_path: Path) -> SnapshotPlace:
    """Return an empty data repository."""
    return SnapshotPlace(tmp_path / "home" / "data")


def test_what_was_saved_comes_back_with_its_types(place: SnapshotPlace) -> None:
    saved = place.save("churn", rows(), {"source": "log", "cut": 12.5})
    frame, meta = place.load("churn", saved.digest)
    pd.testing.assert_frame_equal(frame, rows())
    assert meta == {"source": "log", "cut": 12.5}
    assert (saved.rows, dict(saved.meta)) == (50, meta)
    assert place.get("churn", saved.digest) == saved


def test_the_same_rows_are_one_snapshot_and_others_another(place: SnapshotPlace) -> None:
    first = place.save("churn", rows(), {"turn": "1"})
    assert place.save("churn", rows(), {"turn": "1"}) == first
    others = [
        place.save("churn", rows(1), {"turn": "1"}),
        place.save("churn", rows(), {"turn": "2"}),
        place.save("churn", rows()[::-1], {"turn": "1"}),
    ]
    assert [snapshot.digest for snapshot in place.list("churn")] == [first.digest, *(snapshot.digest for snapshot in others)]
    assert place.list("iris") == []


def test_a_snapshot_is_read_only_and_a_changed_one_is_refused(place: SnapshotPlace) -> None:
    saved = place.save("churn", rows(), {})
    assert not saved.path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    content = bytearray(saved.path.read_bytes())
    content[100] ^= 1
    saved.path.unlink()
    saved.path.write_bytes(content)
    with pytest.raises(SnapshotCorrupt, match=saved.digest):
        place.load("churn", saved.digest)


def test_an_unknown_snapshot_is_named(place: SnapshotPlace) -> None:
    with pytest.raises(SnapshotNotFound, match="has no snapshot 'abc'"):
        place.load("churn", "abc")
    with pytest.raises(SnapshotNotFound, match="has no snapshot 'abc'"):
        place.get("churn", "abc")


def test_dvc_knows_every_snapshot_and_brings_a_lost_one_back(place: SnapshotPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = place.save("churn", rows(), {})
    place.save("churn", rows(1), {})
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(place.folder.parent / "site"))

    def dvc(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=place.folder, check=True, capture_output=True, text=True
        ).stdout

    assert "up to date" in dvc("status")
    assert saved.dvc_md5 in saved.path.with_name(f"{saved.path.name}.dvc").read_text()
    saved.path.unlink()
    dvc("checkout")
    pd.testing.assert_frame_equal(place.load("churn", saved.digest)[0], rows())


def test_nothing_is_said_and_the_tree_around_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    SnapshotPlace(tmp_path / ".treadle" / "data").save("churn", rows(), {})
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".git", ".treadle"]
    staged = subprocess.run(
        ["git", "-C", str(tmp_path), "diff", "--cached", "--name-only"], check=True, capture_output=True, text=True
    ).stdout
    assert staged == ""


WRITER = """
import os, signal, sys
from pathlib import Path
import pandas as pd
from treadle.data.snapshot import SnapshotPlace

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

place, moment = SnapshotPlace(Path(sys.argv[1])), sys.argv[2]
if moment == "before DVC":
    import treadle.data.snapshot as snapshot
    snapshot._track = die
elif moment == "inside DVC":
    from dvc.stage import Stage
    Stage.dump = die
elif moment == "half visible":
    replace = Path.replace
    Path.replace = lambda self, target: die() if str(target).endswith(".parquet.dvc") else replace(self, target)
place.save("churn", pd.DataFrame({"x": range(int(sys.argv[3]))}), {})
"""


def write(place: SnapshotPlace, moment: str, count: int = 5) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", WRITER, str(place.folder), moment, str(count)], env=environment)


@pytest.mark.parametrize("moment", ["before DVC", "inside DVC", "half visible"])
def test_a_killed_writer_leaves_nothing_half_made(place: SnapshotPlace, moment: str) -> None:
    kept = place.save("churn", rows(), {})
    assert write(place, moment).wait(60) == -signal.SIGKILL
    assert place.list("churn") == [kept]
    again = place.save("churn", DataFrame({"x": range(5)}), {})
    assert place.load("churn", again.digest)[0]["x"].tolist() == [0, 1, 2, 3, 4]
    assert [snapshot.digest for snapshot in place.list("churn")] == [kept.digest, again.digest]
    assert not (place.folder / ".incoming").exists()


def test_writers_wait_for_each_other(place: SnapshotPlace) -> None:
    writers = [write(place, "never", count) for count in (5, 6)]
    place.save("churn", DataFrame({"x": range(7)}), {})
    assert [writer.wait(90) for writer in writers] == [0, 0]
    assert sorted(snapshot.rows for snapshot in place.list("churn")) == [5, 6, 7]
