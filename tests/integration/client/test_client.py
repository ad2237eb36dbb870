"""Both clients against a real service: supervisor, two workers, shipper and store, while things happen to it."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import treadle
from tests import small_bundles
from tests.crew import Crew, until
from tests.integration.hosts.host import Host, deploy, open_at, slot
from treadle import AsyncClient, Client
from treadle.client import Label, Prediction
from treadle.errors import BatchUnfinished, DeadlinePassed, RequestRefused, ServiceUnavailable, TreadleError
from treadle.state import joins, schema
from treadle.state.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def rows(count: int, name: str) -> list[dict[str, Any]]:
    """Return rows whose answers differ."""
    return [{"tenure": place % 100, "spend": place / 10, "customer": f"{name}-{place}"} for place in range(count)]


def logged(store: Store, prefix: str = "") -> dict[str, list[tuple[str, str, str]]]:
    """Return (prediction id, answer, entity) of every answered row in the store, by request id."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    of = schema.predictions.c
    with store.read() as conn:
        for row in conn.execute(select(of.request_id, of.prediction_id, of.answer, of.entity).where(of.status == "ok")):
            if (row.entity or "").startswith(prefix):
                found.setdefault(row.request_id, []).append((row.prediction_id, row.answer, row.entity))
    return found


def told(answers: list[Prediction], asked: list[dict[str, Any]]) -> dict[str, list[tuple[str, str, str]]]:
    """Return what the store must have of these answers."""
    return {one.request_id: [(one.prediction_id, one.answer.decode(), row["customer"])] for one, row in zip(answers, asked, strict=True)}


@contextmanager
def serving(folder: Path, graph: bytes) -> Iterator[tuple[Host, Store]]:
    """Yield a host that serves this graph, and its store."""
    with Host(folder / "host") as host:
        store = open_at(host)
        deploy(store, slot(host, graph, 1))
        host.serve()
        yield host, store
        store.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Store]]:
    """Yield a host that serves, and that nothing happens to."""
    with serving(tmp_path_factory.mktemp("calm"), small_bundles.answering()) as found:
        yield found


def test_what_threads_get_from_one_client_is_what_the_log_has(calm: tuple[Host, Store]) -> None:
    host, store = calm
    many, some = rows(2345, "sync"), rows(40, "sync-one")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Client(host.url) as client, ThreadPoolExecutor(8) as threads:
        alone = [threads.submit(client.predict, "churn", row, traceparent=trace) for row in some]
        found = client.predict_batch("churn", many)
        answers = [future.result() for future in alone]
    assert {one.attempts for one in [*found, *answers]} == {1}
    assert len({one.request_id for one in answers}) == 40
    assert [one.probabilities for one in found[:2]] != [found[0].probabilities] * 2
    expected = told(found, many) | told(answers, some)
    until(lambda: len(logged(store, "sync")) >= len(expected), "all is shipped")
    assert logged(store, "sync") == expected


def test_what_tasks_get_from_one_client_is_what_the_log_has(calm: tuple[Host, Store]) -> None:
    host, store = calm
    many, some = rows(1500, "async"), rows(60, "async-one")

    async def asked() -> list[Any]:
        async with AsyncClient(host.url) as client:
            alone = (client.predict("churn", row, request_id=f"own-{place}") for place, row in enumerate(some))
            return await asyncio.gather(client.predict_batch("churn", many), *alone)

    found, *answers = asyncio.run(asked())
    assert [one.request_id for one in answers] == [f"own-{place}" for place in range(60)]
    expected = told(found, many) | told(answers, some)
    until(lambda: len(logged(store, "async")) >= len(expected), "all is shipped")
    assert logged(store, "async") == expected


def test_a_label_by_each_key_finds_its_prediction(calm: tuple[Host, Store]) -> None:
    host, store = calm
    with Client(host.url) as client:
        answers = client.predict_batch("churn", rows(4, "label"))
        assert client.label("churn", prediction_id=answers[0].prediction_id, value="yes") == 1
        assert client.label("churn", request_id=answers[1].request_id, value="no", at=time.time()) == 1
        items: list[Label | dict[str, Any]] = [
            Label(entity="label-2", value="yes"),
            {"prediction_id": answers[3].prediction_id, "value": "no"},
        ]
        assert client.labels("churn", items) == 2
        many = [Label(prediction_id=answers[3].prediction_id, value="no", at=1.0 + place) for place in range(1100)]
        assert client.labels("churn", many) == 1100
    mine = [one.prediction_id for one in answers]
    of = schema.labels.c

    def joined() -> Counter[str]:
        with store.write() as conn:
            joins.resolve_labels(conn, now=time.time(), expire={})
            return Counter(conn.execute(select(of.joined_id).where(of.joined_id.in_(mine))).scalars())

    until(lambda: joined().total() == 1104, lambda: f"labels are joined: {joined()}")
    assert joined() == {mine[0]: 1, mine[1]: 1, mine[2]: 1, mine[3]: 1101}


def test_the_state_of_the_service_is_told_as_types(calm: tuple[Host, Store]) -> None:
    host, _ = calm
    with Client(host.url) as client:
        (model,) = client.models()
        detail = client.model("churn")
        assert (model.model, model.version, model.roles[0].role) == ("churn", 1, "champion")
        assert detail.digest == model.roles[0].digest
        assert client.predict("churn", detail.example).version == 1
        assert set(detail.row_schema["properties"]) == {"tenure", "spend", "customer"}
        assert client.health().treadle == treadle.__version__
        ready = client.ready()
        assert (ready.ready, ready.missing, ready.generations) == (True, [], {"churn": 1})


def test_refusals_are_the_words_of_the_service(calm: tuple[Host, Store]) -> None:
    host, _ = calm
    with Client(host.url) as client:
        with pytest.raises(RequestRefused) as row:
            client.predict("churn", {"tenure": -1})
        assert row.value.status == 422
        assert {one.field for one in row.value.fields} == {"tenure", "spend"}
        assert row.value.fix == "GET /models/churn shows every feature, and an example that works."
        with pytest.raises(RequestRefused, match="choose from churn") as model:
            client.predict("nobody", {})
        assert model.value.status == 404
        with pytest.raises(RequestRefused) as label:
            client.label("churn", prediction_id="p", value="perhaps")
        assert label.value.fields[0].field == "labels.0.value"
        with pytest.raises(BatchUnfinished) as batch:
            client.predict_batch("churn", [*rows(1001, "part"), {"tenure": 1, "spend": -1}])
        assert (batch.value.done, len(batch.value.answered)) == (1000, 1000)
        assert batch.value.problems[0].startswith("rows.1001.spend is -1")


def test_a_word_about_a_version_needs_a_key(tmp_path: Path) -> None:
    with Host(tmp_path / "host") as host:  # of its own: a key changes who may call
        store = open_at(host)
        deploy(store, slot(host, small_bundles.answering(), 1))
        host.serve()
        with Client(host.url) as client, pytest.raises(RequestRefused, match="Nobody is named") as nobody:
            client.approve("churn", 1, "Fine.")
        with Client(host.url, "tk_" + "0" * 40) as client, pytest.raises(RequestRefused, match="none of this workspace") as unknown:
            client.reject("churn", 1, "Not fine.")
        key = treadle.keys_create("ada", roles=["approve"], workspace=host.workspace)
        with Client(host.url, key) as client, pytest.raises(RequestRefused, match="the gate has not judged it") as known:
            client.approve("churn", 1, "Fine.")
        assert [caught.value.status for caught in (nobody, unknown, known)] == [401, 401, 404]
        store.close()


def test_a_model_that_cannot_be_loaded_is_not_now_and_says_when(tmp_path: Path) -> None:
    with Host(tmp_path / "host") as host:
        store = open_at(host)
        broken = slot(host, small_bundles.answering(), 1)
        small_bundles.flip(host.workspace.bundle_dir, broken.digest)
        deploy(store, broken)
        host.start("serve")
        until(lambda: "serving on" in host.log("serve"), "the service has an address")
        host.url = host.log("serve").split("serving on ")[-1].split()[0]
        with Client(host.url, retries=100) as client:
            until(lambda: client.ready().refused, "the version is refused")
            began = time.monotonic()
            with pytest.raises(ServiceUnavailable, match=r"model\.onnx") as caught:
                client.predict("churn", small_bundles.ROW, deadline=3)
        assert (caught.value.status, caught.value.retry_after) == (503, 5.0)
        assert time.monotonic() - began < 3
        store.close()


def more_than(things: Callable[[], list[Any]], count: int) -> bool:
    """Tell whether there are more things than that."""
    return len(things()) > count


class Callers(Crew):
    """Threads that share one client, and remember every answer."""

    count = 8

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.answers: list[Prediction] = []
        self.failed: list[str] = []
        self._client = client

    def work(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                self.answers.append(self._client.predict("churn", {**small_bundles.ROW, "customer": f"caller-{number}"}))
            except TreadleError as error:
                self.failed.append(str(error))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Store]]:
    """Yield a host whose model takes some milliseconds a row."""
    with serving(tmp_path_factory.mktemp("slow"), small_bundles.slow()) as found:
        yield found


def test_killed_workers_cost_no_caller_an_answer_and_the_log_says_what_was_asked_twice(slow: tuple[Host, Store]) -> None:
    host, store = slow
    with Client(host.url, retries=20) as client, Callers(client) as callers:
        until(lambda: len(callers.answers) > 50)
        for _ in range(10):
            died, enough = len(host.deaths()), len(callers.answers) + 50
            os.kill(host.workers()[0].pid, signal.SIGKILL)
            until(partial(more_than, host.deaths, died), "the death is noticed")
            until(partial(more_than, lambda: callers.answers, enough), lambda: f"callers go on: {callers.failed}")
            if any(one.attempts > 1 for one in callers.answers):
                break
    assert callers.failed == []
    again = {one.request_id for one in callers.answers if one.attempts > 1}
    assert again
    answered = {one.prediction_id for one in callers.answers}
    until(lambda: answered <= {row[0] for found in logged(store, "caller").values() for row in found}, "what was answered is in the log")
    log = logged(store, "caller")
    # Every call is in the log under its own id; what is there twice was sent twice, and its caller knows.
    assert set(log) == {one.request_id for one in callers.answers}
    assert {one for one, found in log.items() if len(found) > 1} <= again


def test_a_deadline_fires_while_a_slow_model_is_at_work(slow: tuple[Host, Store]) -> None:
    host, _ = slow
    many = rows(1000, "late")

    def blocking() -> None:
        with Client(host.url) as client:
            client.predict_batch("churn", many, deadline=0.3)

    async def awaited() -> None:
        async with AsyncClient(host.url) as client:
            await client.predict_batch("churn", many, deadline=0.3)

    for ask in (blocking, lambda: asyncio.run(awaited())):
        began = time.monotonic()
        with pytest.raises(DeadlinePassed) as caught:
            ask()
        assert time.monotonic() - began < 2
        assert caught.value.attempts == 1
    with Client(host.url) as client:
        assert client.predict("churn", small_bundles.ROW, deadline=60).version == 1


def test_a_service_that_starts_late_is_waited_for(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_PORT", str(free_port))
    url = f"http://127.0.0.1:{free_port}"

    def waited() -> Prediction:
        with Client(url, retries=1000) as client:
            return client.predict("churn", {**small_bundles.ROW, "customer": "early"}, deadline=90)

    async def awaited() -> Prediction:
        async with AsyncClient(url, retries=1000) as client:
            return await client.predict("churn", {**small_bundles.ROW, "customer": "early"}, deadline=90)

    with Host(tmp_path / "host") as host, ThreadPoolExecutor(2) as threads:
        store = open_at(host)
        deploy(store, slot(host, small_bundles.answering(), 1))
        early = [threads.submit(waited), threads.submit(lambda: asyncio.run(awaited()))]
        time.sleep(0.5)
        host.start("serve")
        found = [one.result() for one in early]
        assert all(one.attempts > 1 for one in found)
        until(lambda: len(logged(store)) == 2, "the rows are shipped")
        # Nothing was sent before there was a connection, so nothing is in the log twice.
        assert {name: len(same) for name, same in logged(store).items()} == {one.request_id: 1 for one in found}
        store.close()
