"""What the figures were measured on."""

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path

import psutil

from benchmarks.serving import environments


def facts(cores: str) -> list[str]:
    """Return machine, system, who ran on which ``cores``, and the commit, a line each."""
    return [
        f"- machine: {_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        f"- Linux {platform.release()}, Python {platform.python_version()}",
        f"- {cores}; load of the machine before: {os.getloadavg()[0]:.1f}",
        f"- commit {_commit()}, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
    ]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    told = [
        subprocess.run(["git", *words], cwd=environments.REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
        for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    ]
    return f"{told[0]}{' and changes that are not committed' if told[1] else ''}"
