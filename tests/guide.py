"""A guide as a reader follows it: its blocks of code, run in order, in a folder of their own.

What a block means stands before it or in its fence:

    ```sh        each line is run; `treadle serve`, `loop` and `up` go on in the background until the guide ends;
                 a line that ends in "# exit code 3" must end with that code, every other line with 0
    ```python    run in one interpreter, whose names stay from block to block
    <!-- file: NAME -->            the next block is written to that file
    <!-- not run: WHY -->          the next block is only shown
    <!-- folder: empty -->         anywhere: the guide starts in an empty folder, not in a workspace with the reference projects

Other blocks are only shown. Port 8000 of the text is a free port of the test.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

STAYS = ("serve", "loop", "up")
SECONDS = 150.0
"""Longest time of one line or block."""

_BLOCK = re.compile(r"(?:^<!-- (file|not run): (.+?) -->\n+)?^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"\s+# exit code (\d+)$")

_INTERPRETER = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<guide>", "exec"), names)
        told = ""
    except BaseException:
        told = traceback.format_exc()
    print("\\x04" + json.dumps(told), flush=True)
"""


@dataclass(frozen=True)
class Block:
    """One block: what is done with it (``sh``, ``python``, ``file`` or nothing), its text, and the name of its file."""

    kind: str
    text: str
    name: str = ""


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that something is done with."""
    for mark, name, language, text in _BLOCK.findall(page):
        if mark == "file":
            yield Block("file", text, name)
        elif not mark and language in {"sh", "python"}:
            yield Block(language, text)


class Reader:
    """Somebody who follows a guide in a folder. Use as a context manager: at the end everything that was started is stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: _free_port() for name in ("PORT", "CONTROLLER_PORT", "TRACKING_PORT")}
        # Nor does a reader measure coverage, which would make every command take twice as long.
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("TREADLE_", "COVERAGE_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ports = {f"TREADLE_{name}": str(port) for name, port in self._ports.items()}
        self._variables = {**variables, **ports, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        self._running: list[subprocess.Popen[str]] = []
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        started = [*self._running, *([self._python] if self._python else [])]
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def follow(self, page: str) -> int:
        """Do what a page says, and return how many blocks there were."""
        found = list(blocks(page.replace("127.0.0.1:8000", f"127.0.0.1:{self._ports['PORT']}")))
        for block in found:
            if block.kind == "file":
                path = self._folder / block.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            elif block.kind == "python":
                self._exec(block.text)
            else:
                for line in _lines(block.text):
                    self._run(line)
        return len(found)

    def _run(self, line: str) -> None:
        words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if words[:1] == ["treadle"] and len(words) > 1 and words[1] in STAYS and "--once" not in words:
            self._start(line, words[1])
            return
        expected = int(found[1]) if (found := _CODE.search(line)) else 0
        done = subprocess.run(
            ["bash", "-c", line], cwd=self._folder, env=self._variables, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == expected, f"$ {line}\n{done.stdout}{done.stderr}(exit code {done.returncode})"

    def _start(self, line: str, command: str) -> None:
        """Start what goes on in the background; go on once the service answers."""
        log = (self._folder / f"{command}.log").open("w", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {line.removesuffix('&')}"],
                cwd=self._folder,
                env=self._variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._running.append(process)
        deadline = time.monotonic() + SECONDS
        while command != "loop" and not self._answers():
            said = (self._folder / f"{command}.log").read_text(encoding="utf-8")
            assert process.poll() is None, f"$ {line}\n{said}"
            assert time.monotonic() < deadline, f"$ {line}\n{said}\nno answer after {SECONDS} s"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._ports['PORT']}/ready", timeout=2).is_success
        except httpx.TransportError:
            return False

    def _exec(self, code: str) -> None:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _INTERPRETER],
                cwd=self._folder,
                env=self._variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps(code) + "\n")
        self._python.stdin.flush()
        said = ""
        for line in self._python.stdout:
            if line.startswith("\x04"):
                told = json.loads(line[1:])
                assert told == "", f"{code}\n{said}{told}"
                return
            said += line
        raise AssertionError(f"{code}\n{said}\nthe interpreter has gone")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a block that are commands; one that ends in a backslash goes on in the next."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
