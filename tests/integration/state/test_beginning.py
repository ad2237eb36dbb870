"""Processes that come to an empty store at the same moment begin its record once, and none takes it for lost."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import delete

from treadle.state import events, schema
from treadle.state.heads import audit
from treadle.state.store import open_store

pytestmark = pytest.mark.integration

PROCESSES, ROUNDS = 4, 10

WORKER = """
import sys
from pathlib import Path
from treadle.state import events
from treadle.state.heads import sign, signed
from treadle.state.store import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    home = Path(line.strip())
    with signed(store, home), store.write() as conn:
        events.append(conn, "thing.happened", at=1.0, data={})
    sign(store, home, at=2.0)  # as the controller does
    print("done", flush=True)
"""

KILLED = """
import os, sys
from pathlib import Path
from treadle.state import events, heads
from treadle.state.store import open_store

heads.events.append_head = lambda *_: os._exit(9)
heads.begin(open_store(sys.argv[1]), Path(sys.argv[2]), at=1.0)
"""

REPOSITORY = Path(__file__).resolve().parents[3]


def test_processes_that_start_at_once_on_an_empty_store(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    with ExitStack() as stack:
        command = [sys.executable, "-c", WORKER, store_url]
        workers = [
            stack.enter_context(subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(PROCESSES)
        ]
        ends = [(worker.stdin, worker.stdout) for worker in workers]
        for _, told in ends:
            assert told is not None
            assert told.readline() == "ready\n"
        for number in range(ROUNDS):
            home = tmp_path / f"home-{number}"
            with store.write() as conn:
                conn.execute(delete(schema.events))
            for given, _ in ends:
                assert given is not None
                given.write(f"{home}\n")
                given.flush()
            assert [told.readline() for _, told in ends if told is not None] == ["done\n"] * PROCESSES
            found = audit(store, home)
            assert (found.events, found.unsigned) == (1 + PROCESSES, 0)
            with store.read() as conn:
                assert [event.kind for event in events.after(conn, 0)] == ["audit.began"] + ["thing.happened"] * PROCESSES
        for given, _ in ends:
            assert given is not None
            given.close()
        assert [worker.wait(timeout=30) for worker in workers] == [0] * PROCESSES
    store.close()


def test_a_process_that_is_killed_before_its_first_head_stands_leaves_no_alarm(store_url: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, store_url, str(tmp_path)], cwd=REPOSITORY, check=False)
    assert done.returncode == 9
    store = open_store(store_url)
    with store.read() as conn:
        assert events.last_seq(conn) == 1
    with subprocess.Popen([sys.executable, "-c", WORKER, store_url], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE) as worker:
        worker.communicate(f"{tmp_path}\n", timeout=60)
    assert (audit(store, tmp_path).events, audit(store, tmp_path).unsigned) == (2, 0)
    store.close()
