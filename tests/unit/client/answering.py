"""A service that answers as a test says, behind the real clients, and clocks that a test turns."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from treadle.client import AsyncClient, Client
from treadle.client.terms import Clocks

URL = "http://service"
ANSWER: dict[str, Any] = {
    "prediction_id": "p-1",
    "model": "churn",
    "version": 3,
    "prediction": "yes",
    "confidence": 0.75,
    "probabilities": {"no": 0.25, "yes": 0.75},
    "fallback": False,
}
ROW = {"tenure": 1}

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def said(status: int, content: object = None, **headers: str) -> httpx.Response:
    """Return an answer of the service."""
    return httpx.Response(status, json=ANSWER if content is None else content, headers={k.replace("_", "-"): v for k, v in headers.items()})


def refusal(status: int, *fields: str, **headers: str) -> httpx.Response:
    """Return a refusal in the service's own words."""
    problems = [{"field": name, "value": 1, "allowed": "less"} for name in fields]
    return said(status, {"error": {"what": "No.", "fix": "Ask less.", "problems": problems}}, **headers)


@dataclass
class Machine:
    """Time that passes only while somebody waits, or as a request takes it; ``waits`` has every pause."""

    at: float = 1000.0
    share: float = 1.0
    waits: list[float] = field(default_factory=list)

    def clocks(self) -> Clocks:
        return Clocks(clock=self.time, now=self.time, chance=lambda: self.share, sleep=self.sleep, pause=self.pause)

    def time(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds

    async def pause(self, seconds: float) -> None:
        self.sleep(seconds)


class Service:
    """Gives one answer after the other, and the last one for ever; remembers what was asked."""

    def __init__(self, machine: Machine, answers: Sequence[Answer], took: float = 0.0) -> None:
        self.asked: list[httpx.Request] = []
        self._machine = machine
        self._answers = answers
        self._took = took

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(request)
        self._machine.at += self._took
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.asked]


class Caller:
    """One of the two clients, asked in the same way: ``caller("predict", ...)`` returns what the method gives."""

    def __init__(self, kind: str, machine: Machine) -> None:
        self.kind = kind
        self.machine = machine
        self.service = Service(machine, [said(200)])
        self.how: dict[str, Any] = {}

    def answered_by(self, *answers: Answer, took: float = 0.0) -> Service:
        self.service = Service(self.machine, answers, took)
        return self.service

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        how = {"transport": httpx.MockTransport(self.service), "clocks": self.machine.clocks(), **self.how}
        if self.kind == "sync":
            with Client(URL, **how) as client:
                return getattr(client, method)(*arguments, **named)

        async def asked() -> Any:
            async with AsyncClient(URL, **how) as client:
                found: Coroutine[Any, Any, Any] = getattr(client, method)(*arguments, **named)
                return await found

        return asyncio.run(asked())
