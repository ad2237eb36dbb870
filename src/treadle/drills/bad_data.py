"""A drill about data that are wrong: requests that break the contract, requests that are none, and a file of bad rows."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
from pandas import DataFrame

from treadle.checking.requests import wrong_rows
from treadle.data.sources import fetch
from treadle.data.validate import require_valid
from treadle.drills.report import Plan, Seen
from treadle.drills.scene import TIMEOUT_SECONDS, Scene
from treadle.engine.encode import example
from treadle.errors import DataInvalid
from treadle.spec import CategoryFeature, Interface
from treadle.state import log

PLAN = Plan(
    broken="Callers send rows that break the contract and bodies that are no JSON, good rows between them; a data file holds bad rows.",
    expected="Each bad request is refused (422 or 400) with the name of its field, each good one is answered and logged, none is lost; "
    "the bad file is refused before anything is trained.",
    watch=("treadle status", "treadle validate {model}"),
    left="Nothing but the good rows in the log: no file is written, no version is made.",
)

SHIPPING_SECONDS = 15.0
REFUSED = {400, 422}


def bad_data(scene: Scene) -> Seen:
    """Send bad and good requests by turns, and refuse a bad file."""
    scene.require_service()
    interface = scene.project.contract.interface
    row, path = example(interface), f"{scene.url.rstrip('/')}/predict/{scene.model}"
    before, statuses, answered, last = _logged(scene), Counter[int](), 0, ""
    end = time.monotonic() + scene.seconds
    with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
        for body in _bad_bodies(interface, row):
            refusal = client.post(path, content=body, headers={"content-type": "application/json"})
            statuses[refusal.status_code] += 1
            last = _said(refusal) or last
            answered += client.post(path, json=row).is_success
            if time.monotonic() > end:
                break
    sent = statuses.total()
    refused = sum(count for status, count in statuses.items() if status in REFUSED)
    logged = _wait_for_log(scene, before + answered) - before
    file = _refused_file(scene)
    told = (
        f"{refused} of {sent} bad requests were refused ({', '.join(f'{status}: {count}' for status, count in sorted(statuses.items()))}).",
        f"The last of them was told: {last}",
        f"{answered} of {sent} good requests between them were answered, and {logged} stand in the log.",
        file or "The bad file was taken.",
    )
    return Seen(refused == sent == answered <= logged and bool(file), told)


def _bad_bodies(interface: Interface, row: dict[str, Any]) -> Iterator[bytes]:
    yield b"{"
    yield b"[]"
    yield b"null"
    yield b'{"' + b"x" * 1000 + b'": 1}'
    for _, _, payload in wrong_rows(interface, row):
        yield json.dumps(payload).encode()  # a number that is none becomes NaN, which is no JSON


def _said(refusal: httpx.Response) -> str:
    try:
        problems = refusal.json()["error"]["problems"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f"{problems[0]['field']} is {problems[0]['value']!r}; allowed: {problems[0]['allowed']}" if problems else ""


def _logged(scene: Scene) -> int:
    with scene.store.read() as conn:
        return sum(log.totals(conn, scene.model).values())


def _wait_for_log(scene: Scene, wanted: int) -> int:
    """Return how many predictions are logged, once they are as many as ``wanted`` or have had time to be shipped."""
    end = time.monotonic() + SHIPPING_SECONDS
    while (found := _logged(scene)) < wanted and time.monotonic() < end:
        time.sleep(0.2)
    return found


def _refused_file(scene: Scene) -> str:
    """Return why rows with one value broken in each column are refused; "" if they are not."""
    frame = fetch(scene.project, scene.workspace, seed=scene.seed).frame
    try:
        require_valid(scene.project.contract, _broken(scene.project.contract.interface, frame))
    except DataInvalid as error:
        return f"The bad file was refused: {error.problems[0]} ({len(error.problems)} problems)."
    return ""


def _broken(interface: Interface, frame: DataFrame) -> DataFrame:
    broken = frame.astype({feature.name: object for feature in interface.features})
    for number, feature in enumerate(interface.features):
        broken.loc[broken.index[number % len(broken)], feature.name] = "no such value" if isinstance(feature, CategoryFeature) else "text"
    return broken
