"""What the methods send, and what they make of the answers: the same for both clients."""

import inspect
import json
import subprocess
import sys
from datetime import date
from typing import Any
from uuid import UUID

import httpx
import msgspec
import numpy as np
import pytest

import treadle
from tests.unit.client.answering import ANSWER, ROW, URL, Caller, refusal, said
from treadle.client import AsyncClient, Client, Label, Model, Prediction, Refused, Role
from treadle.errors import BatchUnfinished, NoService, NotSendable, RequestRefused, ServiceUnreachable

METHODS = sorted(name for name in vars(Client) if not name.startswith("_"))


def batch(request: httpx.Request) -> httpx.Response:
    """Answer each row with its own place in the whole, which it carries."""
    rows = json.loads(request.content)["rows"]
    return httpx.Response(200, json={"predictions": [{**ANSWER, "prediction_id": f"p-{row['tenure']}"} for row in rows]})


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    assert sorted(name for name in vars(AsyncClient) if not name.startswith("_")) == METHODS
    for name in [*METHODS, "__init__"]:
        plain, waited = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))
        kinds = {one: str(parameter).replace("Async", "") for one, parameter in waited.parameters.items()}
        assert {one: str(parameter) for one, parameter in plain.parameters.items()} == kinds, name
        assert plain.return_annotation == waited.return_annotation, name


def test_the_package_offers_both_and_loads_little_for_it() -> None:
    heavy = {"fastapi", "mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "sqlalchemy", "starlette", "typer", "yaml"}
    code = f"import sys, treadle; treadle.Client, treadle.AsyncClient; print(sorted({heavy} & {{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (treadle.Client, treadle.AsyncClient) == (Client, AsyncClient)
    assert {"AsyncClient", "Client", "predict"} <= set(dir(treadle))


def test_a_prediction_has_what_the_service_said_and_how_it_was_asked(caller: Caller) -> None:
    body = msgspec.json.encode({**ANSWER, "of_a_newer_service": [1], "attempts": "many", "answer": 7, "request_id": 7})
    service = caller.answered_by(httpx.Response(200, content=body))
    found = caller("predict", "churn", ROW)
    (asked,) = service.asked
    assert (asked.method, asked.url.path, json.loads(asked.content)) == ("POST", "/predict/churn", ROW)
    assert UUID(found.request_id).version == 4
    assert asked.headers["x-request-id"] == found.request_id
    assert "authorization" not in asked.headers
    assert "x-request-deadline-ms" not in asked.headers
    assert not {"traceparent", "x-treadle-version"} & set(asked.headers)
    assert found == Prediction(**ANSWER, request_id=found.request_id, attempts=1, answer=body)
    assert found.value is None


def test_a_regression_has_a_value_and_no_probabilities(caller: Caller) -> None:
    caller.answered_by(said(200, {"prediction_id": "p", "model": "price", "version": 1, "prediction": 3, "fallback": True}))
    found = caller("predict", "price", ROW)
    assert (found.prediction, found.value, found.probabilities, found.confidence, found.fallback) == (3.0, 3.0, None, None, True)


def test_what_the_caller_says_of_a_call_is_sent(caller: Caller) -> None:
    caller.how["key"] = "tk_secret"
    service = caller.answered_by(said(200), took=1.0)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = caller("predict", "a model/b", ROW, request_id="order 7", deadline=2.5, traceparent=trace, version=3)
    (asked,) = service.asked
    assert asked.url.raw_path == b"/predict/a%20model%2Fb"
    assert asked.headers["authorization"] == "Bearer tk_secret"
    assert asked.headers["x-request-id"] == found.request_id == "order 7"
    assert asked.headers["x-request-deadline-ms"] == "2500"
    assert asked.headers["traceparent"] == trace
    assert asked.headers["x-treadle-version"] == "3"


def test_a_row_is_sent_as_json_has_it(caller: Caller) -> None:
    row = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": date(2026, 11, 21), "e": None, "f": "é"}  # noqa: FBT003
    service = caller.answered_by(said(200))
    caller("predict", "churn", row)
    assert service.bodies() == [{"a": 0.5, "b": 3, "c": True, "d": "2026-11-21", "e": None, "f": "é"}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "JSON"),
        (float("inf"), "JSON"),
        (object(), "JSON has no object"),
        ("\ud800", "surrogates"),
        (np.float64("nan"), "JSON"),
    ],
)
def test_what_json_does_not_have_is_refused_before_it_is_sent(caller: Caller, value: object, said: str) -> None:
    with pytest.raises(NotSendable, match=f"The row 1 cannot be sent: .*{said}"):
        caller("predict_batch", "churn", [ROW, {"tenure": value}])
    assert caller.service.asked == []


@pytest.mark.parametrize(
    "named",
    [{"request_id": "é"}, {"request_id": ""}, {"request_id": "x" * 201}, {"traceparent": "a\r\nb: c"}],
)
def test_a_header_that_would_not_be_taken_is_refused_before_it_is_sent(caller: Caller, named: dict[str, str]) -> None:
    with pytest.raises(NotSendable, match="1 to 200 printable ASCII characters"):
        caller("predict", "churn", ROW, **named)
    assert caller.service.asked == []


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(NotSendable) as caught:
        Client(URL, "tk_sécret")
    assert "cret" not in str(caught.value).replace("a secret", "")


@pytest.mark.parametrize("how", [{"timeout": 0}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"retries": -1}])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_terms_that_mean_nothing_are_refused(kind: type, how: dict[str, Any]) -> None:
    with pytest.raises(NotSendable, match="allowed"):
        kind(URL, **how)


@pytest.mark.parametrize("url", ["localhost:8000", "http://\0", "ftp://service", "http://", ""])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_address_is_told_at_once(kind: type, url: str) -> None:
    with pytest.raises(ServiceUnreachable):
        kind(url)


def test_a_password_in_the_address_is_not_told(caller: Caller) -> None:
    transport = httpx.MockTransport(caller.answered_by(refusal(422)))
    with Client("http://ada:hush@service", transport=transport) as client, pytest.raises(RequestRefused, match="//service ref") as caught:
        client.predict("churn", ROW)
    assert "hush" not in str(caught.value)
    with pytest.raises(ServiceUnreachable) as told:
        Client("ftp://ada:hush@service")
    assert "hush" not in str(told.value)


def test_a_path_before_the_service_is_kept(caller: Caller) -> None:
    service = caller.answered_by(said(200))
    transport = httpx.MockTransport(service)
    with Client(f"{URL}/behind/a/proxy/", transport=transport) as client:
        client.predict("churn", ROW)
    assert service.asked[0].url.path == "/behind/a/proxy/predict/churn"


# batches


def test_a_batch_keeps_its_order_over_as_many_requests_as_it_takes(caller: Caller) -> None:
    service = caller.answered_by(batch)
    found = caller("predict_batch", "churn", ({"tenure": place} for place in range(2501)), request_id="b", traceparent="t", deadline=9)
    assert [one.prediction_id for one in found] == [f"p-{place}" for place in range(2501)]
    assert [len(body["rows"]) for body in service.bodies()] == [1000, 1000, 501]
    assert [asked.headers["x-request-id"] for asked in service.asked] == ["b", "b.1", "b.2"]
    assert [asked.headers["traceparent"] for asked in service.asked] == ["t"] * 3
    assert [found[place].request_id for place in (0, 999, 1000, 2500)] == ["b/0", "b/999", "b.1/0", "b.2/500"]
    assert json.loads(found[7].answer) == {**ANSWER, "prediction_id": "p-7"}


def test_an_id_that_leaves_no_room_for_those_of_the_parts_is_refused_before_anything_is_sent(caller: Caller) -> None:
    with pytest.raises(NotSendable, match="request id"):
        caller("predict_batch", "churn", [ROW] * 1001, request_id="x" * 199)
    assert caller.service.asked == []


def test_rows_of_many_bytes_go_in_more_requests(caller: Caller) -> None:
    service = caller.answered_by(batch)
    rows = [{"tenure": place, "text": "x" * 3_000_000} for place in range(5)]
    assert len(caller("predict_batch", "churn", rows)) == 5
    assert [len(body["rows"]) for body in service.bodies()] == [2, 2, 1]
    assert max(len(asked.content) for asked in service.asked) < 8_000_000


def test_a_batch_without_rows_asks_nothing(caller: Caller) -> None:
    assert caller("predict_batch", "churn", []) == []
    assert caller("labels", "churn", []) == 0
    assert caller.service.asked == []


def test_a_later_part_that_fails_says_what_was_done_before_it(caller: Caller) -> None:
    caller.answered_by(batch, refusal(422, "rows.3.tenure", "rows.4", "rows", "other"))
    with pytest.raises(BatchUnfinished) as caught:
        caller("predict_batch", "churn", [{"tenure": place} for place in range(1500)])
    error = caught.value
    assert (error.done, len(error.answered)) == (1000, 1000)
    assert error.what.startswith("Only the first 1000 of 1500 are done. ")
    assert [line.split(" is ")[0] for line in error.problems] == ["rows.1003.tenure", "rows.1004", "rows", "other"]
    assert error.fix == "Ask less."
    assert isinstance(error.__cause__, RequestRefused)


def test_a_later_part_that_is_not_refused_but_lost_is_told_too(caller: Caller) -> None:
    caller.answered_by(batch, httpx.ConnectError("gone"))
    with pytest.raises(BatchUnfinished, match="No service answers") as caught:
        caller("predict_batch", "churn", [{"tenure": place} for place in range(1500)])
    assert isinstance(caught.value.__cause__, ServiceUnreachable)


def test_a_batch_with_another_number_of_answers_is_no_answer(caller: Caller) -> None:
    caller.answered_by(said(200, {"predictions": [ANSWER]}))
    with pytest.raises(NoService):
        caller("predict_batch", "churn", [ROW, ROW])


# labels, models, state, consent


def test_labels_are_told_by_any_of_three_keys(caller: Caller) -> None:
    service = caller.answered_by(said(202, {"accepted": 1, "note": ""}))
    assert caller("label", "churn", prediction_id="p", value="yes", at=17.5) == 1
    assert caller("label", "churn", request_id="r", value=2) == 1
    assert caller("label", "churn", entity="e", value="no") == 1
    assert {asked.url.path for asked in service.asked} == {"/labels/churn"}
    assert service.bodies() == [
        {"labels": [{"value": "yes", "prediction_id": "p", "at": 17.5}]},
        {"labels": [{"value": 2, "request_id": "r"}]},
        {"labels": [{"value": "no", "entity": "e"}]},
    ]


def test_many_labels_go_in_several_requests(caller: Caller) -> None:
    def take(request: httpx.Request) -> httpx.Response:
        return httpx.Response(202, json={"accepted": len(json.loads(request.content)["labels"])})

    service = caller.answered_by(take)
    items = [Label(value="yes", prediction_id=f"p-{place}") for place in range(1200)]
    assert caller("labels", "churn", [*items, {"value": "no", "entity": "e"}], deadline=3) == 1201
    assert [len(body["labels"]) for body in service.bodies()] == [1000, 201]
    assert service.bodies()[1]["labels"][-1] == {"value": "no", "entity": "e"}
    assert "x-request-deadline-ms" in service.asked[0].headers


def test_labels_of_a_later_part_that_are_refused_are_named_by_their_places(caller: Caller) -> None:
    caller.answered_by(said(202, {"accepted": 1000}), refusal(422, "labels.2.value"))
    with pytest.raises(BatchUnfinished) as caught:
        caller("labels", "churn", [{"value": "?", "entity": "e"}] * 1003)
    assert (caught.value.done, caught.value.answered) == (1000, ())
    assert caught.value.problems == ("labels.1002.value is 1; allowed: less",)


MODEL = {
    "model": "churn",
    "generation": 2,
    "version": 3,
    "roles": [{"role": "champion", "version": 3, "digest": "d", "weight": 1.0, "loaded": True, "new": 1}],
    "refused": {"generation": 4, "reason": "It is broken.", "new": 1},
    "new": 1,
}
DETAIL = {**MODEL, "digest": "d", "task": "binary", "schema": {"a": 1}, "example": {"b": 2}, "metrics": {}, "card": {}, "lineage": {}}


def test_the_models_are_told_as_types(caller: Caller) -> None:
    caller.answered_by(said(200, {"models": [MODEL]}))
    (model,) = caller("models")
    assert type(model) is Model
    assert model.roles == [Role(role="champion", version=3, digest="d", weight=1.0, loaded=True)]
    assert (model.version, model.refused) == (3, Refused(generation=4, reason="It is broken."))
    service = caller.answered_by(said(200, DETAIL))
    detail = caller("model", "churn")
    assert (detail.model, detail.row_schema, detail.example, detail.task) == ("churn", {"a": 1}, {"b": 2}, "binary")
    assert service.asked[0].url.path == "/models/churn"


def test_health_and_readiness_are_told_as_types(caller: Caller) -> None:
    caller.answered_by(said(200, {"status": "ok", "worker": 7, "treadle": "0.1.0", "new": 1}))
    assert caller("health").worker == 7
    missing = {"ready": False, "missing": ["A model."], "generations": {}, "refused": {}, "trouble": ""}
    service = caller.answered_by(said(503, missing))
    found = caller("ready")
    assert (found.ready, found.missing) == (False, ["A model."])
    assert len(service.asked) == 1
    service = caller.answered_by(refusal(503), said(200, missing | {"ready": True}))
    assert caller("ready").ready
    assert len(service.asked) == 2


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_person_agrees_or_refuses(caller: Caller, decision: str) -> None:
    told = {"id": "i", "model": "churn", "version": 3, "decision": decision, "actor": "ada", "verdict": None}
    service = caller.answered_by(said(202, told))
    assert caller(decision, "churn", 3, "Looked at it.").actor == "ada"
    assert service.asked[0].url.path == f"/models/churn/versions/3/{decision}"
    assert service.bodies() == [{"reason": "Looked at it."}]
