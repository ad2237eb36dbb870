"""The commands as a user types them, on iris, around one workspace that all tests of this file share."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.crew import until
from tests.shell import Done, failed, treadle
from treadle.console import control
from treadle.retraining.controller import LEASE
from treadle.settings import MARKER, Workspace
from treadle.state import events, lease
from treadle.state.store import open_store

pytestmark = pytest.mark.integration

STRICT = "gate:\n  minimum:\n    accuracy: 0.9999\n"
COMMAND = [sys.executable, "-m", "treadle.cli.main"]
PAGE = (REPOSITORY / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")


def documented(command: str) -> set[str]:
    """Return the keys that the reference promises for the JSON of a command."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{command}` |")]
    return {key.strip("` ") for key in row.split("|")[3].split(",")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Return a workspace with iris alone; it is the one that every command of this file finds."""
    root = tmp_path_factory.mktemp("cli")
    shutil.copytree(REPOSITORY / "projects" / "iris", root / "projects" / "iris", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "projects" / "iris" / "policy.strict.yaml").write_text(STRICT)
    (root / MARKER).write_text("offline = true\nport = 0\ncontroller_port = 0\npoll_seconds = 0.1\nprofile_seconds = 1\nworkers = 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREADLE_WORKSPACE", str(root))
        yield Workspace.find(root)


@pytest.fixture(scope="module")
def made(place: Workspace) -> dict[str, Done]:
    """Return what the commands said with which a user brings two versions live, one after the other."""
    first = {"first": treadle("train", "iris"), "first live": treadle("promote", "iris")}
    code = place.projects_dir / "iris" / "model.py"
    code.write_text(code.read_text().replace("n_estimators=100", "n_estimators=40"))
    second = {"second": treadle("train", "iris", "--json"), "second live": treadle("promote", "iris", "--version", 2, "--json")}
    return first | second


@pytest.fixture(scope="module")
def service(made: dict[str, Done], place: Workspace) -> Iterator[str]:
    """Return the address of `treadle serve` in a process of its own."""
    process = subprocess.Popen([*COMMAND, "serve"], cwd=place.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    url = process.stdout.readline().split()[-1]
    until(lambda: ready(url))
    yield url
    process.send_signal(signal.SIGINT)
    rest, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped" in rest
    assert complaints == ""


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_a_training_is_told_step_by_step_and_says_what_comes_next(made: dict[str, Done]) -> None:
    done = made["first"]
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == 6
    for line, part in zip(
        lines,
        [
            "Training iris",
            "150 rows",
            "keep the contract, with a warning",
            "f1_macro 0.9",
            "version 1 is registered",
            "`treadle promote iris`",
        ],
        strict=True,
    ):
        assert part in line


def test_a_training_for_a_script_says_json_alone(made: dict[str, Done]) -> None:
    answer = made["second"].json
    assert set(answer) == documented("train")
    assert (answer["model"], answer["version"]) == ("iris", 2)


def test_a_promotion_says_which_version_answers_now(made: dict[str, Done]) -> None:
    assert made["first live"] == Done(0, "iris version 1 is champion in generation 1.\n", "")
    answer = made["second live"].json
    assert set(answer) == documented("promote")
    assert answer["slots"][0] | {"digest": ""} == {"role": "champion", "version": 2, "digest": "", "weight": 1.0}


def test_an_evaluation_shows_the_baseline_and_the_champion(made: dict[str, Done]) -> None:
    done = treadle("evaluate", "iris", "--version", 1)
    assert (done.code, done.err) == (0, "")
    for part in ("iris version 1, 30 held-out rows", "trivial", "accuracy", "petal_length"):
        assert part in done.out
    answer = treadle("evaluate", "iris", "--version", 1, "--json").json
    assert set(answer) == documented("evaluate")
    assert answer["card"]["metrics"]["accuracy"] > 0.85


def test_the_gate_says_its_reasons_and_its_exit_code_says_the_verdict(made: dict[str, Done], monkeypatch: pytest.MonkeyPatch) -> None:
    passed = treadle("gate", "iris", "-v", 1)
    assert passed.code == 0
    assert passed.out.startswith("iris version 1 passes the gate.\n  - ")
    monkeypatch.setenv("TREADLE_OVERLAY", "strict")
    refused = treadle("gate", "iris", "-v", 1, "--json")
    assert (refused.code, refused.json["passed"], set(refused.json)) == (3, False, documented("gate"))
    said = treadle("gate", "iris", "-v", 1)
    assert (said.code, said.err) == (3, "")
    assert "is refused by the gate" in said.out
    assert "0.9999" in said.out


def test_what_the_gate_refuses_gets_no_role(made: dict[str, Done], monkeypatch: pytest.MonkeyPatch) -> None:
    before = treadle("status", "--json").json[0]["generation"]
    monkeypatch.setenv("TREADLE_OVERLAY", "strict")
    refused = treadle("promote", "iris", "--version", 1)
    assert (refused.code, refused.err) == (3, "")
    assert "is refused by the gate" in refused.out
    assert treadle("status", "--json").json[0]["generation"] == before


def test_a_rollback_brings_the_other_version_back_and_forth(made: dict[str, Done]) -> None:
    now = treadle("status", "--json").json[0]
    back = treadle("rollback", "iris", "--reason", "It smells.", "--json")
    assert (back.code, set(back.json), back.json["reason"]) == (0, documented("rollback"), "Back to generation 1: It smells.")
    assert back.json["slots"][0]["version"] != now["slots"][0]["version"]
    forth = treadle("rollback", "iris", "--to", now["generation"])
    assert forth == Done(0, f"iris is back at version 2, in generation {now['generation'] + 2}.\n", "")


def test_a_generation_that_never_was_cannot_come_back(made: dict[str, Done]) -> None:
    failed(treadle("rollback", "iris", "--to", 99), "iris", "99", "choose from")


def test_the_status_has_every_model(made: dict[str, Done], monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = treadle("status", "--json").json
    assert set(one) == documented("status")
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        done = treadle("status")
        assert (done.code, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= width
        assert {"iris", "champion", "v2", "100%", "labels", "Nothing"} <= set(done.out.replace("│", " ").split())


def test_why_answers_in_sentences(made: dict[str, Done]) -> None:
    done = treadle("why", "iris")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) > 4
    assert all(line.endswith(".") for line in lines), lines
    assert "Nothing is wrong" in lines[-1]
    said = treadle("why", "iris", "--json").json
    assert [line.partition("Now")[0] for line in said] == [line.partition("Now")[0] for line in lines]


def test_two_versions_are_laid_side_by_side(made: dict[str, Done]) -> None:
    found = treadle("diff", "iris@1", "iris@2", "--json").json
    assert set(found) == documented("diff")
    assert (found["first"], found["second"], found["same_holdout"], found["interface"]) == (1, 2, True, [])
    assert [(one["name"], one["first"], one["second"]) for one in found["parameters"]] == [("n_estimators", "100", "40")]
    assert "it becomes champion in generation 2" in found["decided"]["2"][1]
    done = treadle("diff", "iris@1", "iris@champion")
    assert (done.code, done.err) == (0, "")
    for part in ("n_estimators", "the same held-out rows", "f1_macro", "petal_length", "who decided about version 2"):
        assert part in done.out
    failed(treadle("diff", "iris@1", "churn@1"), "iris and churn are two models")
    failed(treadle("diff", "iris@1", "iris"), "'iris' names no version", "treadle diff")
    failed(treadle("diff", "iris@1", "iris@canary"), "No version of iris is canary now")


def test_the_schema_is_the_one_of_the_docs() -> None:
    assert treadle("schema").json == json.loads((REPOSITORY / "docs" / "schema" / "model.schema.json").read_text(encoding="utf-8"))


def test_a_round_of_the_loop_says_where_every_model_stands(made: dict[str, Done]) -> None:
    done = treadle("loop", "--once")
    assert (done.code, done.err) == (0, "")
    assert "iris: Nothing is wrong: no episode is open." in done.out.splitlines()


def test_only_one_controller_acts(made: dict[str, Done], place: Workspace) -> None:
    store = open_store(place.store_url)
    held = lease.acquire(store, LEASE, "somebody:else", ttl=60, now=time.time())
    assert held is not None
    try:
        failed(treadle("loop", "--once"), "somebody:else holds the lease")
    finally:
        lease.release(store, held)
        store.close()


def test_an_answer_names_class_version_and_prediction(service: str) -> None:
    done = treadle("predict", "iris", "--url", service)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("setosa (confidence ")
    assert "iris version 2, prediction " in done.out


def test_rows_of_a_file_and_of_standard_input_are_answered_alike(service: str, tmp_path: Path) -> None:
    rows = json.dumps([{"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.8, "petal_width": 2.2}] * 2)
    (tmp_path / "rows.json").write_text(rows)
    from_file = treadle("predict", "iris", "--file", tmp_path / "rows.json", "--url", service, "--json").json
    from_stdin = treadle("predict", "iris", "-f", "-", "--url", service, "--json", stdin=rows).json
    assert [one["prediction"] for one in from_file + from_stdin] == ["virginica"] * 4
    assert all(set(one) == documented("predict") for one in from_file)


def test_a_refused_row_is_told_field_by_field(service: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"sepal_length": 99, "sepal_width": 3.0, "petal_length": "5", "petal_width": 2.2}]')
    said = failed(treadle("predict", "iris", "--file", tmp_path / "rows.json", "--url", service), "422")
    assert "row 1: sepal_length is 99; allowed: a number from 0 to 30" in said
    assert "row 1: petal_length is '5'; allowed: a number from 0 to 30" in said


def test_a_table_is_answered_and_its_labels_are_brought_back_by_the_file(service: str, tmp_path: Path) -> None:
    head = "sepal_length;sepal_width;petal_length;petal_width;garden\n"
    (tmp_path / "rows.csv").write_text(head + "6,7;3,0;5,8;2,2;north\n5,1;3,5;1,4;0,2;south\n" * 2, encoding="utf-16")
    done = treadle("predict", "iris", tmp_path / "rows.csv", "--out", tmp_path / "answers.csv", "--url", service)
    assert done.out == f"4 rows answered; the answers are in {tmp_path / 'answers.csv'}.\n"
    assert done.err == "Left out, because the contract has no such features: garden.\n"
    answers = (tmp_path / "answers.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1] for line in answers] == ["prediction", "virginica", "setosa", "virginica", "setosa"]
    assert "4 rows answered" in treadle("predict", "iris", tmp_path / "rows.csv", "--url", service).out

    labels = ["labels", "import", tmp_path / "answers.csv", "--model", "iris", "--column", "value=prediction"]
    first = treadle(*labels, "--json").json
    assert set(first) == documented("labels import")
    assert (first["read"], first["new"], first["joined"] + first["waiting"]) == (4, 4, 4)
    assert treadle(*labels).out.startswith("4 read, 0 new, 4 already there.")


def test_a_label_is_taken_by_any_of_its_keys(service: str) -> None:
    (answer,) = treadle("predict", "iris", "--url", service, "--json").json
    done = treadle("label", "iris", "setosa", "--prediction", answer["prediction_id"], "--url", service)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("The label setosa is accepted. `treadle loop` joins it once the ")
    assert "`treadle status` counts it among the labels without a prediction." in done.out
    assert set(treadle("label", "iris", "setosa", "--request", "order-7", "--url", service, "--json").json) == documented("label")


def test_a_label_that_is_no_class_is_refused(service: str) -> None:
    said = failed(treadle("label", "iris", "rose", "--prediction", "p", "--url", service), "422", "labels.0.value is 'rose'")
    assert "setosa, versicolor, virginica" in said


def test_a_label_from_the_future_is_refused(service: str) -> None:
    later = time.time() + 86_400
    failed(treadle("label", "iris", "setosa", "--prediction", "p", "--at", later, "--url", service), "422", "labels.0.at", "now")


def test_traffic_is_sent_and_its_labels_told(service: str) -> None:
    done = treadle("simulate", "iris", "--seconds", 1, "--rate", 60, "--delay", 0.1, "--url", service, "--json")
    assert set(done.json) == documented("simulate")
    assert done.code == 0
    assert done.json["rows"] == done.json["labels"] > 30
    assert done.json["failed"] == 0
    told = treadle("simulate", "iris", "--seconds", 0.3, "--delay", 0, "--url", service)
    assert told.out.endswith(" labels told.\n")

    def counted() -> bool:
        found = treadle("drift", "iris", "--json").json
        assert set(found) == documented("drift")
        return bool(found["drift"]["rows"] >= done.json["rows"])

    until(counted)
    assert "rows" in treadle("drift", "iris").out


def test_a_model_that_is_not_served_is_named_with_what_to_do(service: str, place: Workspace) -> None:
    copy = place.projects_dir / "tulip"
    shutil.copytree(place.projects_dir / "iris", copy)
    (copy / "model.yaml").write_text((copy / "model.yaml").read_text().replace("name: iris", "name: tulip"))
    try:
        for command in (["predict"], ["label", "setosa", "--entity", "e"], ["simulate", "--seconds", "1"]):
            done = treadle(command[0], "tulip", *command[1:], "--url", service)
            failed(done, "404", "There is no model 'tulip' here: choose from iris.", "`treadle train tulip`, then `treadle promote tulip`")
        failed(treadle("drift", "tulip"), "tulip is not deployed", "`treadle train tulip`")
        failed(treadle("rollback", "tulip"), "tulip", "`treadle promote tulip`")
        failed(treadle("gate", "tulip"), "tulip has no version", "`treadle train tulip`")
    finally:
        shutil.rmtree(copy)


def test_a_second_service_on_one_workspace_is_refused(service: str) -> None:
    failed(treadle("serve", "--port", "0"), "Another `treadle serve`", "TREADLE_HOME")


def test_a_port_that_is_taken_is_named_with_its_setting(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = service.rsplit(":", 1)[1]
    failed(treadle("serve", "--port", port), f"port {port}", "TREADLE_PORT")
    monkeypatch.setenv("TREADLE_CONTROLLER_PORT", port)
    failed(treadle("loop"), f"port {port}", "TREADLE_CONTROLLER_PORT")


def test_ctrl_c_ends_a_stream_quietly(service: str, place: Workspace) -> None:
    command = [*COMMAND, "simulate", "iris", "--seconds", "60", "--rate", "500", "--url", service]
    before = treadle("status", "--json").json[0]["logged"]["rows"]
    with subprocess.Popen(command, cwd=place.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            # More rows than the other tests can have left on their way: the stream itself has begun.
            until(lambda: treadle("status", "--json").json[0]["logged"]["rows"] > before + 400)
            process.send_signal(signal.SIGINT)
            assert (process.communicate(timeout=30), process.returncode) == (("", ""), 130)
        finally:
            process.kill()


def test_the_controller_tells_what_it_does_until_it_is_stopped(made: dict[str, Done], place: Workspace) -> None:
    store = open_store(place.store_url)

    def holder() -> str | None:
        with store.read() as conn:
            return lease.holder(conn, LEASE, now=time.time())

    def stop() -> None:
        until(holder)
        with store.write() as conn:
            events.append(conn, "person.needed", at=time.time(), model="iris", data={"reason": "Look at this."})
        os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(stop)
        done = treadle("loop")
        stopped.result()
    assert (done.code, done.err, holder()) == (0, "", None)
    store.close()
    first, *rest = done.out.splitlines()
    assert "the controller looks at every model each 5 s" in first
    assert any("iris: a person is needed: Look at this." in line for line in rest)


def test_a_second_controller_says_that_it_waits(made: dict[str, Done], place: Workspace) -> None:
    store = open_store(place.store_url)
    held = lease.acquire(store, LEASE, "somebody:else", ttl=60, now=time.time())
    assert held is not None
    stop = threading.Event()
    stop.set()
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        control.run(place, store, stop, once=False)
    lease.release(store, held)
    store.close()
    assert "another controller is at work (somebody:else)" in screen.getvalue()
