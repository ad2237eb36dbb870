"""The door in front of every route: who is let in, why somebody is not, and what is told of it."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Mount, Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from tests import small_bundles
from tests.small_service import Service
from treadle.errors import LogUnavailable
from treadle.identity import ANONYMOUS, Identity, Keys
from treadle.serving import hot
from treadle.serving.access import OTHERWISE, TABLE, needs
from treadle.serving.guard import IDENTITY, REASONS, REFRESH_SECONDS, Guard, Refusal, security_headers
from treadle.serving.metrics import ServingMetrics
from treadle.serving.records import EventRecord, Record
from treadle.settings import ROLES, Settings, Workspace

PREDICT, READY, MODELS = ("POST", "/predict/churn"), ("GET", "/ready"), ("GET", "/models")
APPROVE, ADMIN = ("POST", "/models/churn/versions/2/approve"), ("POST", "/admin/rollback")


@dataclass
class Door:
    """A guard of which everything that it hears and says is kept."""

    home: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now, self.wall = 100.0, 1_800_000_000.0
        self.registry = CollectorRegistry()
        self.logged: list[Record] = []
        self.seen: list[Scope] = []
        self.full = False
        self.keys = Keys(self.home)
        self.guard = self.another()

    def another(self) -> Guard:
        if hasattr(self, "guard"):
            self.registry = CollectorRegistry()
        return Guard(
            self.inside,  # type: ignore[arg-type]  # nothing is asked at once here
            Workspace(self.home, Settings(home=self.home, **self.settings)),
            refused=ServingMetrics(self.registry).refused,
            log=self.log,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    async def log(self, records: Any) -> None:
        if self.full:
            raise LogUnavailable(self.home, "it is full")
        self.logged += records

    async def inside(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    def scope(self, call: tuple[str, str], headers: dict[str, str], address: str = "127.0.0.1") -> dict[str, Any]:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return {"type": "http", "method": call[0], "path": call[1], "headers": raw, "client": (address, 5)}

    def admit(self, call: tuple[str, str], headers: dict[str, str] | None = None, address: str = "127.0.0.1") -> Identity | Refusal:
        self.now += REFRESH_SECONDS
        return self.guard.admit(self.scope(call, headers or {}, address))

    def let_in(self, call: tuple[str, str], headers: dict[str, str] | None = None, address: str = "127.0.0.1") -> str:
        """Return the name of who is let in, or the reason why not."""
        found = self.admit(call, headers, address)
        return f"not: {found.reason}" if isinstance(found, Refusal) else found.name

    def ask(self, call: tuple[str, str], headers: dict[str, str] | None = None, **more: Any) -> list[Message]:
        """Send a request that has a body of which nobody reads anything; return what is answered."""
        said: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("the body was read")

        async def send(message: Message) -> None:
            said.append(message)

        self.now += REFRESH_SECONDS
        asyncio.run(self.guard({**self.scope(call, headers or {}), **more}, receive, send))
        return said

    def refused(self, reason: str) -> float:
        return self.registry.get_sample_value("ml_refused_total", {"reason": reason}) or 0.0


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


Make = Callable[..., Door]


@pytest.fixture
def behind(tmp_path: Path) -> Make:
    """Return a door with these settings."""
    return lambda **settings: Door(tmp_path, settings)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'ada:{password}'.encode()).decode()}"}


class TestTable:
    @pytest.mark.parametrize(
        ("call", "asked"),
        [
            (PREDICT, "predict"),
            (("POST", "/predict/churn/batch"), "predict"),
            (("GET", "/predict/churn"), "predict"),
            (("POST", "/labels/churn"), "label"),
            (APPROVE, "approve"),
            (("POST", "/models/churn/versions/2/reject"), "approve"),
            (("DELETE", "/models/churn"), "approve"),
            (ADMIN, "operate"),
            (("GET", "/admin"), "operate"),
            (MODELS, "key"),
            (("HEAD", "/models/churn"), "key"),
            (("GET", "/metrics"), "key"),
            (("GET", "/openapi.json"), "key"),
            (READY, "nothing"),
            (("GET", "/health"), "nothing"),
            (("GET", "/"), "key"),
            (("POST", "/nowhere"), "key"),
            (("OPTIONS", "*"), "key"),
            (("POST", "//predict/churn"), "key"),
            (("GET", "/healthy"), "key"),
        ],
    )
    def test_what_a_route_asks(self, call: tuple[str, str], asked: str) -> None:
        assert needs(*call) == asked

    def test_every_route_of_the_application_stands_in_it(self, service: Service) -> None:
        app: Any = service.app
        paths = [route.path for route in app.app.app.app.app.routes if isinstance(route, Route | Mount)]
        assert len(paths) > 10
        assert {path.split("/")[1] for path in [*paths, hot.PREDICT, hot.LABELS]} <= set(TABLE)

    def test_what_is_not_in_it_is_for_those_who_have_a_key(self) -> None:
        assert set(OTHERWISE) == {"key"}


class TestWithoutKeys:
    @pytest.mark.parametrize(
        ("call", "who"),
        [
            (PREDICT, "anonymous"),
            (("POST", "/labels/churn"), "anonymous"),
            (MODELS, "anonymous"),
            (READY, "anonymous"),
            (APPROVE, "not: nobody"),
            (ADMIN, "not: nobody"),
        ],
    )
    def test_this_machine_may_ask_but_change_nothing(self, door: Door, call: tuple[str, str], who: str) -> None:
        assert door.let_in(call) == who

    @pytest.mark.parametrize("headers", [bearer("tk_made_up"), bearer("made up"), {"X-API-Key": "tk_made_up"}])
    def test_a_wrong_key_is_refused_all_the_same(self, door: Door, headers: dict[str, str]) -> None:
        assert door.let_in(PREDICT, headers) == "not: unknown"
        assert door.let_in(READY, headers) == "anonymous"

    def test_with_the_first_key_the_door_closes_and_stays_closed_after_the_last(self, door: Door) -> None:
        assert door.let_in(PREDICT) == "anonymous"
        token = door.keys.create("ada", ["predict"])
        assert (door.let_in(PREDICT), door.let_in(PREDICT, bearer(token))) == ("not: nobody", "ada")
        door.keys.revoke("ada")
        assert (door.let_in(PREDICT), door.let_in(PREDICT, bearer(token))) == ("not: nobody", "not: unknown")

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "models.example"])  # noqa: S104
    def test_a_door_that_others_can_reach_is_never_open(self, behind: Make, host: str) -> None:
        assert behind(host=host).let_in(PREDICT) == "not: nobody"

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
    def test_one_of_this_machine_alone_is(self, behind: Make, host: str) -> None:
        assert behind(host=host).let_in(PREDICT) == "anonymous"


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "calls"),
        [
            ("predict", {PREDICT, MODELS, READY}),
            ("label", {("POST", "/labels/churn"), MODELS, READY}),
            ("approve", {APPROVE, MODELS, READY}),
            ("operate", {ADMIN, MODELS, READY}),
            ("admin", {PREDICT, ("POST", "/labels/churn"), APPROVE, ADMIN, MODELS, READY}),
        ],
    )
    def test_each_opens_its_routes_and_no_other(self, door: Door, role: str, calls: set[tuple[str, str]]) -> None:
        token = door.keys.create("ada", [role])
        every = [PREDICT, ("POST", "/labels/churn"), APPROVE, ADMIN, MODELS, READY]
        assert {call for call in every if isinstance(door.admit(call, bearer(token)), Identity)} == calls

    def test_a_missing_one_is_a_403_that_names_both(self, door: Door) -> None:
        start, body = door.ask(ADMIN, bearer(door.keys.create("ada", ["predict", "label"])))
        assert start["status"] == 403
        assert b"ada has the roles predict, label; this needs the role operate." in body["body"]
        assert door.seen == []
        assert door.refused("role") == 1


class TestHeaders:
    @pytest.mark.parametrize(
        "form", ["Authorization: Bearer {}", "authorization: bearer {}", "Authorization: BEARER  {} ", "X-API-Key: {}", "x-api-key: {}"]
    )
    def test_a_key_comes_in_either(self, door: Door, form: str) -> None:
        name, value = form.format(door.keys.create("ada", ["predict"])).split(": ", 1)
        assert door.let_in(PREDICT, {name: value}) == "ada"

    def test_a_bearer_wins_and_an_empty_one_is_none(self, door: Door) -> None:
        ada, eve = door.keys.create("ada", ["predict"]), door.keys.create("eve", ["predict"])
        assert door.let_in(PREDICT, {"X-API-Key": eve, **bearer(ada)}) == "ada"
        assert door.let_in(PREDICT, {**bearer(ada), "X-API-Key": eve}) == "ada"
        assert door.let_in(PREDICT, {**bearer(""), "X-API-Key": eve}) == "eve"
        assert door.let_in(PREDICT, {**bearer(" "), "X-API-Key": ""}) == "not: nobody"
        assert door.let_in(PREDICT, {"Authorization": "Digest a", "X-API-Key": eve}) == "eve"

    def test_a_password_is_a_key_for_reading_alone(self, door: Door) -> None:
        token = door.keys.create("ada", ["admin"])
        assert door.let_in(("GET", "/docs"), basic(token)) == "ada"
        assert door.let_in(("GET", "/docs"), basic("tk_wrong")) == "not: unknown"
        for call in (PREDICT, APPROVE, ADMIN):
            assert door.let_in(call, basic(token)) == "not: nobody"

    @pytest.mark.parametrize("value", ["Basic", "Basic ", "Basic $$$", "Basic YWRh", "Basic YWRhOg==", "Basic YWRhOnBhc3M="])
    def test_a_password_that_is_no_key_is_none(self, door: Door, value: str) -> None:
        door.keys.create("ada", ["predict"])
        assert door.let_in(MODELS, {"Authorization": value}) == "not: nobody"

    @pytest.mark.parametrize(("call", "schemes"), [(MODELS, ["Bearer", "Basic"]), (PREDICT, ["Bearer"])])
    def test_a_401_names_the_ways_of_its_method(self, door: Door, call: tuple[str, str], schemes: list[str]) -> None:
        door.keys.create("ada", ["predict"])
        (start, _) = door.ask(call)
        assert start["status"] == 401
        told = [value.decode().split()[0] for name, value in start["headers"] if name == b"www-authenticate"]
        assert told == schemes

    def test_a_key_is_never_told_back(self, door: Door) -> None:
        start, body = door.ask(PREDICT, bearer("tk_0123456789abcdef"))
        assert start["status"] == 401
        assert b"begins with tk_0123 " in body["body"]
        assert b"456789" not in body["body"]
        assert door.ask(PREDICT, {"X-API-Key": "\u00ff\u00fe"})[0]["status"] == 401


class TestLimit:
    def test_one_more_than_the_burst_is_a_429_with_the_time_to_wait(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"], rate=0.25, burst=2)
        door.now += 1
        call = door.scope(PREDICT, bearer(token))
        assert [isinstance(door.guard.admit(call), Identity) for _ in range(3)] == [True, True, False]
        start, body = door.ask(PREDICT, bearer(token))
        assert start["status"] == 429
        assert (b"retry-after", b"4") in start["headers"]
        assert b"ada may send 0.25 requests per second, 2 of them at once" in body["body"]
        assert (door.refused("rate"), door.seen) == (2, [])
        door.now += 4
        assert door.let_in(PREDICT, bearer(token)) == "ada"

    def test_each_key_has_its_own_and_one_without_a_limit_has_none(self, door: Door) -> None:
        tokens = [door.keys.create(name, ["predict"], rate=1, burst=burst) for name, burst in (("a", 1), ("b", 3))]
        tokens.append(door.keys.create("c", ["predict"]))
        door.now += 1
        went = [sum(isinstance(door.guard.admit(door.scope(PREDICT, bearer(token))), Identity) for _ in range(20)) for token in tokens]
        assert went == [1, 3, 20]

    def test_workers_of_a_host_share_it(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"], rate=1, burst=4)
        door.now += 1
        call, other = door.scope(PREDICT, bearer(token)), door.another()
        went = [isinstance(guard.admit(call), Identity) for _ in range(5) for guard in (door.guard, other)]
        assert went == [True] * 4 + [False] * 6

    def test_a_rotated_key_keeps_its_bucket(self, door: Door) -> None:
        old = door.keys.create("ada", ["predict"], rate=1, burst=2)
        assert door.let_in(PREDICT, bearer(old)) == "ada"
        new = door.keys.rotate("ada", overlap=60)
        assert [door.let_in(PREDICT, bearer(token)) for token in (new, old, new)].count("ada") == 1

    def test_what_is_refused_for_its_role_counts_too(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"], rate=0.01, burst=1)
        assert [door.let_in(ADMIN, bearer(token)) for _ in range(2)] == ["not: role", "not: rate"]

    def test_more_buckets_are_made_as_keys_come(self, door: Door) -> None:
        tokens = [door.keys.create(f"k{number}", ["predict"], rate=0.01, burst=1) for number in range(3)]
        assert [door.let_in(PREDICT, bearer(token)) for token in tokens] == ["k0", "k1", "k2"]
        late = [door.keys.create(f"k{number}", ["predict"], rate=0.01, burst=1) for number in range(3, 600)]
        assert [door.let_in(PREDICT, bearer(late[-1])) for _ in range(2)] == ["k599", "not: rate"]
        assert door.let_in(PREDICT, bearer(tokens[1])) == "not: rate", "a bucket keeps what is in it"

    def test_without_room_on_the_disk_each_worker_keeps_it_for_itself(self, door: Door, caplog: pytest.LogCaptureFixture) -> None:
        (door.home / "serving").touch()
        token = door.keys.create("ada", ["predict"], rate=0.01, burst=1)
        door.now += 1
        call, other = door.scope(PREDICT, bearer(token)), door.another()
        assert [isinstance(guard.admit(call), Identity) for guard in (door.guard, other, door.guard, other)] == [True, True, False, False]
        assert "the limits of keys hold per worker" in caplog.text


class TestChange:
    def test_a_key_that_is_revoked_works_no_longer_than_the_pause_between_two_looks(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"])
        call = door.scope(PREDICT, bearer(token))
        assert door.let_in(PREDICT, bearer(token)) == "ada"
        door.keys.revoke("ada")
        door.now += REFRESH_SECONDS
        assert isinstance(door.guard.admit(call), Refusal)
        assert REFRESH_SECONDS < 1

    def test_the_file_is_not_looked_at_in_between(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"])
        assert door.let_in(PREDICT, bearer(token)) == "ada"
        door.keys.revoke("ada")
        assert isinstance(door.guard.admit(door.scope(PREDICT, bearer(token))), Identity)

    def test_the_token_before_a_rotation_is_good_until_its_time(self, door: Door) -> None:
        old = door.keys.create("ada", ["predict"])
        door.keys.rotate("ada", overlap=60)
        door.wall = door.keys.known()[0].previous_until - 1
        assert door.let_in(PREDICT, bearer(old)) == "ada"
        door.wall += 1
        assert door.let_in(PREDICT, bearer(old)) == "not: unknown"

    def test_a_file_that_cannot_be_read_lets_nobody_in_until_it_can(self, door: Door) -> None:
        token = door.keys.create("ada", ["admin"])
        path = door.home / "keys.json"
        good = path.read_text()
        assert door.let_in(PREDICT, bearer(token)) == "ada"
        path.write_text("[")
        assert (door.let_in(PREDICT, bearer(token)), door.let_in(PREDICT), door.let_in(READY)) == ("not: keys", "not: keys", "anonymous")
        assert door.ask(PREDICT)[0]["status"] == 503
        path.write_text(good)
        assert door.let_in(PREDICT, bearer(token)) == "ada"


class TestProxy:
    def test_one_that_is_trusted_names_people(self, behind: Make) -> None:
        door = behind(trusted_proxies="10.0.0.0/8", identity_header="X-User", proxy_roles="predict, approve")
        assert door.let_in(APPROVE, {"X-User": "grace"}, "10.1.1.1") == "grace"
        assert door.let_in(ADMIN, {"X-User": "grace"}, "10.1.1.1") == "not: role"
        assert door.let_in(APPROVE, {"X-User": "grace"}, "11.1.1.1") == "not: nobody"
        assert door.let_in(APPROVE, {"X-User": "gr ace"}, "10.1.1.1") == "not: nobody"

    def test_two_names_are_none(self, behind: Make) -> None:
        door = behind(trusted_proxies="10.0.0.0/8")
        scope = door.scope(APPROVE, {}, "10.1.1.1")
        scope["headers"] = [(b"x-forwarded-user", b"ada"), (b"x-forwarded-user", b"eve")]
        assert isinstance(door.guard.admit(scope), Refusal)

    def test_a_key_wins(self, behind: Make) -> None:
        door = behind(trusted_proxies="10.0.0.0/8")
        token = door.keys.create("ada", ["predict"])
        assert door.let_in(PREDICT, {"X-Forwarded-User": "grace", **bearer(token)}, "10.1.1.1") == "ada"
        assert door.let_in(PREDICT, {"X-Forwarded-User": "grace", **bearer("tk_wrong")}, "10.1.1.1") == "not: unknown"

    def test_what_it_has_signed_somebody_in_with_is_none_of_ours(self, behind: Make) -> None:
        door = behind(trusted_proxies="10.0.0.0/8")
        door.keys.create("ada", ["predict"])
        assert door.let_in(PREDICT, {"X-Forwarded-User": "grace", **bearer("eyJhbGciOi")}, "10.1.1.1") == "grace"
        assert door.let_in(PREDICT, {"X-Forwarded-User": "grace", **bearer("eyJhbGciOi")}, "11.1.1.1") == "not: unknown"

    def test_one_that_decides_who_may_call_needs_no_keys(self, behind: Make) -> None:
        door = behind(access="proxy", host="0.0.0.0")  # noqa: S104
        door.keys.create("ada", ["predict"])
        assert door.let_in(PREDICT, {}, "203.0.113.7") == "anonymous"
        assert door.let_in(PREDICT, bearer("eyJhbGciOi"), "203.0.113.7") == "anonymous"
        assert door.let_in(PREDICT, bearer("tk_wrong"), "203.0.113.7") == "not: unknown"
        assert door.let_in(APPROVE, {}, "203.0.113.7") == "not: nobody"

    def test_and_where_it_is_known_nobody_comes_past_it(self, behind: Make) -> None:
        door = behind(access="proxy", host="0.0.0.0", trusted_proxies="10.0.0.0/8")  # noqa: S104
        token = door.keys.create("ada", ["predict"])
        assert door.let_in(PREDICT, {}, "10.1.1.1") == "anonymous"
        assert door.let_in(PREDICT, {}, "203.0.113.7") == "not: nobody"
        assert door.let_in(PREDICT, bearer(token), "203.0.113.7") == "ada"

    def test_without_an_address_nobody_is_a_proxy(self, behind: Make) -> None:
        door = behind(access="proxy", trusted_proxies="10.0.0.0/8")
        scope = {**door.scope(PREDICT, {}), "client": None}
        assert isinstance(door.guard.admit(scope), Refusal)


class TestRecord:
    def test_who_changes_something_is_an_event_with_what_was_answered(self, door: Door) -> None:
        token = door.keys.create("ada", ["approve"])
        assert door.ask(APPROVE, bearer(token))[0]["status"] == 202
        door.ask(PREDICT, bearer(token))
        door.ask(ADMIN, bearer(token))
        told = {"method": "POST", "path": APPROVE[1], "status": 202, "source": "key"}
        refused = {"method": "POST", "path": ADMIN[1], "status": 403, "source": "key"}
        assert door.logged == [EventRecord("api.called", None, data, door.wall, "ada") for data in (told, refused)]

    def test_a_long_path_is_cut(self, door: Door) -> None:
        door.ask(("POST", "/admin/" + "x" * 999), bearer(door.keys.create("ada", ["operate"])))
        (event,) = door.logged
        assert isinstance(event, EventRecord)
        assert len(event.data["path"]) == 200

    def test_nobody_fills_the_record_without_a_key(self, door: Door) -> None:
        assert door.ask(ADMIN)[0]["status"] == door.ask(ADMIN, bearer("tk_wrong"))[0]["status"] == 401
        assert door.logged == []

    def test_without_a_record_there_is_no_answer(self, door: Door) -> None:
        token = door.keys.create("ada", ["approve"])
        door.full = True
        said = door.ask(APPROVE, bearer(token))
        assert [message["type"] for message in said] == ["http.response.start", "http.response.body"]
        assert said[0]["status"] == 503
        assert b"Without a log there is no answer" in said[1]["body"]


class TestApplication:
    def test_the_application_learns_who_calls(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"])
        assert door.ask(PREDICT, bearer(token))[1]["body"] == b"inside"
        assert door.seen[0][IDENTITY].name == "ada"

    def test_who_was_admitted_before_is_not_counted_twice(self, door: Door) -> None:
        token = door.keys.create("ada", ["predict"], rate=0.01, burst=1)
        who = door.admit(PREDICT, bearer(token))
        assert door.ask(PREDICT, bearer(token), **{IDENTITY: who})[0]["status"] == 202
        assert door.ask(PREDICT, bearer(token))[0]["status"] == 429

    def test_what_is_no_request_passes(self, door: Door) -> None:
        async def passed() -> None:
            async def nothing(*_: Any) -> Any:
                return None

            await door.guard({"type": "lifespan"}, nothing, nothing)

        asyncio.run(passed())
        assert [scope["type"] for scope in door.seen] == ["lifespan"]

    def test_a_websocket_does_not(self, door: Door) -> None:
        with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)), TestClient(door.guard).websocket_connect("/predict/churn"):
            pass
        assert door.seen == []

    def test_every_reason_is_counted_from_the_start(self, door: Door) -> None:
        assert {reason: door.registry.get_sample_value("ml_refused_total", {"reason": reason}) for reason in REASONS} == dict.fromkeys(
            REASONS, 0.0
        )

    def test_the_service_asks_it(self, service: Service) -> None:
        service.follow(service.slot(small_bundles.answering(), 1))
        assert service.ask("POST", "/predict/churn", json=small_bundles.ROW).status_code == 200
        token = Keys(service.bundles.parent).create("ada", ["predict"])
        assert service.ask("POST", "/predict/churn", json=small_bundles.ROW).status_code == 401
        assert service.ask("POST", "/predict/churn", json=small_bundles.ROW, headers=bearer(token)).status_code == 200
        assert service.ask("GET", "/health").status_code == 200


def test_the_anonymous_may_change_nothing() -> None:
    assert ANONYMOUS.roles.isdisjoint({"operate", "approve", "admin"})
    assert ANONYMOUS.roles < set(ROLES)


@pytest.mark.parametrize("tls", [True, False])
def test_a_browser_is_told_to_stay_with_tls_only_under_tls(tls: bool) -> None:  # noqa: FBT001
    told = dict(security_headers(tls=tls))
    assert ("strict-transport-security" in told) is tls
    assert told["cache-control"] == "no-store"
