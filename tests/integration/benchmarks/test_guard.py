"""The benchmark of the guard runs, and every kind of caller that it measures is let in."""

from pathlib import Path

import pytest

from benchmarks import guard


@pytest.mark.integration
def test_every_kind_of_caller_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RUNS", 2)
    found = guard.measured(tmp_path)
    assert len(found) == 4
    assert all(cost > 0 for cost in found.values())
