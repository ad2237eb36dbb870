"""The controller in a terminal: what it records is told as it happens."""

import logging
import threading
import time

from treadle.console import out, overview
from treadle.console.screen import Screen
from treadle.console.watch import Watch
from treadle.errors import ControllerBusy
from treadle.loop import Loop
from treadle.retraining.controller import LEASE
from treadle.settings import Workspace
from treadle.state import lease
from treadle.state.store import Store


def run(workspace: Workspace, store: Store, stop: threading.Event, *, once: bool) -> None:
    """Run the controller until ``stop`` is set, or for one round.

    Raises:
        ControllerBusy: one round is asked for while another controller is at work.
        PortTaken: its metrics cannot be served.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    with store.read() as conn:
        other = lease.holder(conn, LEASE, now=time.time())
    if once and other is not None:
        raise ControllerBusy(other)
    screen = Screen(out.console)
    if other is not None:
        screen.line(f"another controller is at work ({other}); this one waits until it ends", "change")
    elif not once:
        screen.line(f"the controller looks at every model each {workspace.settings.controller_seconds:g} s; Ctrl-C stops it", "quiet")
    with Watch(store, screen).going():
        Loop(workspace, store).close(stop, once=once)
    if once:
        for one in overview.read(workspace, store, now=time.time()):
            out.say(f"{one.model}: {one.loop}")
