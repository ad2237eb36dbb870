"""A contender's processes: started on cores that are named, measured together, and ended, each by its id."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from treadle.serving.ahead import die_with

MEBIBYTE = 2**20
STOP_SECONDS = 15.0
"""How long a contender may take to stop by itself."""
KILL_SECONDS = 5.0

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have the kernel make every descendant whose parent is gone a child of this process, so that none is ever lost sight of."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Running:
    """A contender that runs, from entry to exit. There is one at a time: every descendant that comes after its start belongs to it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path, cores: Collection[int]) -> None:
        self._command = command
        self._env = env
        self._folder = folder
        self._cores = frozenset(cores)
        self._log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._others: frozenset[psutil.Process] = frozenset()
        self.began = 0.0

    def __enter__(self) -> Self:
        """Start it."""
        tied = die_with(os.getpid())

        def prepare() -> None:
            os.sched_setaffinity(0, self._cores)
            if tied is not None:
                tied()

        self._others = frozenset(psutil.Process().children(recursive=True))
        self.began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # a Ctrl-C reaches this process alone, which then stops the others
                preexec_fn=prepare,  # noqa: PLW1509 (two calls into the kernel)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ask it to stop; end what has not stopped in time."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        for ask, seconds in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            left = self.tree()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(ask)
            psutil.wait_procs(left, timeout=seconds)
        self._process.wait(KILL_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether what was started is still there."""
        return self._process is not None and self._process.poll() is None

    def told(self, characters: int = 300) -> str:
        """Return the end of what it has printed, in one line."""
        return " ".join(self._log.read_text(encoding="utf-8", errors="replace").split())[-characters:]

    def tree(self) -> list[psutil.Process]:
        """Return all of its processes."""
        return [one for one in psutil.Process().children(recursive=True) if one not in self._others]

    def memory(self) -> float:
        """Return the resident memory of its processes together, in MiB. What several of them share counts for each."""
        total = 0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / MEBIBYTE

    def strays(self) -> list[str]:
        """Return the names of its processes that may run on other cores too: their time would be borrowed."""
        found = []
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE and set(process.cpu_affinity() or ()) != self._cores:
                    found.append(process.name())
        return found
