"""The load: wrk on a core of its own where there is one, with requests that lie ready in files."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).with_name("wrk.lua")
NEEDED = "wrk is not here, and it is what makes the load. Install it (Debian, Ubuntu: sudo apt-get install wrk) and run this again."
LOOK = 0.1
"""Seconds between two looks at what else is watched during a load."""
GRACE = 60.0
"""Seconds that wrk may take longer than it was told to: it waits for answers that are under way."""


class LoadFailedError(Exception):
    """A load measured nothing that counts."""


@dataclass(frozen=True)
class Load:
    """What a load has measured: answers per second, two quantiles of the seconds that an answer took, and how many answers there were."""

    rate: float
    p50: float
    p99: float
    answers: int


def wrk() -> str:
    """Return the path of wrk.

    Raises:
        SystemExit: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit(NEEDED)
    return found


def parse(printed: str) -> Load:
    """Return what wrk has measured, from all that it printed.

    Raises:
        LoadFailedError: a request failed, or none was answered.
    """
    line = next((line for line in printed.splitlines() if line.startswith('{"requests"')), None)
    if line is None:
        raise LoadFailedError(f"wrk printed no result: {printed.strip()[-200:]}")
    told = json.loads(line)
    failed = {kind: count for kind, count in told["errors"].items() if count}
    if failed:
        raise LoadFailedError(f"of {told['requests']} requests failed: {', '.join(f'{count} ({kind})' for kind, count in failed.items())}")
    if not told["requests"]:
        raise LoadFailedError("not one request was answered")
    return Load(1e6 * told["requests"] / told["microseconds"], told["p50"] / 1e6, told["p99"] / 1e6, told["requests"])


def request(url: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the bytes of one POST request of ``body``; a header of the caller replaces the one of the same name."""
    address = urlsplit(url)
    fields = {"Host": address.netloc, "Content-Type": "application/json", "Content-Length": str(len(body)), **dict(headers)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {address.path or '/'} HTTP/1.1\r\n{head}\r\n".encode() + body


def run(
    url: str, requests: Sequence[Path], *, clients: int, seconds: int, cores: Collection[int], watch: Callable[[], None] | None = None
) -> Load:
    """Send the requests in turn for ``seconds``, from so many clients at once, on ``cores``; call ``watch`` ten times a second meanwhile.

    Raises:
        LoadFailedError: a request failed, or wrk did not end in time.
    """
    address = urlsplit(url)
    command = [wrk(), "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
    command += [f"{address.scheme}://{address.netloc}/", "--", *map(str, requests)]
    until = time.monotonic() + seconds + GRACE
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 (one call into the kernel)
    ) as process:
        try:
            while process.poll() is None and time.monotonic() < until:
                if watch is not None:
                    watch()
                time.sleep(LOOK)
        finally:
            process.kill()
            printed, _ = process.communicate()
    return parse(printed)
