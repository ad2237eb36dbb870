"""Approve and reject over HTTP: who may, what is logged, and what reaches the store."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests import small_bundles
from tests.shipping import ship_all
from tests.small_service import Service
from treadle.bundle.place import BundlePlace
from treadle.errors import StoreUnavailable
from treadle.identity import Keys
from treadle.serving import worker
from treadle.serving.records import ConsentRecord
from treadle.settings import Settings, Workspace
from treadle.state import consents, events, verdicts
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

APPROVE, REJECT = "/models/churn/versions/2/approve", "/models/churn/versions/2/reject"
REASON = {"reason": "Looked at it."}
CONTRACT = """
name: churn
data: [{kind: simulated}]
interface:
  task: binary
  target: {name: left, classes: [stayed, left]}
  features: [{name: tenure, type: integer, min: 0, max: 240}]
policy:
  approval: {people: 1, of: [ada]}
"""


def judge(conn: Connection, name: str, at: float, version: int = 2) -> None:
    verdict = Verdict(name, "churn", version, "d" * 64, "gate", passed=True, reasons=(), policy_digest="p", evidence={}, at=at)
    verdicts.record(conn, verdict)


@pytest.fixture
def live(service: Service) -> Service:
    """Return a service of one version, with another one that the gate has let pass."""
    service.follow(service.slot(small_bundles.answering(), 1))
    with service.store.write() as conn:
        judge(conn, "v1", service.now - 100)
    return service


@pytest.fixture
def ada(live: Service) -> dict[str, str]:
    """Return the headers by which ada says who she is."""
    return {"X-API-Key": Keys(live.bundles.parent).create("ada", ["approve"])}


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Service]:
    """Yield a service behind a proxy, at the address of the test's client."""
    made = Service(tmp_path, Settings(home=Path(), trusted_proxies="127.0.0.0/8", identity_header="X-User"))
    made.follow(made.slot(small_bundles.answering(), 1))
    with made.store.write() as conn:
        judge(conn, "v1", made.now - 100)
    yield made
    made.close()


def ship(service: Service) -> None:
    ship_all(service.store, service.spool_folder, BundlePlace(service.bundles), clock=service.clock)


def said(service: Service, verdict: str = "v1") -> list[tuple[str, str, str, str]]:
    with service.store.read() as conn:
        return [(one.decision, one.reason, one.actor, one.source) for one in consents.on(conn, verdict)]


def error(answer: Any) -> str:
    told = answer.json()["error"]
    assert list(told) == ["what", "fix", "problems"]
    return f"{told['what']} {told['fix']}"


@pytest.mark.parametrize(("path", "decision", "kind"), [(APPROVE, "approve", "consent.given"), (REJECT, "reject", "consent.refused")])
def test_what_is_said_is_logged_and_shipped_once(live: Service, ada: dict[str, str], path: str, decision: str, kind: str) -> None:
    answer = live.ask("POST", path, json=REASON, headers=ada)
    assert answer.status_code == 202
    (record,) = live.consents()
    assert answer.json() == {
        "id": record.consent_id,
        "model": "churn",
        "version": 2,
        "decision": decision,
        "actor": "ada",
        "verdict": "v1",
    }
    assert said(live) == []  # a worker writes nothing into the store
    ship(live)
    ship(live)
    assert said(live) == [(decision, "Looked at it.", "ada", "key")]
    with live.store.read() as conn:
        (event,) = [one for one in events.after(conn, 0) if one.kind == kind]
    assert (event.actor, event.model, event.at) == ("ada", "churn", live.now)


def test_a_key_comes_as_a_bearer_too(live: Service, ada: dict[str, str]) -> None:
    assert live.ask("POST", APPROVE, json=REASON, headers={"Authorization": f"bearer {ada['X-API-Key']}"}).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Forwarded-User": "ada"}, {"X-API-Key": "tk_wrong"}, {"Authorization": "Basic YWRhOmFkYQ=="}, {"Authorization": "Bearer "}],
)
def test_nobody_is_a_401(live: Service, headers: dict[str, str]) -> None:
    answer = live.ask("POST", APPROVE, json=REASON, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "key" in error(answer)
    assert live.consents() == []


def test_a_401_names_the_three_ways(live: Service) -> None:
    told = error(live.ask("POST", APPROVE, json=REASON))
    assert "Authorization: Bearer tk_" in told
    assert "X-API-Key" in told
    assert "X-Forwarded-User is believed from the networks in the setting trusted_proxies" in told


def test_one_without_the_role_is_a_403(live: Service) -> None:
    answer = live.ask("POST", APPROVE, json=REASON, headers={"X-API-Key": Keys(live.bundles.parent).create("eve", ["predict", "label"])})
    assert answer.status_code == 403
    assert "eve has the roles predict, label; this needs the role approve." in error(answer)


def test_one_whom_the_policy_does_not_name_is_a_403_where_the_worker_can_read_it(live: Service, ada: dict[str, str]) -> None:
    folder = live.bundles.parent / "projects" / "churn"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(CONTRACT)
    grace = {"X-API-Key": Keys(live.bundles.parent).create("grace", ["admin"])}
    answer = live.ask("POST", APPROVE, json=REASON, headers=grace)
    assert answer.status_code == 403
    assert "grace has no say about churn: choose from ada." in error(answer)
    assert live.ask("POST", APPROVE, json=REASON, headers=ada).status_code == 202


@pytest.mark.parametrize("path", ["/models/nobody/versions/2/approve", "/models/churn/versions/7/approve"])
def test_what_was_never_judged_is_a_404(live: Service, ada: dict[str, str], path: str) -> None:
    answer = live.ask("POST", path, json=REASON, headers=ada)
    assert answer.status_code == 404
    assert "the gate has not judged it" in error(answer)


@pytest.mark.parametrize("version", ["0", "-1", "x", str(2**63)])
def test_a_version_that_is_no_number_of_one_is_a_422(live: Service, ada: dict[str, str], version: str) -> None:
    answer = live.ask("POST", f"/models/churn/versions/{version}/approve", json=REASON, headers=ada)
    assert answer.status_code == 422
    assert answer.json()["error"]["problems"][0]["field"] == "version"


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": " \n "}, {"reason": 1}, {"reason": "a", "more": 1}, [], {"reason": "\x1b"}]
)
def test_without_a_reason_it_is_a_422(live: Service, ada: dict[str, str], body: object) -> None:
    assert live.ask("POST", APPROVE, json=body, headers=ada).status_code == 422
    assert live.consents() == []


def test_a_reason_is_kept_as_one_line_that_no_terminal_obeys(live: Service, ada: dict[str, str]) -> None:
    live.ask("POST", APPROVE, json={"reason": " Fine.\n\x1b[31mReally.\u202e "}, headers=ada)
    assert live.consents()[0].reason == "Fine. [31mReally."


class TestProxy:
    def test_its_word_is_believed(self, proxied: Service) -> None:
        answer = proxied.ask("POST", APPROVE, json=REASON, headers={"X-User": "grace@example.com"})
        assert (answer.status_code, answer.json()["actor"]) == (202, "grace@example.com")
        ship(proxied)
        assert said(proxied) == [("approve", "Looked at it.", "grace@example.com", "proxy")]

    def test_two_names_are_none(self, proxied: Service) -> None:
        answer = proxied.ask("POST", APPROVE, json=REASON, headers=[("X-User", "grace"), ("X-User", "mallory")])
        assert answer.status_code == 401

    def test_another_header_is_not_believed(self, proxied: Service) -> None:
        assert proxied.ask("POST", APPROVE, json=REASON, headers={"X-Forwarded-User": "grace"}).status_code == 401


class TestWithoutTheStore:
    @pytest.fixture
    def away(self, live: Service) -> Service:
        def refuse() -> Store:
            raise StoreUnavailable(live.url, "it is away.")

        live.connect = refuse
        return live

    def test_the_word_is_taken_for_the_verdict_of_that_time(self, away: Service, ada: dict[str, str]) -> None:
        answer = away.ask("POST", APPROVE, json=REASON, headers=ada)
        assert (answer.status_code, answer.json()["verdict"]) == (202, None)
        with away.store.write() as conn:
            judge(conn, "v2", away.now + 1)
        ship(away)
        assert (len(said(away, "v1")), said(away, "v2")) == (1, [])

    def test_a_model_that_is_not_served_is_a_404(self, away: Service, ada: dict[str, str]) -> None:
        assert away.ask("POST", "/models/nobody/versions/2/approve", json=REASON, headers=ada).status_code == 404

    def test_a_word_about_no_version_is_told_and_holds_up_nothing(self, away: Service, ada: dict[str, str]) -> None:
        assert away.ask("POST", "/models/churn/versions/9/approve", json=REASON, headers=ada).status_code == 202
        assert away.ask("POST", APPROVE, json=REASON, headers=ada).status_code == 202
        ship(away)
        assert len(said(away)) == 1
        with away.store.read() as conn:
            (event,) = [one for one in events.after(conn, 0) if one.kind == "consent.unplaced"]
        assert event.data == {"version": 9, "decision": "approve", "reason": "Looked at it.", "actor": "ada", "source": "key"}


def test_a_word_about_a_verdict_that_is_gone_holds_up_nothing(live: Service) -> None:
    live.spool.append([ConsentRecord("c", "churn", 2, "approve", "Why.", "ada", "key", live.now, "v0")])
    live.spool.append([ConsentRecord("d", "churn", 2, "approve", "Why.", "ada", "key", live.now, "v1")])
    ship(live)
    assert len(said(live)) == 1


def test_the_routes_are_described(live: Service) -> None:
    described = live.ask("GET", "/openapi.json").json()
    for path in ("/models/{model}/versions/{version}/approve", "/models/{model}/versions/{version}/reject"):
        operation = described["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["reason"]
        assert operation["security"] == [{"key": []}, {"bearer": []}]
        assert set(operation["responses"]) == {"202", "4XX", "503"}
    assert set(described["components"]["securitySchemes"]) == {"key", "bearer"}
    assert described["security"] == [{}, {"key": []}, {"bearer": []}]


def test_every_route_but_the_probes_is_described_with_its_refusals(live: Service) -> None:
    paths = live.ask("GET", "/openapi.json").json()["paths"]
    told = {path: set(next(iter(operations.values()))["responses"]) for path, operations in paths.items()}
    assert {path for path, codes in told.items() if not (codes >= {"401", "403", "429"} or "4XX" in codes)} == {"/health", "/ready"}
    assert told["/predict/churn"] >= {"200", "401", "403", "404", "422", "429", "503"}


def test_the_address_of_a_caller_is_not_taken_from_a_header(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def config(_app: object, **options: Any) -> None:
        given.update(options)
        raise InterruptedError

    monkeypatch.setattr("uvicorn.Config", config)
    with socket.socket() as listener, pytest.raises(InterruptedError):
        worker.run(workspace, listener)
    assert given["proxy_headers"] is False
