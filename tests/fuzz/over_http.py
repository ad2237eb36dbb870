"""Schemathesis against the running service: whatever the OpenAPI allows, and what it does not, with every check that there is.

``scripts/fuzz`` runs it for as long as it is told; tests run it for some seconds, and replay what it has found.
"""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import Interaction, ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData

from tests.fuzz.server import Server
from tests.fuzz.small_models import MODELS

CORPUS = Path(__file__).parent.parent / "corpus" / "http"
LARGEST = 4_000
"""Bytes of a request that is kept in the corpus; what is longer has a shorter one that reaches the same."""

BORN_WITH = frozenset({"connection", "content-length", "accept-encoding", "user-agent", "host", "transfer-encoding"})
"""Headers that whoever sends a request again makes anew; so are the key, and the id of a case."""

PLACES = {"", "predict", "labels", "models", "batch", "versions", "approve", "reject", "health", "ready", "metrics", *MODELS}
FIELDS = {name for interface in MODELS.values() for name in interface.feature_names}
FIELDS |= {"customer", "rows", "labels", "value", "at", "prediction_id", "request_id", "entity", "version", "X-Request-ID"}
"""What a request of the corpus is told apart by; everything else in it is what the fuzzer has made up."""

CHECKS: dict[str, Any] = {
    # A model that has no deployment, a body that is too slow or too large: 408 and 413 refuse as well as the usual ones.
    "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "405", "408", "411", "413", "415", "422", "429", "431"]},
    # A version that the gate has not judged cannot be approved, nor can a model be asked that is not there: 404 is an answer.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409"]},
}
"""All checks are on; these know the answers that are ours."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request of the corpus, and what it must be answered with. ``body`` is Latin-1, so that each byte is one character."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int
    what: str
    keys: bool = False

    @property
    def reached(self) -> str:
        """Return what this request has reached: of two that reach the same, one is enough."""
        return " ".join([self.method, _place(self.path), str(self.status), self.what, "keys" if self.keys else ""]).strip()


@dataclass
class Found:
    """What a run has seen."""

    cases: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    reached: dict[str, Kept] = field(default_factory=dict)

    def take(self, recorder: ScenarioRecorder, *, keys: bool) -> None:
        """Count a scenario, and keep what it reached first."""
        for case, interaction in recorder.interactions.items():
            self.cases += 1
            if interaction.response is None:
                self.failures[f"{recorder.label}: no answer"] = str(interaction.request.uri)
                continue
            self.statuses[str(interaction.response.status_code)] += 1
            kept = _kept(interaction, keys=keys)
            before = self.reached.get(kept.reached)
            if len(kept.body) + len(kept.path) <= LARGEST and (before is None or len(kept.body) < len(before.body)):
                self.reached[kept.reached] = kept
            for check in recorder.checks.get(case, []):
                self.checks[check.name] += 1
                if check.status == Status.FAILURE and check.failure_info is not None:
                    failure = check.failure_info.failure
                    told = f"{failure.title}: {failure.message}\n{interaction.request.method} {interaction.request.uri}\n{kept!r}"
                    self.failures.setdefault(f"{recorder.label}: {check.name}: {failure.title}", told)


def fuzz(server: Server, found: Found, *, seed: int, seconds: float, examples: int = 100, coverage: bool = True) -> None:
    """Ask ``server`` for at most so many ``seconds``, with up to so many ``examples`` of each operation in each way of making them."""
    description = described(server)
    settings: dict[str, Any] = {
        "seed": seed,
        "max-time": max(int(seconds), 1),
        "base-url": server.url,
        "continue-on-failure": True,
        "request-timeout": 60,
        "checks": CHECKS,
        "generation": {"max-examples": examples, "database": "none"},
        "phases": {"coverage": {"enabled": coverage}},
    }
    if server.token:
        settings["auth"] = {"openapi": {"key": {"api_key": server.token}, "bearer": {"bearer": server.token}}}
    schema = schemathesis.openapi.from_dict(description, config=SchemathesisConfig.from_dict(settings))
    schema.hook("filter_failure")(_is_ours)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.take(event.recorder, keys=server.token is not None)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            error = event.value if isinstance(event, events.NonFatalError) else event.exception
            found.failures[f"{type(error).__name__}"] = str(error)


TENSORS = "inference-header-content-length"

UNSAID = ("printable characters", "up to now", "a finite number")
"""What JSON Schema has no word for: text that a terminal can show, a time that has come, a number that only its text makes infinite."""


def _is_ours(_context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Tell whether a failure counts: not where what is refused fits the schema, and is of the kind that a schema cannot say."""
    if isinstance(failure, AcceptedNegativeData):
        # A header that says how binary tensors begin is of no use with JSON, and not looked at.
        return TENSORS not in {name.lower() for name in case.headers or {}}
    if not isinstance(failure, RejectedPositiveData):
        return True
    if case.media_type == "application/octet-stream":
        return False  # of bytes a schema says nothing at all
    problems = json.loads(response.content)["error"]["problems"]
    return not problems or not all(any(words in problem["allowed"] for words in UNSAID) for problem in problems)


def described(server: Server) -> dict[str, Any]:
    """Return what a server says of itself; where it has keys, "no key" is no way to ask."""
    description: dict[str, Any] = httpx.get(f"{server.url}/openapi.json", headers=server.headers, timeout=60).json()
    return {**description, "security": [one for one in description["security"] if one]} if server.token else description


def replay(server: Server, cases: Iterable[Kept]) -> list[str]:
    """Send requests of the corpus again; return those that are answered in another way than then, with the answer."""
    other: list[str] = []
    # The plain client of the standard library: httpx refuses headers that the fuzzer has sent.
    client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    for kept in cases:
        headers = {**kept.headers, **(server.headers if kept.status != 401 else {})}
        client.request(kept.method, kept.path, kept.body.encode("latin-1"), headers)
        answer = client.getresponse()
        got = answer.status, _what(answer.status, answer.read())
        if got != (kept.status, kept.what):
            other.append(f"{kept}: {got}")
    client.close()
    return other


def corpus() -> list[Kept]:
    """Return all that was kept."""
    return [msgspec.json.decode(line, type=Kept) for path in sorted(CORPUS.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def keep(found: Found, limit: int = 400) -> int:
    """Add to the corpus what nothing in it has reached; return how many it holds now."""
    known = {one.reached: one for one in corpus()}
    for reached, one in sorted(found.reached.items()):
        if len(known) < limit:
            known.setdefault(reached, one)
    for path in CORPUS.glob("*.jsonl"):
        path.unlink()
    CORPUS.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(known[reached]) for reached in sorted(known)]
    (CORPUS / "cases.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return len(known)


def rounds(servers: list[Server], *, seed: int, seconds: float) -> Iterator[tuple[int, Found]]:
    """Ask the servers in turn until the time is over, each round from a seed of its own; yield after each what was seen so far."""
    found, end = Found(), time.monotonic() + seconds
    number = 0
    while (left := end - time.monotonic()) > 1:
        # What is enumerated is the same in every round; the first two, one for each server, are enough. None may take all of the time.
        server, share = servers[number % len(servers)], max(seconds / 2 / len(servers), 30)
        fuzz(server, found, seed=seed + number, seconds=min(left, share), examples=150, coverage=number < len(servers))
        number += 1
        yield number, found


def _kept(interaction: Interaction, *, keys: bool) -> Kept:
    request, response = interaction.request, interaction.response
    assert response is not None
    url = httpx.URL(request.uri)
    headers = {name.lower(): values[0] for name, values in request.headers.items()}
    headers = {name: value for name, value in headers.items() if name not in BORN_WITH and not name.startswith("x-schemathesis")}
    headers = {name: value for name, value in headers.items() if response.status_code == 401 or name not in {"x-api-key", "authorization"}}
    body = (request.body or b"").decode("latin-1")
    what = _what(response.status_code, response.content or b"")
    return Kept(request.method, url.raw_path.decode(), headers, body, response.status_code, what, keys)


def _what(status: int, content: bytes) -> str:
    """Return what kind of error an answer tells of: which fields are refused, or which words its sentence begins with."""
    if status < 400:
        return ""
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    parts = {part for problem in error["problems"] for part in problem["field"].split(".")} & FIELDS
    return ", ".join(sorted(parts)[:3]) if parts else " ".join(word for word in error["what"].split()[:4] if "/" not in word)[:30]


def _place(path: str) -> str:
    """Return a path without what callers put into it."""
    parts = path.partition("?")[0].split("/")
    return "/".join(part if part in PLACES else "*" for part in parts)
