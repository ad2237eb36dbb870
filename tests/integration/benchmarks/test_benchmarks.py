"""The benchmarks run, and what they say of a trend is right."""

import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.long_run import trend
from tests.conftest import REPOSITORY


def quick(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_long_run_measures_every_process_and_every_place(tmp_path: object) -> None:
    told = quick("long_run")
    assert re.search(r"[1-9]\d* rows in \d+ requests, \d+ labels, 0 failed", told)
    rows = {line.split("|")[1].strip(): line for line in told.splitlines() if line.startswith("| ")}
    assert {"worker memory", "shipper memory", "controller memory", "home folder", "spool", "database, used"} <= rows.keys()
    assert all(re.search(r"\| [1-9][\d.,]* MB \|", rows[f"{name} memory"]) for name in ("worker", "shipper", "controller"))
    assert "too short" in told


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_both_kinds_of_durability_are_measured_side_by_side() -> None:
    (line,) = [line for line in quick("durability").splitlines() if line.startswith("| 4 |")]
    assert len(re.findall(r"\d/s, [\d.]+ ms, [\d.]+ ms", line)) == 2
    assert len(re.findall(r"[\d.]+ \([\d.]+ to [\d.]+\)", line)) == 3


SECONDS = np.arange(300.0)


def test_noise_is_flat_and_a_leak_is_told() -> None:
    noise = np.random.default_rng(1).normal(100, 1, 300)
    assert not trend(SECONDS, noise).growing
    leak = trend(SECONDS, noise + 0.02 * SECONDS)  # 72 an hour
    assert leak.growing
    assert leak.slope == pytest.approx(72, abs=leak.noise)


def test_saw_teeth_are_flat_and_so_is_what_hardly_grows() -> None:
    assert not trend(SECONDS, SECONDS % 15).growing
    assert not trend(SECONDS, 1000 + SECONDS / 1000).growing  # 3.6 an hour, and nothing but a line
    assert trend(SECONDS, 100 + SECONDS / 1000).growing


def test_what_becomes_less_is_not_growing() -> None:
    assert not trend(SECONDS, 500 - SECONDS).growing
