"""What can be asked of a service, each call as its steps. ``Client`` and ``AsyncClient`` take the steps, and document the calls."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import msgspec

from treadle.client import answers
from treadle.client.answers import Consent, Health, Label, Model, ModelDetail, Prediction, Ready
from treadle.client.request import Piece, Request, encoded, path_of, pieces, sendable
from treadle.client.retrying import Deadline, Talk, exchange
from treadle.client.terms import Terms
from treadle.errors import BatchUnfinished, RequestRefused, TreadleError

T = TypeVar("T")


class Asked(NamedTuple):
    """What the caller says about a call besides what it is about."""

    request_id: str | None = None
    deadline: float | None = None
    traceparent: str | None = None
    version: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of a call that is logged; without an id of the caller it gets one of its own.

        Raises:
            NotSendable: a header would not be taken.
        """
        named = {"X-Request-ID": str(uuid.uuid4()) if self.request_id is None else sendable("request id", self.request_id)}
        if self.traceparent is not None:
            named["traceparent"] = sendable("traceparent", self.traceparent)
        if self.version is not None:
            named["X-Treadle-Version"] = str(self.version)
        return named


class Conversation:
    """All calls to one service on the same terms."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def predict(self, model: str, row: Mapping[str, Any], asked: Asked) -> Talk[Prediction]:
        """Ask for one row."""
        headers = asked.headers()

        def read(body: bytes, attempts: int) -> Prediction:
            return answers.prediction(body, headers["X-Request-ID"], attempts)

        request = Request("POST", path_of("predict", model), read, encoded("row", row), headers)
        return (yield from exchange(self._terms, request, self._until(asked.deadline)))

    def predict_batch(self, model: str, rows: Iterable[Mapping[str, Any]], asked: Asked) -> Talk[list[Prediction]]:
        """Ask for many rows, in as many requests as it takes; the second has the request id <id>.1, and so on."""
        headers = asked.headers()
        until = self._until(asked.deadline)
        whole = list(pieces("rows", rows))
        # A part of a batch needs an id of its own: the service numbers the rows of each request from 0.
        name = headers["X-Request-ID"]
        names = [name, *(sendable("request id", f"{name}.{number}") for number in range(1, len(whole)))]
        found: list[Prediction] = []
        for own, piece in zip(names, whole, strict=False):
            read = partial(_answers, piece.size, own)
            request = Request("POST", path_of("predict", model, "batch"), read, piece.body, headers | {"X-Request-ID": own})
            found += yield from self._part("rows", request, piece, until, whole, found)
        return found

    def labels(self, model: str, items: Iterable[Label | Mapping[str, Any]], deadline: float | None) -> Talk[int]:
        """Tell many labels, in as many requests as it takes."""
        until = self._until(deadline)
        whole = list(pieces("labels", items))
        count = 0
        for piece in whole:
            request = Request("POST", path_of("labels", model), _whole(answers.accepted), piece.body)
            count += yield from self._part("labels", request, piece, until, whole, ())
        return count

    def models(self) -> Talk[list[Model]]:
        """Ask what is deployed."""
        return self._get(_whole(answers.models), "models")

    def model(self, name: str) -> Talk[ModelDetail]:
        """Ask about one model."""
        return self._get(_typed(ModelDetail), "models", name)

    def health(self) -> Talk[Health]:
        """Ask whether a process answers."""
        return self._get(_typed(Health), "health")

    def ready(self) -> Talk[Ready]:
        """Ask whether a worker can do its work; that it cannot is an answer too."""
        request = Request("GET", path_of("ready"), _typed(Ready), statuses=(HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE))
        return exchange(self._terms, request, self._until(None))

    def consent(self, decision: str, model: str, version: int, reason: str) -> Talk[Consent]:
        """Agree to a version, or refuse it. It is not said twice where it may have been heard."""
        path = path_of("models", model, "versions", version, decision)
        request = Request("POST", path, _typed(Consent), encoded("reason", {"reason": reason}), again=False)
        return exchange(self._terms, request, self._until(None))

    def _get(self, read: Callable[[bytes, int], T], *path: str) -> Talk[T]:
        return exchange(self._terms, Request("GET", path_of(*path), read), self._until(None))

    def _until(self, seconds: float | None) -> Deadline:
        return Deadline(seconds, self._terms.clocks.clock)

    def _part(
        self, key: str, request: Request[T], piece: Piece, until: Deadline, whole: Sequence[Piece], found: Sequence[Prediction]
    ) -> Talk[T]:
        """Send one part of a batch; a failure names the places of the whole, and says what was done before it."""
        try:
            return (yield from exchange(self._terms, request, until))
        except TreadleError as error:
            if not piece.start:
                raise
            placed = _placed(error, key, piece.start)
            total = whole[-1].start + whole[-1].size
            raise BatchUnfinished(piece.start, total, placed.what, answered=found, problems=placed.problems, fix=placed.fix) from placed


def _answers(count: int, request_id: str, body: bytes, attempts: int) -> list[Prediction]:
    return answers.predictions(body, count, request_id, attempts)


def _whole(read: Callable[[bytes], T]) -> Callable[[bytes, int], T]:
    return lambda body, _attempts: read(body)


def _typed(kind: type[T]) -> Callable[[bytes, int], T]:
    return lambda body, _attempts: msgspec.json.decode(body, type=kind)


def _placed(error: TreadleError, key: str, start: int) -> TreadleError:
    """Return a refusal whose fields count from the start of the whole batch: rows.3.age of its second part is rows.1003.age."""
    if not isinstance(error, RequestRefused):
        return error
    fields = []
    for one in error.fields:
        first, _, rest = one.field.partition(".")
        number, dot, name = rest.partition(".")
        known = first == key and number.isdigit()
        fields.append(one._replace(field=f"{key}.{int(number) + start}{dot}{name}") if known else one)
    placed = type(error)(error.url, error.status, error.said, fields=fields, fix=error.fix, retry_after=error.retry_after)
    placed.lost = error.lost
    return placed
