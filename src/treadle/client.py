"""Ask a running service, as its callers do."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from treadle.errors import NoService, RequestRefused, RowFileInvalid, ServiceUnreachable
from treadle.identity import key_header
from treadle.projects import Project
from treadle.serving.inference import BATCH_ROWS
from treadle.settings import Workspace

if TYPE_CHECKING:
    from treadle.simulation.traffic import Pace, Tally

TIMEOUT_SECONDS = 30.0


def address(workspace: Workspace) -> str:
    """Return where the workspace's own service answers.

    Raises:
        ServiceUnreachable: the service takes a free port, so that it alone knows its address.
    """
    url = workspace.api_url()
    if workspace.settings.port == 0:
        raise ServiceUnreachable(url, "the setting port is 0, so the service took a free one and said which when it started.")
    return url


def ask_rows(url: str, model: str, rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[dict[str, Any]]:
    """Return the service's answers to rows, in their order; errors call row i by ``places[i]``, such as "line 7".

    Raises:
        RequestRefused: the service refused the rows; the error carries its reasons.
        ServiceUnreachable, NoService: nothing answers there, or something else does.
    """
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), BATCH_ROWS):
        named = partial(_placed, places[start : start + BATCH_ROWS])
        body = {"rows": rows[start : start + BATCH_ROWS]}
        answers += _ask(url, f"/predict/{model}/batch", model, "predictions", body, named)
    return answers


def _placed(places: Sequence[str], field: str) -> str:
    """Return what a person calls a field of a batch: rows.0.tenure is "line 2: tenure" where the first row stands there."""
    _, _, rest = field.partition("rows.")
    number, _, name = rest.partition(".")
    if not number.isdigit() or int(number) >= len(places):
        return _whole(field)
    return f"{places[int(number)]}: {name}" if name else places[int(number)]


def label(url: str, model: str, content: Mapping[str, Any]) -> int:
    """Tell one label and return how many the service took; keys without a value are left out. Raises as ``ask_rows`` does."""
    told = {key: value for key, value in content.items() if value is not None}
    accepted: int = _ask(url, f"/labels/{model}", model, "accepted", {"labels": [told]})
    return accepted


def simulate(  # noqa: PLR0913
    workspace: Workspace, project: Project, pace: "Pace", *, url: str, seconds: float, shifted: bool, seed: int
) -> "Tally":
    """Send simulated traffic for ``seconds``, tell its labels, and return the tally. Raises as ``ask_rows`` does."""
    from treadle.simulation.traffic import Traffic  # noqa: PLC0415 -- brings pandas, which a prediction need not wait for
    from treadle.simulation.world import open_world  # noqa: PLC0415 -- as above

    _ask(url, f"/models/{project.name}", project.name, "version")
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


def _whole(field: str) -> str:
    return field or "the row"


def _ask(url: str, path: str, model: str, key: str, body: Mapping[str, Any] | None = None, named: Callable[[str], str] = _whole) -> Any:
    """Return the value of ``key`` in the service's answer to a GET or, with a body, to a POST; ``named`` says what to call a field."""
    headers = {"content-type": "application/json", **key_header()}
    content = None if body is None else json.dumps(body)
    try:
        method = "GET" if body is None else "POST"
        response = httpx.request(method, url.rstrip("/") + path, content=content, headers=headers, timeout=TIMEOUT_SECONDS)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ServiceUnreachable(url, f"{str(error) or type(error).__name__}.") from error
    try:
        if response.is_success:
            return response.json()[key]
        refusal = _refusal(url, model, response.status_code, response.json()["error"], named)
    except (ValueError, TypeError, KeyError) as error:
        raise NoService(url, f"it answers {response.status_code} to {path}, in words of its own.") from error
    raise refusal


def _refusal(url: str, model: str, status: int, told: Mapping[str, Any], named: Callable[[str], str]) -> RequestRefused:
    """Return what the service said, as an error of our own."""
    problems = [f"{named(one['field'])} is {one['value']!r}; allowed: {one['allowed']}" for one in told["problems"]]
    fix = f"`treadle train {model}`, then `treadle promote {model}`; `treadle status` shows what is deployed."
    return RequestRefused(url, status, told["what"], problems=problems, fix=fix if status == httpx.codes.NOT_FOUND else told["fix"])
