import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import small_bundles
from tests.small_bundles import ROW
from tests.small_service import Service
from treadle import errors
from treadle.errors import TreadleError
from treadle.identity import Keys
from treadle.serving import status
from treadle.serving.labels import QUEUED
from treadle.serving.request import BODY_BYTES

FORBIDDEN = ["sklearn", "mlflow", "pandas", "torch", "lightgbm", "xgboost", "scipy", "pandera", "dvc", "joblib", "cloudpickle", "onnx"]


@pytest.fixture
def live(service: Service) -> Service:
    """Return a service with a classification and a regression."""
    service.deploy(service.slot(small_bundles.valuing(), 4, interface=small_bundles.VALUE), model="houses")
    service.follow(service.slot(small_bundles.answering(), 1))
    return service


def problem(answer: Any) -> dict[str, Any]:
    """Return the error of an answer, which always has the same three keys."""
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["what", "fix", "problems"]
    return error


def test_importing_the_app_loads_no_training_library() -> None:
    code = f"import sys, treadle.serving.worker, treadle.serving.supervisor; print([name for name in {FORBIDDEN} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_predict(live: Service) -> None:
    answer = live.ask("POST", "/predict/churn", json=ROW, headers={"X-Request-ID": "order-7"})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-request-id"] == "order-7"
    (record,) = live.predictions()
    assert (record.answer, record.request_id) == (answer.text, "order-7")


def test_batch(live: Service) -> None:
    answer = live.ask("POST", "/predict/churn/batch", json={"rows": [ROW, {"tenure": 9, "spend": 9}]})

    assert [item["version"] for item in answer.json()["predictions"]] == [1, 1]
    assert sorted(record.answer for record in live.predictions()) == sorted(
        answer.text[len('{"predictions":[') : -2].replace('},{"pred', '}\n{"pred').split("\n")
    )


@pytest.mark.parametrize(
    ("payload", "field", "value", "allowed"),
    [
        ({"tenure": 101, "spend": 1}, "tenure", 101, "a whole number from 0 to 100"),
        ({"tenure": "2", "spend": 1}, "tenure", "2", "a whole number from 0 to 100"),
        ({"tenure": 2}, "spend", None, "a number from 0 to 1000; it is required"),
        ({**ROW, "colour": "red"}, "colour", "red", "no such field: choose from customer, spend, tenure"),
        ([1, 2], "", "a list", "an object with a value per feature"),
    ],
)
def test_a_refused_row_names_field_value_and_what_is_allowed(
    live: Service, payload: object, field: str, value: object, allowed: str
) -> None:
    answer = live.ask("POST", "/predict/churn", json=payload)

    assert answer.status_code == 422
    assert problem(answer)["problems"] == [{"field": field, "value": value, "allowed": allowed}]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"tenure": NaN}', b"\xff", b'"\xff"', b"[" * 100_000], ids=["empty", "cut", "nan", "bytes", "text", "deep"]
)
@pytest.mark.parametrize("path", ["/predict/churn", "/predict/churn/batch", "/labels/churn"])
def test_a_body_that_is_no_json_is_refused_in_the_same_shape(live: Service, path: str, body: bytes) -> None:
    answer = live.ask("POST", path, content=body)

    assert answer.status_code == 422
    assert "is not JSON" in problem(answer)["what"]


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/predict/churn", b'{"tenure": 2, "spend": 3, "tenure": 4}', "tenure"),
        ("/predict/churn/batch", b'{"rows": [{"tenure": 2, "spend": 3}, {"spend": 1, "tenure": 2, "spend": 3}]}', "spend"),
        ("/predict/churn/batch", b'{"rows": [{"tenure": 2, "spend": 3}], "rows": [{"tenure": 2, "spend": 3}]}', "rows"),
        ("/labels/churn", b'{"labels": [{"entity": "a", "value": "yes", "value": "no"}]}', "value"),
    ],
)
def test_a_key_that_stands_twice_is_refused(live: Service, path: str, body: bytes, key: str) -> None:
    answer = live.ask("POST", path, content=body)

    assert answer.status_code == 422
    told = {"field": key, "value": None, "allowed": "a key that stands once in its object; this one stands twice"}
    assert problem(answer)["problems"] == [told]
    assert (live.predictions(), live.labels()) == ([], [])


def test_a_colon_in_a_text_is_no_key(live: Service) -> None:
    assert live.ask("POST", "/predict/churn", json={**ROW, "customer": 'a:b":c'}).status_code == 200


@pytest.mark.parametrize("path", ["/predict/churn/batch", "/labels/churn"])
@pytest.mark.parametrize("payload", [[], {}, {"rows": [ROW], "more": 1}, {"rows": 1}, {"labels": {}}, {"labels": []}, 1])
def test_an_envelope_of_another_shape_is_refused(live: Service, path: str, payload: object) -> None:
    answer = live.ask("POST", path, json=payload)

    assert answer.status_code == 422
    assert problem(answer)["problems"]


def test_a_fix_names_the_model_that_was_asked(live: Service) -> None:
    refused = live.ask("POST", "/predict/churn", json={**ROW, "tenure": "long"})
    no_json = live.ask("POST", "/predict/churn", content=b"tenure=2")
    key = {"X-API-Key": Keys(live.bundles.parent).create("ada", ["approve"])}
    version = live.ask("POST", "/models/churn/versions/0/approve", json={"reason": "It is good."}, headers=key)

    assert problem(refused)["fix"] == "GET /models/churn shows every feature, and an example that works."
    assert problem(no_json)["fix"] == "Send JSON as in the example of GET /models/churn."
    assert (version.status_code, problem(version)["fix"]) == (422, "GET /models/churn shows which version has which role.")
    assert problem(version)["problems"] == [{"field": "version", "value": "0", "allowed": "a whole number from 1 on"}]


def test_a_fix_names_no_model_that_is_not_served(live: Service) -> None:
    assert "GET /models/<model>" in problem(live.ask("POST", "/predict/nobody", content=b"tenure=2"))["fix"]


def test_an_envelope_is_told_with_what_it_held_and_what_to_send(live: Service) -> None:
    told = problem(live.ask("POST", "/predict/churn/batch", json={"row": ROW}))

    assert told["problems"] == [{"field": "", "value": "an object with the keys row", "allowed": "an object with the one key rows"}]
    assert told["fix"] == 'The body is {"rows": [...]}; GET /models/churn has an example of a row.'
    assert problem(live.ask("POST", "/labels/churn", json={}))["problems"][0]["value"] == "an object without a key"
    assert '{"prediction_id": "...", "value": "..."}' in problem(live.ask("POST", "/labels/churn", json={}))["fix"]
    reason = live.ask(
        "POST",
        "/models/churn/versions/1/approve",
        json=["good"],
        headers={"X-API-Key": Keys(live.bundles.parent).create("ada", ["approve"])},
    )
    assert problem(reason)["fix"] == 'The body is {"reason": "..."}.'


def test_a_body_that_is_too_large_is_refused(live: Service) -> None:
    answer = live.ask("POST", "/predict/churn", content=b" " * (BODY_BYTES + 1))

    assert answer.status_code == 413
    problem(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/predict/nobody"), ("POST", "/predict/nobody/batch"), ("POST", "/labels/nobody"), ("GET", "/models/nobody")],
)
def test_an_unknown_model_is_a_404_that_lists_those_there_are(live: Service, method: str, path: str) -> None:
    body = {"rows": [ROW]} if "batch" in path else {"labels": [{"entity": "c", "value": "no"}]}

    answer = live.ask(method, path, **({"json": body} if method == "POST" else {}))

    assert answer.status_code == 404
    assert problem(answer)["what"] == "There is no model 'nobody' here: choose from churn, houses."


def test_unknown_paths_and_methods_are_told_in_the_same_shape(live: Service) -> None:
    nowhere, wrong = live.ask("GET", "/nowhere"), live.ask("GET", "/predict/churn")

    assert (nowhere.status_code, wrong.status_code, wrong.headers["allow"]) == (404, 405, "POST")
    assert "GET /nowhere" in problem(nowhere)["what"]
    assert "GET /predict/churn" in problem(wrong)["what"]


def test_a_fault_of_ours_is_a_500_in_the_same_shape(live: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.inference, "predict_batch", None)

    answer = live.ask("POST", "/predict/churn/batch", json={"rows": [ROW]})

    assert answer.status_code == 500
    assert problem(answer)["what"] == "The server failed on this request."


def test_a_full_disk_is_a_503_and_no_answer(live: Service, tmp_path: Path) -> None:
    live.spool.close()
    live.spool_folder.rename(tmp_path / "away")
    live.spool_folder.write_text("no folder")

    answers = [
        live.ask("POST", "/predict/churn", json=ROW),
        live.ask("POST", "/predict/churn/batch", json={"rows": [ROW]}),
        live.ask("POST", "/labels/churn", json={"labels": [{"entity": "c", "value": "no"}]}),
    ]

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "1")] * 3
    assert all("cannot be written" in problem(answer)["what"] for answer in answers)


def test_when_no_version_can_answer_it_is_a_503(live: Service) -> None:
    live.follow(live.slot(small_bundles.failing(), 2))

    answer = live.ask("POST", "/predict/churn", json=ROW)

    assert answer.status_code == 503
    assert "Version 2" in problem(answer)["what"]


@pytest.mark.parametrize("name", ["x" * 201, "tab\tin", "\x7f", "é".encode()])
def test_a_request_id_that_cannot_be_logged_is_refused(live: Service, name: str | bytes) -> None:
    answer = live.ask("POST", "/predict/churn", json=ROW, headers={"X-Request-ID": name})

    assert answer.status_code == 422
    assert problem(answer)["problems"][0]["field"] == "X-Request-ID"


def test_the_request_id_comes_back_with_errors_too(live: Service) -> None:
    assert live.ask("POST", "/predict/nobody", json=ROW, headers={"X-Request-ID": "r-1"}).headers["x-request-id"] == "r-1"
    assert "x-request-id" not in live.ask("GET", "/health").headers


def test_labels_are_logged(live: Service) -> None:
    labels = [
        {"prediction_id": "p", "value": "yes"},
        {"request_id": "r", "value": "no", "at": 1.5},
        {"entity": "c", "value": "no", "prediction_id": None},
    ]

    answer = live.ask("POST", "/labels/churn", json={"labels": labels})

    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "note": QUEUED})
    logged = [
        (record.prediction_id, record.request_id, record.entity, record.value, record.event_at, record.received_at)
        for record in live.labels()
    ]
    assert logged == [
        ("p", None, None, "yes", live.now, live.now),
        (None, "r", None, "no", 1.5, live.now),
        (None, None, "c", "no", live.now, live.now),
    ]
    assert len({record.label_id for record in live.labels()}) == 3


@pytest.mark.parametrize(("value", "text"), [(1.5, "1.5"), (3, "3"), ("2e3", "2e3")])
def test_the_label_of_a_regression_is_a_number_or_its_text(live: Service, value: object, text: str) -> None:
    assert live.ask("POST", "/labels/houses", json={"labels": [{"request_id": "r", "value": value}]}).status_code == 202
    assert [record.value for record in live.labels()] == [text]


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ({"value": "yes"}, "labels.1"),
        ({"entity": "c", "request_id": "r", "value": "yes"}, "labels.1"),
        ({"entity": "c", "value": "perhaps"}, "labels.1.value"),
        ({"entity": "c", "value": 1}, "labels.1.value"),
        ({"entity": "c"}, "labels.1.value"),
        ({"entity": "", "value": "yes"}, "labels.1.entity"),
        ({"entity": "a\u0000b", "value": "yes"}, "labels.1.entity"),
        ({"entity": "c", "value": "yes", "at": -1}, "labels.1.at"),
        ({"entity": "c", "value": "yes", "at": 1_800_000_301}, "labels.1.at"),
        ({"entity": "c", "value": "yes", "when": 1}, "labels.1.when"),
        ("yes", "labels.1"),
    ],
)
def test_a_refused_label_is_named_and_none_is_logged(live: Service, label: object, field: str) -> None:
    answer = live.ask("POST", "/labels/churn", json={"labels": [{"entity": "c", "value": "yes"}, label]})

    assert answer.status_code == 422
    assert field in [item["field"] for item in problem(answer)["problems"]]
    assert live.labels() == []


@pytest.mark.parametrize(
    ("label", "value", "allowed"),
    [
        ({"value": "yes"}, "an object", "exactly one of prediction_id, request_id, entity"),
        ({"entity": "c", "value": {"a": 1}}, "an object", "one of no, yes"),
        ({"entity": "c", "value": True}, True, "one of no, yes"),
        ({"entity": "c"}, None, "one of no, yes; it is required"),
        ({"entity": 7, "value": "yes"}, 7, "a text of 1 to 256 printable characters"),
        ({"entity": "", "value": "yes"}, "", "a text of 1 to 256 printable characters"),
        ({"entity": "c", "value": "yes", "at": "now"}, "now", "a time in epoch seconds, from 0 on"),
        ({"entity": "c", "value": "yes", "when": 1}, 1, "no such field: choose from at, entity, prediction_id, request_id, value"),
        ("yes", "yes", "an object with value, one of prediction_id, request_id and entity, and at if you like"),
    ],
)
def test_what_is_wrong_with_a_label_is_told_in_our_words(live: Service, label: object, value: object, allowed: str) -> None:
    (told,) = problem(live.ask("POST", "/labels/churn", json={"labels": [label]}))["problems"]
    assert (told["value"], told["allowed"]) == (value, allowed)


def test_a_label_by_entity_for_a_model_without_one_is_refused(live: Service) -> None:
    answer = live.ask("POST", "/labels/houses", json={"labels": [{"entity": "c", "value": 1.5}]})

    assert answer.status_code == 422
    allowed = "prediction_id or request_id: houses has no entity, so no prediction can be found by one"
    assert problem(answer)["problems"] == [{"field": "labels.0.entity", "value": "c", "allowed": allowed}]
    assert live.labels() == []


def test_models(live: Service) -> None:
    listed = live.ask("GET", "/models").json()["models"]

    assert [(item["model"], item["generation"], item["version"], item["refused"]) for item in listed] == [
        ("churn", 1, 1, None),
        ("houses", 1, 4, None),
    ]
    assert [(role["role"], role["weight"], role["loaded"]) for role in listed[0]["roles"]] == [("champion", 1.0, True)]


def test_one_model_shows_schema_metrics_card_and_lineage(live: Service) -> None:
    shown = live.ask("GET", "/models/churn").json()

    assert (shown["model"], shown["version"], shown["task"]) == ("churn", 1, "binary")
    assert shown["metrics"] == shown["card"]["metrics"] == {"roc_auc": {"value": 0.84}}
    assert (shown["lineage"]["data_source"], shown["lineage"]["seed"]) == ("mirror", 42)
    assert set(shown["schema"]["properties"]) == {"tenure", "spend", "customer"}
    assert live.ask("POST", "/predict/churn", json=shown["example"]).status_code == 200


def test_health_and_ready(live: Service) -> None:
    assert live.ask("GET", "/health").json()["status"] == "ok"

    ready = live.ask("GET", "/ready")

    assert (ready.status_code, ready.json()["ready"], ready.json()["generations"]) == (200, True, {"churn": 1, "houses": 1})


def test_with_nothing_deployed_ready_says_what_is_missing(service: Service) -> None:
    service.follower.look()

    ready, answer = service.ask("GET", "/ready"), service.ask("POST", "/predict/churn", json=ROW)

    assert (ready.status_code, ready.json()["missing"]) == (503, ["No model is deployed yet: train and promote one."])
    assert (answer.status_code, problem(answer)["what"]) == (404, "There is no model 'churn' here: there are none yet.")
    assert service.ask("GET", "/models").json() == {"models": []}
    assert service.ask("GET", "/openapi.json").status_code == 200


def test_a_refused_generation_shows_while_the_old_one_answers(live: Service) -> None:
    bad = live.slot(small_bundles.answering(1), 2)
    small_bundles.flip(live.bundles, bad.digest)
    live.follow(bad)

    ready, models = live.ask("GET", "/ready"), live.ask("GET", "/models").json()["models"]

    assert ready.status_code == 200
    assert ready.json()["refused"]["churn"]["generation"] == models[0]["refused"]["generation"] == 2
    assert "model.onnx" in models[0]["refused"]["reason"]
    assert models[0]["version"] == 1


def test_a_model_that_was_never_loaded_is_a_503(service: Service) -> None:
    bad = service.slot(small_bundles.answering(), 1)
    small_bundles.flip(service.bundles, bad.digest)
    service.follow(bad)

    answers = [service.ask("GET", "/ready"), service.ask("POST", "/predict/churn", json=ROW), service.ask("GET", "/models/churn")]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "5", "5"]
    assert service.ask("GET", "/models").json()["models"][0]["version"] is None


def test_metrics_are_what_prometheus_reads(live: Service) -> None:
    live.ask("POST", "/predict/churn", json=ROW)

    answer = live.ask("GET", "/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert 'ml_predictions_total{model_name="churn",model_version="1"} 1.0' in answer.text
    assert 'ml_model_loaded{model_name="houses",model_version="4"} 1.0' in answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_of_the_api_need_no_internet(live: Service, path: str) -> None:
    page = live.ask("GET", path).text
    assert "/openapi.json" in page
    scripts = re.findall(r'src="([^"]+)"', page)
    assert scripts
    assert all(live.ask("GET", script).status_code == 200 for script in scripts if script.endswith(".js"))
    assert not re.findall(r'(?:src|href)="https?://[^"]+\.(?:js|css|png)"', page)


def test_every_example_of_the_description_works_and_answers_as_described(live: Service) -> None:
    described = live.ask("GET", "/openapi.json").json()
    tried = []

    for path, operations in described["paths"].items():
        if "post" not in operations or "{" in path or path == "/deployments":  # these need a key, see test_people and test_admin
            continue
        content = operations["post"]["requestBody"]["content"]["application/json"]
        answer = live.ask("POST", path, json=content["example"])
        answered = operations["post"]["responses"][str(answer.status_code)]["content"]["application/json"]
        check(described, content["schema"], content["example"])
        check(described, answered["schema"], answer.json())
        tried.append((path, answer.status_code))

    models = ["churn", "houses"]
    assert sorted(tried) == sorted(
        [
            *((f"/predict/{name}", 200) for name in models),
            *((f"/predict/{name}/batch", 200) for name in models),
            *((f"/labels/{name}", 202) for name in models),
        ]
    )


def test_the_description_is_typed_by_the_interface_and_follows_the_deployments(live: Service) -> None:
    described = live.ask("GET", "/openapi.json").json()
    row, answer = described["components"]["schemas"]["churn_row"], described["components"]["schemas"]["churn_answer"]
    assert (row["properties"]["tenure"]["minimum"], row["properties"]["tenure"]["maximum"]) == (0, 100)
    assert answer["properties"]["prediction"]["enum"] == ["no", "yes"]
    with pytest.raises(jsonschema.ValidationError):
        check(described, {"$ref": "#/components/schemas/churn_row"}, {"tenure": 101, "spend": 1})
    error = live.ask("POST", "/predict/churn", json={"tenure": 101, "spend": 1}).json()
    check(described, {"$ref": "#/components/schemas/Error"}, error)

    assert "HTTPValidationError" not in described["components"]["schemas"]
    assert live.ask("GET", "/openapi.json").json() == described

    live.follow(live.slot(small_bundles.answering(features=3), 2, interface=small_bundles.WIDER))

    assert "visits" in live.ask("GET", "/openapi.json").json()["components"]["schemas"]["churn_row"]["properties"]


def check(described: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    jsonschema.validate(value, {**schema, "components": described["components"]})


@pytest.mark.parametrize("kind", status.STATUS, ids=lambda kind: kind.__name__)
def test_every_listed_status_is_an_error(kind: type[TreadleError]) -> None:
    assert issubclass(kind, TreadleError)
    assert 400 <= status.STATUS[kind] < 600


def test_an_error_that_is_not_listed_is_a_500() -> None:
    assert status.status_of(errors.PortTaken("127.0.0.1", 1, "port", "taken")) == 500
