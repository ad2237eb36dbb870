"""Ask the service of a workspace, for a person at a terminal: rows are named by the lines of their file, and a fix is a command.

Programs use ``treadle.client``, which this is built on.
"""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.client import Client, Label
from treadle.errors import BatchUnfinished, RequestRefused, RowFileInvalid, ServiceUnreachable
from treadle.identity import shown_key
from treadle.projects import Project
from treadle.settings import Workspace

if TYPE_CHECKING:
    from treadle.simulation.traffic import Pace, Tally


def address(workspace: Workspace) -> str:
    """Return where the workspace's own service answers.

    Raises:
        ServiceUnreachable: the service takes a free port, so that it alone knows its address.
    """
    url = workspace.api_url()
    if workspace.settings.port == 0:
        raise ServiceUnreachable(url, "the setting port is 0, so the service took a free one and said which when it started.")
    return url


def connect(url: str) -> Client:
    """Return a client of the service at an address, with the key of whoever runs this command, if there is one.

    Raises:
        ServiceUnreachable: that is no address.
    """
    return Client(url, shown_key())


def ask_rows(client: Client, model: str, rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[dict[str, Any]]:
    """Return the service's answers to rows, in their order; errors call row i by ``places[i]``, such as "line 7".

    Raises:
        RequestRefused: the service refused the rows; the error carries its reasons.
        ServiceUnreachable, NoService: nothing answers there, or something else does.
    """
    with _told(model, places):
        return [msgspec.json.decode(one.answer) for one in client.predict_batch(model, rows)]


@contextmanager
def _told(model: str, places: Sequence[str] = ()) -> Iterator[None]:
    """Tell a refusal as a person at a terminal needs it."""
    try:
        yield
    except (BatchUnfinished, RequestRefused) as told:
        error = told.__cause__ if isinstance(told, BatchUnfinished) else told
        if not isinstance(error, RequestRefused):
            raise
        fields = [one._replace(field=_placed(places, one.field)) for one in error.fields]
        train = f"`treadle train {model}`, then `treadle promote {model}`; `treadle status` shows what is deployed."
        fix = train if error.status == HTTPStatus.NOT_FOUND else error.fix
        raise type(error)(error.url, error.status, error.said, fields=fields, fix=fix, retry_after=error.retry_after) from error


def _placed(places: Sequence[str], field: str) -> str:
    """Return what a person calls a field of a batch: rows.0.tenure is "line 2: tenure" where the first row stands there."""
    _, _, rest = field.partition("rows.")
    number, _, name = rest.partition(".")
    if not number.isdigit() or int(number) >= len(places):
        return field
    return f"{places[int(number)]}: {name}" if name else places[int(number)]


def label(url: str, model: str, told: Label) -> int:
    """Tell one label and return how many the service took. Raises as ``ask_rows`` does."""
    with connect(url) as client, _told(model):
        return client.labels(model, [told])


def simulate(  # noqa: PLR0913
    workspace: Workspace, project: Project, pace: "Pace", *, url: str, seconds: float, shifted: bool, seed: int
) -> "Tally":
    """Send simulated traffic for ``seconds``, tell its labels, and return the tally. Raises as ``ask_rows`` does."""
    from treadle.simulation.traffic import Traffic  # noqa: PLC0415 -- brings pandas, which a prediction need not wait for
    from treadle.simulation.world import open_world  # noqa: PLC0415 -- as above

    with connect(url) as client, _told(project.name):
        client.model(project.name)
    traffic = Traffic(url, project.name, project.contract.interface, open_world(workspace, project, seed=seed), pace)
    traffic.shifted = shifted

    async def run() -> "Tally":
        with _interruptible() as stop:
            await traffic.run(seconds, stop=stop)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(pace.delay, seconds))
            if not stop.is_set():
                await traffic.settle()
            return traffic.tally

    return asyncio.run(run())


@contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """Give an event that Ctrl-C sets, and end with KeyboardInterrupt then.

    To be cancelled, as asyncio would have it, is sometimes lost between a connection's time limits.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    mine = threading.current_thread() is threading.main_thread()
    if mine:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield stop
    finally:
        if mine:
            loop.remove_signal_handler(signal.SIGINT)
    if stop.is_set():
        raise KeyboardInterrupt


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON file: one object, a list of objects, or {"rows": [...]}; "-" is standard input.

    Raises:
        RowFileInvalid: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise RowFileInvalid(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RowFileInvalid(path, f"it is not JSON, {error}") from error
    if isinstance(content, dict):
        content = content.get("rows", [content])
    if not isinstance(content, list) or not content or not all(isinstance(row, dict) for row in content):
        raise RowFileInvalid(path, "it holds neither a row nor a list of rows")
    return content


def _refuse_constant(name: str) -> None:
    message = f"JSON has no {name}"
    raise ValueError(message)
