"""Talk to a running service from the command line."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from treadle.engine.encode import example
from treadle.errors import RequestRefused, RowFileInvalid, ServiceUnreachable
from treadle.projects import Project
from treadle.settings import Workspace
from treadle.simulation.traffic import Pace, Tally, Traffic
from treadle.simulation.world import open_world

TIMEOUT_SECONDS = 30.0


def address(workspace: Workspace) -> str:
    """Return where the workspace's own service answers."""
    return f"http://{workspace.settings.host}:{workspace.settings.port}"


def predict(url: str, project: Project, rows: Path | None) -> list[dict[str, Any]]:
    """Return the service's answers for the rows of a file, or for the contract's example.

    Raises:
        RowFileInvalid: the file is not JSON with a row or a list of rows.
        RequestRefused: the service refused the rows; the error carries its reasons.
        ServiceUnreachable: nothing answers there.
    """
    payloads = [example(project.contract.interface)] if rows is None else read_rows(rows)
    answers: list[dict[str, Any]] = _post(url, f"/predict/{project.name}/batch", {"rows": payloads})["predictions"]
    return answers


def label(url: str, model: str, content: Mapping[str, Any]) -> None:
    """Tell one label; keys without a value are left out."""
    _post(url, f"/labels/{model}", {"labels": [{key: value for key, value in content.items() if value is not None}]})


def simulate(workspace: Workspace, project: Project, pace: Pace, *, url: str, seconds: float, shifted: bool, seed: int) -> Tally:  # noqa: PLR0913
    """Send simulated traffic for ``seconds``, tell its labels, and return the tally."""
    traffic = Traffic(url, project.name, project.contract.interface, open_world(workspace, project, seed=seed), pace)
    traffic.shifted = shifted

    async def run() -> Tally:
        await traffic.run(seconds)
        await asyncio.sleep(min(pace.delay, seconds))
        await traffic.settle()
        return traffic.tally

    return asyncio.run(run())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON file: one object, a list of objects, or {"rows": [...]}; "-" is standard input.

    Raises:
        RowFileInvalid: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RowFileInvalid(path, str(error)) from error
    if isinstance(content, dict):
        content = content.get("rows", [content])
    if not isinstance(content, list) or not content or not all(isinstance(row, dict) for row in content):
        raise RowFileInvalid(path, "it holds neither a row nor a list of rows")
    return content


def answer_lines(answers: list[dict[str, Any]]) -> str:
    """Return one line per answer, for a person."""
    return "\n".join(_answer_line(answer) for answer in answers)


def _answer_line(answer: Mapping[str, Any]) -> str:
    confidence = answer.get("confidence")
    sure = f" (confidence {confidence:.3f})" if confidence is not None else ""
    return f"{answer['prediction']}{sure}  {answer['model']} version {answer['version']}, prediction {answer['prediction_id']}"


def _post(url: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        response = httpx.post(url.rstrip("/") + path, json=body, timeout=TIMEOUT_SECONDS)
    except httpx.TransportError as error:
        raise ServiceUnreachable(url, str(error)) from error
    if not response.is_success:
        raise RequestRefused(url + path, response.status_code, response.text)
    content: dict[str, Any] = response.json()
    return content
