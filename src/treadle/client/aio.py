"""The client of programs on asyncio."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from treadle.client.answers import Consent, Health, Label, Model, ModelDetail, Prediction, Ready
from treadle.client.conversation import Asked, Conversation
from treadle.client.retrying import Attempt, Outcome, Reply, Talk
from treadle.client.terms import RETRIES, TIMEOUT_SECONDS, Clocks, Terms, patience

T = TypeVar("T")


class AsyncClient:
    """As ``Client``, with the same methods, to be awaited. Any number of tasks of one event loop may share it.

    Use as an async context manager, or call ``close``.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._clocks = clocks or Clocks()
        terms = Terms(url, key, timeout, retries, self._clocks)
        self._http = httpx.AsyncClient(**terms.connections(), transport=transport)
        self._conversation = Conversation(terms)

    async def predict(
        self,
        model: str,
        row: Mapping[str, Any],
        *,
        request_id: str | None = None,
        deadline: float | None = None,
        traceparent: str | None = None,
        version: int | None = None,
    ) -> Prediction:
        """As ``Client.predict``."""
        return await self._run(self._conversation.predict(model, row, Asked(request_id, deadline, traceparent, version)))

    async def predict_batch(
        self,
        model: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        request_id: str | None = None,
        deadline: float | None = None,
        traceparent: str | None = None,
        version: int | None = None,
    ) -> list[Prediction]:
        """As ``Client.predict_batch``."""
        return await self._run(self._conversation.predict_batch(model, rows, Asked(request_id, deadline, traceparent, version)))

    async def label(
        self,
        model: str,
        *,
        value: str | float,
        prediction_id: str | None = None,
        request_id: str | None = None,
        entity: str | None = None,
        at: float | None = None,
    ) -> int:
        """As ``Client.label``."""
        told = Label(value=value, prediction_id=prediction_id, request_id=request_id, entity=entity, at=at)
        return await self._run(self._conversation.labels(model, [told], None))

    async def labels(self, model: str, items: Iterable[Label | Mapping[str, Any]], *, deadline: float | None = None) -> int:
        """As ``Client.labels``."""
        return await self._run(self._conversation.labels(model, items, deadline))

    async def models(self) -> list[Model]:
        """As ``Client.models``."""
        return await self._run(self._conversation.models())

    async def model(self, name: str) -> ModelDetail:
        """As ``Client.model``."""
        return await self._run(self._conversation.model(name))

    async def health(self) -> Health:
        """As ``Client.health``."""
        return await self._run(self._conversation.health())

    async def ready(self) -> Ready:
        """As ``Client.ready``."""
        return await self._run(self._conversation.ready())

    async def approve(self, model: str, version: int, reason: str) -> Consent:
        """As ``Client.approve``."""
        return await self._run(self._conversation.consent("approve", model, version, reason))

    async def reject(self, model: str, version: int, reason: str) -> Consent:
        """As ``Client.reject``."""
        return await self._run(self._conversation.consent("reject", model, version, reason))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _run(self, talk: Talk[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Attempt):
                outcome = await self._send(step)
            else:
                outcome = None
                await self._clocks.pause(step.seconds)

    async def _send(self, attempt: Attempt) -> Outcome:
        request = attempt.request
        try:
            async with asyncio.timeout(attempt.seconds):
                response = await self._http.request(
                    request.method,
                    request.path,
                    content=request.content,
                    headers=attempt.headers,
                    timeout=patience(attempt.seconds),
                )
        except TimeoutError:
            return httpx.ReadTimeout("the answer took too long")
        except httpx.RequestError as error:
            return error
        return Reply(response.status_code, response.headers, response.content)
