"""A drill about a controller that dies without a word: its process is killed, and its lease must run out and be taken by another."""

import os
import signal
import socket
import subprocess
import time

from treadle.drills.report import Plan, Seen
from treadle.drills.scene import Scene
from treadle.errors import DrillImpossible
from treadle.retraining.controller import LEASE, LEASE_ROUNDS, LEASE_SECONDS

PLAN = Plan(
    broken="The process of the controller is killed (SIGKILL), in the middle of whatever it does.",
    expected="Its lease runs out; another controller, one that waits or one that is started again, takes over and goes on where it stood. "
    "Requests are answered all the while.",
    watch=("treadle status", "treadle events --follow"),
    left="Nothing, where `treadle up` or another supervisor starts the controller again; otherwise start it with `treadle loop`.",
)

POLL_SECONDS = 0.25


def dead_controller(scene: Scene) -> Seen:
    """Kill the process that holds the controller's lease, and wait for another holder."""
    scene.require_service()
    holder = scene.require_controller()
    process = process_of(holder)
    settings = scene.workspace.settings
    longest = max(LEASE_SECONDS, LEASE_ROUNDS * settings.controller_seconds)
    os.kill(process, signal.SIGKILL)
    began = time.monotonic()
    scene.tell(f"Process {process} is dead. Its lease holds {longest:.0f} s at most.")
    end = began + max(scene.seconds, longest + LEASE_SECONDS)
    answered = asked = 0
    free: float | None = None
    while time.monotonic() < end:
        now = scene.controller()
        asked, answered = asked + 1, answered + _answers(scene)
        if now is None and free is None:
            free = time.monotonic() - began
            scene.tell(f"After {free:.1f} s the lease is free.")
        if now is not None and now != holder:
            taken = f"After {time.monotonic() - began:.1f} s {now.rpartition(':')[0]} holds the lease {LEASE!r}, and goes on."
            return Seen(answered == asked, (taken, _service(answered, asked)))
        time.sleep(POLL_SECONDS)
    alone = "Nobody has taken over: no other controller waits, and nothing starts one again. `treadle loop` does."
    return Seen(held=False, sentences=(alone, _service(answered, asked)))


def process_of(holder: str) -> int:
    """Return the process that holds the lease, if it is a controller on this machine.

    Raises:
        DrillImpossible: it runs elsewhere, or is something else.
    """
    host, process, _ = holder.rsplit(":", 2)
    if host != socket.gethostname():
        raise DrillImpossible(f"the controller runs on {host}, not here", f"Run the drill on {host}.")
    command = _command(int(process))
    words = command.replace("/", " ").replace(".", " ").split()
    if "treadle" not in words or int(process) == os.getpid():
        fix = "Run the controller by `treadle loop` or `treadle up`, and try again."
        raise DrillImpossible(f"process {process}, which holds the lease, is no controller of its own ({command or 'it is gone'})", fix)
    return int(process)


def _command(process: int) -> str:
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(process)], capture_output=True, text=True, check=False)  # noqa: S607 - every system has its own ps
    return done.stdout.strip()


def _answers(scene: Scene) -> bool:
    try:
        scene.require_service()
    except Exception:  # noqa: BLE001 -- whatever it is, the service has not answered
        return False
    return True


def _service(answered: int, asked: int) -> str:
    return f"Meanwhile the service answered {answered} of {asked} times."
