"""Work with the running service: serve, run_loop, predict, label, simulate, run_demo."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.api.opening import Place, found, opened

if TYPE_CHECKING:
    from treadle.simulation.traffic import Tally


def serve(
    *,
    port: int | None = None,
    workers: int | None = None,
    workspace: Place = None,
    tell: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve every deployed model until ``stop`` is set or, without one, until SIGINT or SIGTERM. ``tell`` gets a line per event."""
    from treadle.serving.supervisor import serve as run

    run(found(workspace, port=port, workers=workers), tell=tell, stop=stop)


def run_loop(*, once: bool = False, workspace: Place = None, stop: threading.Event | None = None) -> None:
    """Run the controller: watch the models, retrain, judge, roll out, until ``stop`` is set; ``once``: one round.

    Only one controller acts at a time; others wait. This is the command ``treadle loop``.
    """
    from treadle.console import control

    with opened(workspace) as (place, store):
        control.run(place, store, stop or threading.Event(), once=once)


def predict(model: str, rows: Path | None = None, *, url: str | None = None, workspace: Place = None) -> list[dict[str, Any]]:
    """Return the running service's answers for the rows of a JSON file or, without one, for the contract's example row."""
    from treadle.console import client
    from treadle.projects import find

    place = found(workspace)
    return client.predict(url or client.address(place), find(place, model), rows)


def label(
    model: str,
    value: str,
    *,
    prediction: str | None = None,
    request: str | None = None,
    entity: str | None = None,
    at: float | None = None,
    url: str | None = None,
    workspace: Place = None,
) -> int:
    """Tell the running service the true value of a prediction, and return how many labels it took.

    Args:
        model: name of the model.
        value: the true value as text: a class, or a number.
        prediction: id of the prediction that it belongs to; exactly one of this, ``request`` and ``entity`` names it.
        request: the caller's own request id.
        entity: whom it is about.
        at: when it became true, in epoch seconds; without it, now.
        url: address of the service; without it, the workspace's own.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.console import client
    from treadle.projects import find

    place = found(workspace)
    find(place, model)
    content = {"prediction_id": prediction, "request_id": request, "entity": entity, "value": value, "at": at}
    return client.label(url or client.address(place), model, content)


def simulate(
    model: str,
    *,
    seconds: float = 10,
    rate: float = 50,
    delay: float = 2,
    shifted: bool = False,
    seed: int = 1,
    url: str | None = None,
    workspace: Place = None,
) -> "Tally":
    """Send a bounded stream of simulated traffic, with late labels, to the running service.

    Args:
        model: name of the model.
        seconds: how long.
        rate: rows per second.
        delay: seconds until the true label of a row is told.
        shifted: whether the rows come from the world after it has changed.
        seed: of the world.
        url: address of the service; without it, the workspace's own.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.console import client
    from treadle.projects import find
    from treadle.simulation.traffic import Pace

    place = found(workspace)
    pace = Pace(rate=rate, delay=delay)
    return client.simulate(place, find(place, model), pace, url=url or client.address(place), seconds=seconds, shifted=shifted, seed=seed)


def run_demo(*, seed: int = 1, shift: bool = True, retrain: bool = True, step: bool = False, stop: bool = True) -> int:
    """Show one whole turn of the loop in a terminal, and return the exit code: 0 when what should happen has happened.

    This is the command ``treadle demo``.
    """
    from treadle.demo.report import Plan
    from treadle.demo.script import run

    return run(Plan(seed=seed, shift=shift, retrain=retrain, step=step, stop=stop))
