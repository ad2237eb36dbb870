from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given
from pandas import DataFrame

from treadle.data.sources import fetch, rows_digest
from treadle.errors import DataDigestMismatch, DataUnavailable, DataUnreadable, ProjectCodeInvalid, SettingsInvalid
from treadle.projects import Project
from treadle.settings import Settings, Workspace

Projects = Callable[..., Project]

BUNDLED = {"kind": "bundled", "library": "somewhere"}
MIRROR = {"kind": "mirror", "file": "people.csv"}
DOWNLOAD = {"kind": "download", "url": "http://127.0.0.1:9/people.csv"}
SIMULATED = {"kind": "simulated", "rows": 60}


def place(root: Path, mirror: Path | None = None) -> Workspace:
    return Workspace(root, Settings(offline=True, data_mirror=mirror))


def test_the_first_source_that_has_rows_wins(project: Projects, tmp_path: Path) -> None:
    fetched = fetch(project(MIRROR, BUNDLED, SIMULATED), place(tmp_path), seed=1)
    assert fetched.frame["age"].tolist() == [1, 2]
    assert (fetched.source, fetched.simulated) == ("library somewhere", False)
    assert fetched.digest == rows_digest(fetched.frame)


def test_a_file_of_the_mirror_is_read(project: Projects, tmp_path: Path, csv: bytes, people: DataFrame) -> None:
    (tmp_path / "people.csv").write_bytes(csv)
    fetched = fetch(project(MIRROR, SIMULATED), place(tmp_path, tmp_path), seed=1)
    assert (fetched.source, fetched.simulated, len(fetched.frame)) == ("mirror file people.csv", False, 200)
    assert fetched.digest == rows_digest(people)


def test_a_mirror_is_named_from_the_workspace(project: Projects, tmp_path: Path, csv: bytes) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "people.csv").write_bytes(csv)
    assert len(fetch(project(MIRROR), place(tmp_path, Path("mirror")), seed=1).frame) == 200


def test_a_mirror_that_is_not_there_is_refused_and_not_passed_over(project: Projects, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="nowhere"):
        fetch(project(MIRROR, SIMULATED), place(tmp_path, tmp_path / "nowhere"), seed=1)


def test_made_up_rows_are_labelled_so_and_follow_the_seed(project: Projects, tmp_path: Path) -> None:
    fetched = fetch(project(MIRROR, DOWNLOAD, SIMULATED), place(tmp_path, tmp_path), seed=5)
    assert fetched.simulated
    assert fetched.frame["age"].tolist() == [5] * 60


def test_when_all_fail_each_is_named_with_its_reason(project: Projects, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable) as caught:
        fetch(project(MIRROR, DOWNLOAD), place(tmp_path), seed=1)
    assert caught.value.problems == (
        "mirror file people.csv: TREADLE_DATA_MIRROR names no folder",
        "download http://127.0.0.1:9/people.csv: TREADLE_OFFLINE is set",
    )
    with pytest.raises(DataUnavailable, match=f"there is no {tmp_path}/people.csv"):
        fetch(project(MIRROR), place(tmp_path, tmp_path), seed=1)


def test_other_rows_than_the_contract_names_are_refused(project: Projects, tmp_path: Path, csv: bytes, people: DataFrame) -> None:
    (tmp_path / "people.csv").write_bytes(csv)
    digest = rows_digest(people)
    assert fetch(project({**MIRROR, "rows_digest": digest}, SIMULATED), place(tmp_path, tmp_path), seed=1).digest == digest
    (tmp_path / "people.csv").write_bytes(csv.replace(b"basic", b"plus", 1))
    with pytest.raises(DataDigestMismatch, match=digest):
        fetch(project({**MIRROR, "rows_digest": digest}, SIMULATED), place(tmp_path, tmp_path), seed=1)


def test_a_file_that_load_cannot_read_is_refused(project: Projects, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"")
    with pytest.raises(DataUnreadable, match="cannot be read: EmptyDataError"):
        fetch(project(MIRROR, SIMULATED), place(tmp_path, tmp_path), seed=1)


def test_a_simulated_source_needs_its_function(project: Projects, tmp_path: Path) -> None:
    with pytest.raises(ProjectCodeInvalid, match="synthesize"):
        fetch(project(SIMULATED, code="def load(path): ..."), place(tmp_path), seed=1)


cells = st.tuples(st.integers(-5, 5), st.none() | st.text(max_size=3), st.booleans())


@given(rows=st.lists(cells, min_size=1, max_size=8), data=st.data())
def test_the_digest_ignores_order_and_how_a_whole_number_is_kept(rows: list[tuple[int, str | None, bool]], data: st.DataObject) -> None:
    frame = DataFrame(rows, columns=["a", "b", "c"]).astype({"b": "str"})
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = frame.iloc[list(order)][["c", "a", "b"]].astype({"a": float})
    assert rows_digest(shuffled) == rows_digest(frame)


@pytest.mark.parametrize(
    "other",
    [
        DataFrame({"a": [1, 2], "b": ["x", ""]}),
        DataFrame({"a": [1, 3], "b": ["x", None]}),
        DataFrame({"a": [1, 2], "z": ["x", None]}),
        DataFrame({"a": ["1", "2"], "b": ["x", None]}),
        DataFrame({"a": [True, False], "b": ["x", None]}),
        DataFrame({"a": [1, 2, 2], "b": ["x", None, None]}),
        DataFrame({"a": [2, 1], "b": ["x", None]}),
    ],
)
def test_the_digest_tells_other_rows(other: DataFrame) -> None:
    assert rows_digest(other) != rows_digest(DataFrame({"a": [1, 2], "b": ["x", None]}))


def test_the_digest_takes_every_kind_of_missing_for_the_same() -> None:
    assert rows_digest(DataFrame({"a": pd.array([1, None], dtype="Int64")})) == rows_digest(DataFrame({"a": [1.0, float("nan")]}))
    assert rows_digest(DataFrame({"a": pd.array([True, None], dtype="boolean")})) == rows_digest(DataFrame({"a": [True, None]}))
