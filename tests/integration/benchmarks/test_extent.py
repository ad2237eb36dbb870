"""The benchmarks of start, swap, scale and growth run, each for a moment, and what they say can be so."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="processes can be pinned on Linux only"),
]

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk here (Debian, Ubuntu: apt-get install wrk)")


def quick(name: str, *more: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.serving.{name}", "--quick", *more]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done
    return done.stdout


def test_a_start_is_timed_and_the_memory_of_each_process_read() -> None:
    told = quick("start", "--predictions", "100")
    (line,) = re.findall(r"^\| iris \| (.*) \|$", told, re.MULTILINE)
    ready, answered, worker, shipper, supervisor, together = (float(cell.replace(",", "")) for cell in line.split(" | "))
    assert 0.1 < ready <= answered < 120
    assert min(worker, shipper, supervisor) > 10
    assert together == pytest.approx(worker + shipper + supervisor, abs=2)
    assert "| memory of a worker with every project | ≤ 350 MB |" in told
    assert "trained on rows that need no internet: iris (" in told


def test_swaps_under_load_lose_no_answer() -> None:
    told = quick("swap")
    (count,) = re.findall(r"^- ([\d,]+) requests of one row .* 0 failed", told, re.MULTILINE)
    assert int(count.replace(",", "")) > 500
    assert "| 2 swaps | median (range) |" in told
    assert re.search(r"^\| p99 in the second around a swap, x steady \| ≤ 1\.5 \| [\d.,]+ \|", told, re.MULTILINE)


@needs_wrk
def test_the_cost_of_a_row_is_measured_at_one_and_at_two_workers() -> None:
    told = quick("scale")
    for workers in (1, 2):
        (line,) = re.findall(rf"^\| {workers} \| (.*)% \|$", told, re.MULTILINE)
        rate, worker, shipper, busiest = (float(cell.replace(",", "")) for cell in line.split(" | "))
        assert min(rate, worker, shipper) > 0
        assert 50 <= busiest <= 100
    assert re.search(r"\| ≥ 1\.8 \| [\d.]+ \|", told)


@needs_wrk
def test_growth_is_measured_and_drawn(tmp_path: Path) -> None:
    told = quick("growth", "--picture", str(tmp_path / "growth.svg"))
    for what in ("10 rows of a batch", "16 features of a linear model", "2 models, asked in turn"):
        (line,) = re.findall(rf"^\| {what} \| (.*) \|$", told, re.MULTILINE)
        middle, slow, memory = (float(cell.replace(",", "")) for cell in line.split(" | "))
        assert 0 < middle <= slow
        assert memory > 30
    assert b"models of a service" in (tmp_path / "growth.svg").read_bytes()
