"""Work with the running service: serve, up, run_loop, predict, label, simulate, run_demo."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.api.opening import Place, found, opened
from treadle.telling import nobody

if TYPE_CHECKING:
    from treadle.serving.ahead import Ahead
    from treadle.simulation.traffic import Tally


def serve(
    *,
    port: int | None = None,
    workers: int | None = None,
    workspace: Place = None,
    tell: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    ahead: "Ahead | None" = None,
) -> None:
    """Serve every deployed model until ``stop`` is set or, without one, until SIGINT or SIGTERM. ``tell`` gets a line per event.

    ``ahead`` is a first worker that the caller has started before, as the command does, to be ready sooner.
    """
    from treadle.serving.supervisor import serve as run

    run(found(workspace, port=port, workers=workers), tell=tell, stop=stop, ahead=ahead)


def up(
    *,
    port: int | None = None,
    workers: int | None = None,
    workspace: Place = None,
    tell: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Run the service, the controller and the MLflow page together, and start again whatever dies, until ``stop`` is set."""
    from treadle import stack

    stack.up(found(workspace, port=port, workers=workers), tell=tell, stop=stop or threading.Event())


def run_loop(*, once: bool = False, workspace: Place = None, stop: threading.Event | None = None) -> None:
    """Run the controller: watch the models, retrain, judge, roll out, until ``stop`` is set; ``once``: one round.

    Only one controller acts at a time; others wait. This is the command ``treadle loop``.
    """
    from treadle.console import control

    with opened(workspace) as (place, store):
        control.run(place, store, stop or threading.Event(), once=once)


def predict(
    model: str,
    rows: "Path | str | Sequence[Mapping[str, Any]] | None" = None,
    *,
    raw: bool = False,
    url: str | None = None,
    workspace: Place = None,
    say: Callable[[str], None] = nobody,
    progress: Callable[[int], None] = nobody,
) -> list[dict[str, Any]]:
    """Return the running service's answers, in the order of the rows. The service logs each.

    Args:
        model: name of the model.
        rows: a file (CSV, Parquet, JSON) with the columns of the contract, or rows as JSON objects; without either, the example row.
        raw: whether the file has the form that ``load`` in model.py reads.
        url: address of the service; without it, the workspace's own.
        workspace: where; without it, the workspace of the current folder.
        say: called with what a person should know, such as columns that are left out.
        progress: called with the number of rows answered so far.
    """
    from treadle import service
    from treadle.console import asking
    from treadle.engine.encode import example
    from treadle.projects import find

    place = found(workspace, url=url)
    project, address = find(place, model), url or service.address(place)
    if isinstance(rows, str | Path):
        return asking.ask(place, asking.Source(address, project, Path(rows), raw), say=say, progress=progress)
    given = [example(project.contract.interface)] if rows is None else rows
    with service.connect(address) as client:
        return service.ask_rows(client, model, given, [f"row {number}" for number in range(1, len(given) + 1)])


def predict_file(
    model: str,
    file: Path | str,
    out: Path | str,
    *,
    raw: bool = False,
    url: str | None = None,
    workspace: Place = None,
    say: Callable[[str], None] = nobody,
    progress: Callable[[int], None] = nobody,
) -> int:
    """Write the running service's answers to the rows of a file to ``out`` (.csv, .parquet or .json), and return how many there are.

    The rest is as in ``predict``; a file of any length takes the memory of a batch. This is ``treadle predict MODEL FILE --out``.
    """
    from treadle import service
    from treadle.console import asking
    from treadle.projects import find

    place = found(workspace, url=url)
    source = asking.Source(url or service.address(place), find(place, model), Path(file), raw)
    return asking.ask_into(Path(out), source, say=say, progress=progress)


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
    from treadle import service
    from treadle.client import Label
    from treadle.projects import find

    place = found(workspace, url=url)
    find(place, model)
    told = Label(value=value, prediction_id=prediction, request_id=request, entity=entity, at=at)
    return service.label(url or service.address(place), model, told)


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
    from treadle import service
    from treadle.projects import find
    from treadle.simulation.traffic import Pace

    place = found(workspace, url=url)
    pace = Pace(rate=rate, delay=delay)
    return service.simulate(place, find(place, model), pace, url=url or service.address(place), seconds=seconds, shifted=shifted, seed=seed)


def run_demo(*, seed: int = 1, shift: bool = True, retrain: bool = True, step: bool = False, stop: bool = True) -> int:
    """Show one whole turn of the loop in a terminal, and return the exit code: 0 when what should happen has happened.

    This is the command ``treadle demo``.
    """
    from treadle.demo.report import Plan
    from treadle.demo.script import run

    return run(Plan(seed=seed, shift=shift, retrain=retrain, step=step, stop=stop))
