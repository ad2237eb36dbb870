"""A worker that is started before it is known what it serves: it loads its modules while the settings are read.

It loads as much as the process that starts it, and more; with a second core the two need no longer than the slower one. What it lacks it is
told over a socket. Nothing is imported here that takes time: this is the first thing that ``treadle serve`` does.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Self

from treadle.serving.numbers import FOLDER_VARIABLE

WORKER = "treadle.serving.worker"

KEY = {"TREADLE_KEY": ""}
"""The key of whoever runs the command, which no other process may see. ``settings`` has the name too, and takes time to load."""

THREADS = {"OMP_NUM_THREADS": "1"}
"""One thread per process: several that share few cores slow each other down badly."""

_PR_SET_PDEATHSIG = 1
_PIECE = 65536


class Ahead:
    """The first process of a worker, from entry on. Who has not handed it over by the exit has no use for it: it is ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", WORKER, "--ahead"),
                # That there is such a folder must be known when the library of metrics is loaded, and no more.
                env={**os.environ, **KEY, **THREADS, FOLDER_VARIABLE: ""},
                stdin=theirs.fileno(),
                process_group=0,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 (as that of the supervisor)
            )
        return self

    @property
    def pid(self) -> int | None:
        """The id of its process, until that was handed over."""
        return self._process.pid if self._process is not None else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it, unless it was handed over."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hand_over(self, env: Mapping[str, str], listener: int, log: IO[bytes]) -> "subprocess.Popen[bytes] | None":
        """Tell the process its variables, the descriptor of its listening socket and its log; return it, or None where it is gone."""
        process, self._process = self._process, None
        if process is None or self._socket is None:
            return None
        try:
            with self._socket:
                socket.send_fds(self._socket, [b"\n"], [listener, log.fileno()])
                self._socket.sendall(json.dumps(dict(env)).encode())
        except OSError:
            process.kill()
            process.wait()
            return None
        return process


def told() -> socket.socket:
    """In the process itself: wait for what ``hand_over`` tells, take it on, and return the listening socket.

    Raises:
        SystemExit: nobody hands this process over any more.
    """
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as other:
        _, given, _, _ = socket.recv_fds(other, 1, 2)
        if not given:
            raise SystemExit(0)
        parts = []
        while part := other.recv(_PIECE):
            parts.append(part)
    listener, log = given
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, sys.stdin), (log, sys.stdout), (log, sys.stderr)):
        os.dup2(ours, standard.fileno())
    os.close(nothing)
    os.close(log)
    os.environ.update(json.loads(b"".join(parts)))
    return socket.socket(fileno=listener)


def die_with(parent: int) -> Callable[[], None] | None:
    """Return what a child does before it becomes its program: ask the kernel to stop it when ``parent`` dies (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)

    return prepare
