"""The client of programs with threads."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from treadle.client.answers import Consent, Health, Label, Model, ModelDetail, Prediction, Ready
from treadle.client.conversation import Asked, Conversation
from treadle.client.retrying import Attempt, Outcome, Reply, Talk
from treadle.client.terms import RETRIES, TIMEOUT_SECONDS, Clocks, Terms, patience

T = TypeVar("T")


class Client:
    """Ask one running service. Any number of threads may share a client; it is closed by ``close``, or at the end of a ``with``.

    Every call may raise, besides what its own description says:
        ServiceUnreachable: no connection could be made.
        AnswerLost: a request was sent, and no answer came.
        RequestRefused: the service does not take it, and says why.
        ServiceUnavailable: it cannot do this now, and still could not at the last attempt.
        NoService: something else answers at the address.

    Args:
        url: where the service answers, such as http://127.0.0.1:8000.
        key: a key, where the service asks for one.
        timeout: most seconds that one attempt waits for its answer.
        retries: how many more attempts a call may take after its first.
        transport: what carries requests instead of httpx's own, for certificates or proxies of your own.
        clocks: what tells time and chance, and how to wait.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        transport: httpx.BaseTransport | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._clocks = clocks or Clocks()
        terms = Terms(url, key, timeout, retries, self._clocks)
        self._http = httpx.Client(**terms.connections(), transport=transport)
        self._conversation = Conversation(terms)

    def predict(
        self,
        model: str,
        row: Mapping[str, Any],
        *,
        request_id: str | None = None,
        deadline: float | None = None,
        traceparent: str | None = None,
        version: int | None = None,
    ) -> Prediction:
        """Return the answer to one row.

        Args:
            model: name of the model.
            row: a value per feature, and the entity if the contract names one and you like.
            request_id: your own id of this call, logged with the prediction; without it, a fresh UUID.
            deadline: seconds until the call must have ended, over all attempts; the service is told how many are left.
            traceparent: a W3C trace context to pass on.
            version: the version that is to answer, to try one that has a role; without it, the service chooses.

        Raises:
            DeadlinePassed: there is no answer at the deadline.
            NotSendable: the row holds what JSON does not have, or a header would not be taken.
        """
        return self._run(self._conversation.predict(model, row, Asked(request_id, deadline, traceparent, version)))

    def predict_batch(
        self,
        model: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        request_id: str | None = None,
        deadline: float | None = None,
        traceparent: str | None = None,
        version: int | None = None,
    ) -> list[Prediction]:
        """Return the answers to any number of rows, in their order; more than 1,000 go in several requests.

        Each prediction says the request id that its row is logged under: row i of the first request has ``<request_id>/<i>``, row i
        of the second ``<request_id>.1/<i>``. The deadline is that of all of them together. The rest is as in ``predict``.

        Raises:
            BatchUnfinished: a later request failed; the error has the answers to the rows before it.
        """
        return self._run(self._conversation.predict_batch(model, rows, Asked(request_id, deadline, traceparent, version)))

    def label(
        self,
        model: str,
        *,
        value: str | float,
        prediction_id: str | None = None,
        request_id: str | None = None,
        entity: str | None = None,
        at: float | None = None,
    ) -> int:
        """Tell what turned out to be true for one prediction, and return how many labels were taken: 1.

        Args:
            model: name of the model.
            value: the true class, or the true number.
            prediction_id: id of the prediction; exactly one of this, ``request_id`` and ``entity`` names it.
            request_id: the id of the call.
            entity: whom the row was about: its latest prediction at or before ``at``.
            at: when it became true, in epoch seconds; without it, now.
        """
        told = Label(value=value, prediction_id=prediction_id, request_id=request_id, entity=entity, at=at)
        return self._run(self._conversation.labels(model, [told], None))

    def labels(self, model: str, items: Iterable[Label | Mapping[str, Any]], *, deadline: float | None = None) -> int:
        """Tell any number of labels, and return how many were taken; more than 1,000 go in several requests.

        Raises:
            BatchUnfinished: a later request failed; the error says how many labels were taken before it.
            DeadlinePassed, NotSendable: as in ``predict``.
        """
        return self._run(self._conversation.labels(model, items, deadline))

    def models(self) -> list[Model]:
        """Return every deployed model: generation, versions by role, weights."""
        return self._run(self._conversation.models())

    def model(self, name: str) -> ModelDetail:
        """Return one model with what its champion's bundle says: schema, example, metrics, card, lineage."""
        return self._run(self._conversation.model(name))

    def health(self) -> Health:
        """Return which process answers."""
        return self._run(self._conversation.health())

    def ready(self) -> Ready:
        """Return whether every deployed model can be asked. That one cannot is an answer too, and is not asked again."""
        return self._run(self._conversation.ready())

    def approve(self, model: str, version: int, reason: str) -> Consent:
        """Agree to a version that the gate has let pass. It is not sent again where it may have been heard."""
        return self._run(self._conversation.consent("approve", model, version, reason))

    def reject(self, model: str, version: int, reason: str) -> Consent:
        """Refuse a version that the gate has let pass; as ``approve``."""
        return self._run(self._conversation.consent("reject", model, version, reason))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, talk: Talk[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = talk.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Attempt):
                outcome = self._send(step)
            else:
                outcome = None
                self._clocks.sleep(step.seconds)

    def _send(self, attempt: Attempt) -> Outcome:
        end = self._clocks.clock() + attempt.seconds
        request, body = attempt.request, bytearray()
        try:
            with self._http.stream(
                request.method, request.path, content=request.content, headers=attempt.headers, timeout=patience(attempt.seconds)
            ) as response:
                for part in response.iter_bytes():
                    body += part
                    if self._clocks.clock() > end:
                        return httpx.ReadTimeout("the answer took too long")
        except httpx.RequestError as error:
            return error
        return Reply(response.status_code, response.headers, bytes(body))
