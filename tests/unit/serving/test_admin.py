"""Roles over HTTP: who may change them, what is changed, and what is answered when it cannot be."""

from typing import Any

import pytest

from tests import small_bundles
from tests.small_service import Service
from tests.unit.state.rows import label, prediction
from treadle.errors import StoreUnavailable
from treadle.identity import Keys
from treadle.projects import find
from treadle.settings import Workspace
from treadle.state import deployments, events, joins, log, verdicts
from treadle.state.deployments import Slot
from treadle.state.verdicts import Verdict

WHY = {"reason": "A try."}
CONTRACT = """
name: churn
data: [{kind: simulated}]
interface:
  task: binary
  target: {name: left, classes: ["no", "yes"]}
  entity: customer
  features:
    - {name: tenure, type: integer, min: 0, max: 100, example: 1}
    - {name: spend, type: number, min: 0, max: 1000, example: 20}
policy:
  gate: {metric: accuracy}
"""


class Live:
    """A service of version 1, and two versions that the gate has let pass beside it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        folder = service.bundles.parent
        self.keys = Keys(folder)
        project = folder / "projects" / "churn"
        project.mkdir(parents=True)
        (project / "model.yaml").write_text(CONTRACT)
        self.project = find(Workspace(folder, service.people._workspace.settings), "churn")  # noqa: SLF001 - as the service has it
        self.champion = service.slot(small_bundles.answering(), 1)
        service.follow(self.champion)
        self.second = self.judged(2, small_bundles.answering(1.0))
        self.third = self.judged(3, small_bundles.answering(2.0))
        self.operator = {"X-API-Key": self.keys.create("olga", ["operate"])}

    def judged(self, version: int, graph: bytes, *, passed: bool = True) -> Slot:
        slot = self.service.slot(graph, version)
        evidence = {"champion": self.champion.digest}
        digest = self.project.contract.policy.digest
        reasons = () if passed else ("It is worse.",)
        verdict = Verdict(f"v{version}", "churn", version, slot.digest, "gate", passed, reasons, digest, evidence, self.service.now)
        with self.service.store.write() as conn:
            verdicts.record(conn, verdict)
            events.append(conn, "version.registered", at=1.0, model="churn", data={"version": version})
        return slot

    def post(self, path: str, body: Any, **how: Any) -> Any:
        return self.service.ask("POST", path, json=body, headers=how.get("headers", self.operator))

    def generations(self) -> int:
        with self.service.store.read() as conn:
            return len(deployments.history(conn, "churn"))


@pytest.fixture
def live(service: Service) -> Live:
    return Live(service)


def told(answer: Any) -> str:
    error = answer.json()["error"]
    assert list(error) == ["what", "fix", "problems"]
    return f"{error['what']} {error['fix']}"


def test_versions_are_switched_and_rolled_back(live: Live) -> None:
    answer = live.post("/deployments", {**WHY, "models": {"churn": 2}, "generations": {"churn": 1}})
    assert answer.status_code == 200, answer.text
    (made,) = answer.json()["deployments"]
    assert (made["model"], made["generation"], made["actor"]) == ("churn", 2, "olga")
    assert [(role["role"], role["version"]) for role in made["roles"]] == [("champion", 2), ("fallback", 1)]
    live.service.follower.look()
    assert live.service.predict()["version"] == 2
    back = live.post("/models/churn/rollback", WHY)
    assert (back.status_code, back.json()["deployments"][0]["roles"]) == (200, [{"role": "champion", "version": 1, "weight": 1.0}])
    live.service.follower.look()
    assert live.service.predict()["version"] == 1
    assert live.service.events().count(("api.called", None)) == 2


def test_an_ab_test_is_started_read_and_ended(live: Live) -> None:
    assert live.service.ask("GET", "/models/churn/ab", headers=live.operator).status_code == 404
    started = live.post("/models/churn/ab", {**WHY, "arms": {"2": 0.25, "3": 0.25}})
    assert started.status_code == 200, started.text
    assert [role["weight"] for role in started.json()["deployments"][0]["roles"]] == [0.5, 0.25, 0.25]
    assert live.post("/models/churn/ab", {**WHY, "arms": {"2": 0.25}}).status_code == 409
    live.service.follower.look()
    assert {live.service.predict({**small_bundles.ROW, "customer": f"c{number}"})["version"] for number in range(60)} == {1, 2, 3}
    _insert_labelled(live)
    live.service.now += 400 * 86400
    report = live.service.ask("GET", "/models/churn/ab", headers=live.operator)
    assert report.status_code == 200, report.text
    versions = {one["version"]: one for one in report.json()["versions"]}
    assert {number: one["labelled"] for number, one in versions.items()} == {1: 200, 2: 200, 3: 0}
    assert (versions[2]["outcome"], versions[2]["value"], versions[1]["value"]) == ("better", 1.0, 0.5)
    assert (versions[3]["outcome"], versions[3]["value"], versions[3]["gain_low"]) == ("early", None, None)
    assert versions[2]["answered"] == 200  # a row in place of another version, and one by name, do not count
    ended = live.post("/models/churn/ab/stop", {**WHY, "promote": 2})
    assert [role["version"] for role in ended.json()["deployments"][0]["roles"]] == [2, 1]
    assert live.post("/models/churn/ab/stop", WHY).status_code == 404


def _insert_labelled(live: Live) -> None:
    """Insert 200 answered and labelled rows of versions 1 and 2; version 2 is always right, version 1 on every other row."""
    rows, labels = [], []
    at = live.service.now + 1
    for slot in (live.champion, live.second):
        for number in range(202 if slot is live.second else 200):
            name = f"{slot.version}-{number}"
            odd: dict[str, Any] = {"fallback": True} if number == 200 else {"role": "pinned"} if number == 201 else {}
            shape = {"row": bytes(8), "scores": b"\x00\x00\x80\x3f\x00\x00\x00\x00"}
            rows.append({**prediction(name, version=slot.version, digest=slot.digest, at=at, entity=name, role="arm", **shape), **odd})
            truth = "no" if slot is live.second or number % 2 else "yes"
            labels.append(label(f"l{name}", prediction_id=name, value=truth))
    with live.service.store.write() as conn:
        log.insert_predictions(conn, rows)
        log.insert_labels(conn, labels)
        joins.resolve_labels(conn, now=at, expire={})


def test_only_an_operator_changes_roles(live: Live) -> None:
    approver = {"X-API-Key": live.keys.create("ada", ["approve", "predict"])}
    for path in ("/deployments", "/models/churn/rollback", "/models/churn/ab", "/models/churn/ab/stop"):
        assert live.post(path, WHY, headers={}).status_code == 401
        refused = live.post(path, WHY, headers=approver)
        assert refused.status_code == 403
        assert "this needs the role operate" in told(refused)
    assert live.generations() == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/deployments", {**WHY, "models": {"churn": 9}}, 404, "churn has no version 9"),
        ("/deployments", {**WHY, "models": {"churn": 4}}, 409, "the gate refused it. It is worse."),
        ("/deployments", {**WHY, "models": {"churn": 1}}, 404, "churn has no version 1"),
        ("/deployments", {**WHY, "models": {"churn": 2}, "generations": {"churn": 5}}, 409, "at generation 1, not 5"),
        ("/deployments", {**WHY, "models": {"other": 2}}, 404, "other"),
        ("/deployments", {**WHY, "models": {}}, 422, "models"),
        ("/deployments", {"models": {"churn": 2}}, 422, "reason"),
        ("/deployments", {"reason": " ", "models": {"churn": 2}}, 422, "reason"),
        ("/deployments", {**WHY, "models": {"churn": "2"}}, 422, "expected `int`"),
        ("/deployments", {**WHY, "models": {"churn": 2**63}}, 422, "2147483647"),
        ("/deployments", {**WHY, "models": {"churn": 2}, "more": 1}, 422, "more"),
        ("/deployments", [], 422, "expected `object`"),
        ("/models/churn/rollback", WHY, 409, "no older generation has another champion"),
        ("/models/churn/rollback", {**WHY, "to": 7}, 409, "there is no older generation 7"),
        ("/models/churn/ab", {**WHY, "arms": {"2": 0.6, "3": 0.6}}, 422, "leaves the champion nothing"),
        ("/models/churn/ab", {**WHY, "arms": {"2": 1.0}}, 422, "expected `float`"),
        ("/models/churn/ab", {**WHY, "arms": {"4": 0.1}}, 409, "the gate refused it"),
        ("/models/churn/ab/stop", WHY, 404, "No A/B test of churn runs"),
        ("/models/other/ab", {**WHY, "arms": {"2": 0.1}}, 404, "other"),
        ("/models/other/rollback", WHY, 404, "other"),
        ("/models/other/ab/stop", WHY, 404, "other"),
        ("/deployments", {**WHY, "models": {"../projects/churn": 2}}, 404, "There is no project"),
        (f"/models/{'x' * 300}/ab", {**WHY, "arms": {"2": 0.1}}, 404, "x"),
    ],
)
def test_what_cannot_be_is_told(live: Live, path: str, body: Any, status: int, said: str) -> None:
    live.judged(4, small_bundles.answering(3.0), passed=False)
    answer = live.post(path, body)
    assert (answer.status_code, live.generations()) == (status, 1), answer.text
    assert said in answer.text.replace("\\u0060", "`")


def test_of_several_models_none_is_switched_when_one_cannot_be(live: Live) -> None:
    folder = live.service.bundles.parent / "projects" / "other"
    folder.mkdir()
    (folder / "model.yaml").write_text(CONTRACT.replace("name: churn", "name: other"))
    answer = live.post("/deployments", {**WHY, "models": {"churn": 2, "other": 1}})
    assert (answer.status_code, live.generations()) == (404, 1)
    assert "None of churn, other was switched. other has no version 1" in told(answer)


def test_a_store_that_is_away_is_told_and_nothing_is_changed(live: Live) -> None:
    def away() -> Any:
        raise StoreUnavailable("sqlite:///gone.db", "it is gone.")

    live.service.connect = away
    for answer in (live.post("/models/churn/rollback", WHY), live.service.ask("GET", "/models/churn/ab", headers=live.operator)):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "The state store sqlite:///gone.db cannot be used" in told(answer)
    assert live.service.predict()["version"] == 1


def test_the_routes_are_described(live: Live) -> None:
    described = live.service.ask("GET", "/openapi.json", headers=live.operator).json()
    for path in ("/deployments", "/models/{model}/rollback", "/models/{model}/ab", "/models/{model}/ab/stop"):
        post = described["paths"][path]["post"]
        content = post["requestBody"]["content"]["application/json"]
        assert content["schema"]["required"][0] == "reason"
        assert {"4XX", "503", "200"} <= post["responses"].keys()
