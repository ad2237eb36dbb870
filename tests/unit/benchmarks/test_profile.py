"""What a look at a stack counts for."""

from pathlib import Path

import pytest

import treadle
from benchmarks.serving import profile

LOOP = "_run_module_as_main (<frozen runpy>:198);run (asyncio/runners.py:118);uv_run (uvloop/loop.so)"
PROTOCOL = f"{LOOP};HttpToolsProtocol.data_received (uvicorn/protocols/http/httptools_impl.py:174)"
ANSWER = f"{PROTOCOL};QuickProtocol._answer (treadle/serving/protocol.py:81)"


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        (LOOP, profile.STEPS["asyncio/"]),
        (PROTOCOL, profile.STEPS["httptools_impl.py"]),
        (f"{PROTOCOL};llhttp__internal__run (httptools/parser.so)", profile.STEPS["httptools_impl.py"]),
        (ANSWER, profile.STEPS["treadle/serving/protocol.py"]),
        (f"{ANSWER};uv_try_write (uvloop/loop.so);write (libc.so.6)", profile.SENT),
        (f"{ANSWER};Single.run (treadle/engine/session.py:128);malloc (libc.so.6)", profile.STEPS["treadle/engine/session.py"]),
        (f"{ANSWER};_write (treadle/serving/spool.py:273);write (libc.so.6)", profile.STEPS["treadle/serving/spool.py"]),
        (f"{ANSWER};another (treadle/elsewhere.py:1)", profile.OTHER),
        (f"{LOOP};uv__io_poll (uvloop/loop.so);epoll_pwait (libc.so.6)", None),
        ("clone (libc.so.6);_worker (concurrent/futures/thread.py:81);futex (libc.so.6)", None),
    ],
)
def test_the_deepest_file_that_is_known_is_the_step(stack: str, step: str | None) -> None:
    assert profile.step(stack.split(";")) == step


def test_shares_are_of_the_looks_at_threads_that_work() -> None:
    found = profile.shares([f"{LOOP} 1", f"{PROTOCOL} 3", "run (a.py:1);_worker (concurrent/futures/thread.py:81) 96"])
    assert found == {profile.STEPS["uvicorn/"]: 0.75, profile.STEPS["asyncio/"]: 0.25}


def test_the_table_names_what_a_row_costs() -> None:
    found = {profile.OTHER: 0.25, profile.SENT: 0.75}
    rows = [line.split(" | ")[1:] for line in profile.table(found, 80e-6, 20e-6).splitlines()[2:]]
    assert rows == [["60.0", "60% |"], ["20.0", "20% |"], ["20.0", "20% |"], ["100", "100% |"]]


def test_every_step_is_a_file_that_is_there() -> None:
    source = Path(treadle.__file__).parents[1]
    assert [part for part in profile.STEPS if part.startswith("treadle/") and not (source / part).exists()] == []
