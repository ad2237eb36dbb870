"""The pure parts of the comparison: what wrk prints, medians, ratios, tables, what an answer says, and when a backlog grows."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import house
from benchmarks.serving import __main__ as command
from benchmarks.serving import backlog, contenders, environments, load, page, picture, results, sink
from benchmarks.serving.backlog import Look
from benchmarks.serving.contenders import Ask, WrongAnswerError
from benchmarks.serving.load import LoadFailedError
from benchmarks.serving.model import Model
from benchmarks.serving.results import Row, Spread
from tests import small_bundles
from treadle.bundle.place import BundlePlace
from treadle.identity import Keyring, Keys
from treadle.state import deployments
from treadle.state.deployments import Slot
from treadle.state.store import open_store

NONE_FAILED = {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}


def printed(**changed: object) -> str:
    told = {"requests": 5000, "microseconds": 2_000_000, "p50": 380.0, "p99": 1250.5, "max": 9000.0, "errors": NONE_FAILED, **changed}
    return f"Running 2s test @ http://127.0.0.1:1/\n  1 threads and 16 connections\nRequests/sec:   2500.00\n{json.dumps(told)}\n"


# what wrk prints


def test_what_wrk_has_measured_is_read() -> None:
    found = load.parse(printed())
    assert found.rate == pytest.approx(2500)
    assert (found.p50, found.p99) == pytest.approx((0.00038, 0.0012505))


@pytest.mark.parametrize("kind", list(NONE_FAILED))
def test_a_load_with_a_failed_request_does_not_count(kind: str) -> None:
    with pytest.raises(LoadFailedError, match=rf"of 5000 requests failed: 3 \({kind}\)"):
        load.parse(printed(errors={**NONE_FAILED, kind: 3}))


def test_a_load_without_an_answer_does_not_count() -> None:
    with pytest.raises(LoadFailedError, match="not one request"):
        load.parse(printed(requests=0))


def test_what_is_no_result_is_shown() -> None:
    with pytest.raises(LoadFailedError, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_without_wrk_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt-get install wrk"):
        load.wrk()


def test_a_request_is_whole_and_the_callers_header_wins() -> None:
    headers = [("X-API-Key", "k"), ("Content-Type", "a/b")]
    head, _, body = load.request("http://127.0.0.1:81/predict/iris", b"{}", headers).partition(b"\r\n\r\n")
    assert body == b"{}"
    first, *fields = head.decode().split("\r\n")
    assert first == "POST /predict/iris HTTP/1.1"
    assert fields == ["Host: 127.0.0.1:81", "Content-Type: a/b", "Content-Length: 2", "X-API-Key: k"]


# medians, ratios, tables


def row(name: str, family: str = "graph", **figures: list[float]) -> Row:
    """Return a row with the figures of some rounds, one list per figure."""
    found = Row(name, f"the {name}", family)
    for figure, values in figures.items():
        for number, value in enumerate(values):
            found.rounds.setdefault(number, {})[figure] = value
    return found


@given(st.lists(st.floats(0.001, 1e6), min_size=1))
def test_a_median_lies_in_its_range(values: list[float]) -> None:
    found = results.spread(values)
    assert found is not None
    assert found.least == min(values) <= found.median <= found.greatest == max(values)
    assert sum(value <= found.median for value in values) >= len(values) / 2 <= sum(value >= found.median for value in values)


def test_of_no_value_there_is_no_median() -> None:
    assert results.spread([]) is None


@given(st.lists(st.tuples(st.floats(1, 1e5), st.floats(1.0, 50.0)), min_size=1, max_size=9))
def test_what_all_contenders_lose_in_a_round_is_not_in_a_ratio(rounds: list[tuple[float, float]]) -> None:
    slow, quick = row("slow", rate=[pace for pace, _ in rounds]), row("quick", rate=[3 * pace for pace, _ in rounds])
    drifted = row("drifted", rate=[pace * drift for pace, drift in rounds])
    found = results.ratio(quick, slow, "rate")
    assert found is not None
    assert (found.least, found.greatest) == pytest.approx((3, 3))
    apart = results.ratio(drifted, slow, "rate")
    assert apart is not None
    assert apart.greatest == pytest.approx(max(drift for _, drift in rounds))


def test_a_ratio_is_of_the_rounds_that_both_have() -> None:
    echo, ours = row("echo", rate=[100, 200, 400]), row("ours", rate=[150, 100])
    del ours.rounds[0]
    assert results.ratio(ours, echo, "rate") == Spread(0.5, 0.5, 0.5)
    assert results.ratio(ours, echo, "rows") is None


@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(0.5, 2), st.floats(0.5, 2)), min_size=1, max_size=5))
def test_with_a_yardstick_beside_both_what_drifts_within_a_round_is_not_in_a_ratio(rounds: list[tuple[float, float, float]]) -> None:
    echoes, early, late = ([one[place] for one in rounds] for place in range(3))
    echo = row("fastapi-echo", rate=echoes, rate_beside=echoes)
    beside = [rate * drift for rate, drift in zip(echoes, early, strict=True)]
    quick = row("quick", rate=[3 * rate for rate in beside], rate_beside=beside)
    beside = [rate * drift for rate, drift in zip(echoes, late, strict=True)]
    slow = row("slow", rate=[1.5 * rate for rate in beside], rate_beside=beside)
    for other, times in ((echo, 3.0), (slow, 2.0)):
        found = results.ratio(quick, other, "rate")
        assert found is not None
        assert (found.least, found.greatest) == pytest.approx((times, times))


def test_where_only_one_has_a_yardstick_the_figures_themselves_are_compared() -> None:
    found = results.ratio(row("a", rate=[4.0], rate_beside=[8.0]), row("b", rate=[2.0]), "rate")
    assert found == Spread(2.0, 2.0, 2.0)


def test_one_value_is_told_without_a_range() -> None:
    assert Spread(12.0, 12.0, 12.0).text(results.whole) == "12"
    assert Spread(12.1, 12.0, 12.2).text(results.whole) == "12"
    assert Spread(1200.0, 900.0, 1500.0).text(results.whole) == "1,200 (900 to 1,500)"


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (results.times, 1.638, "1.64"),
        (results.times, 12.34, "12.3"),
        (results.times, 1234.5, "1,234"),
        (results.times, 0.0146, "0.015"),
        (results.milliseconds, 0.000214, "0.214"),
        (results.milliseconds, 0.00432, "4.32"),
        (results.milliseconds, 0.0153, "15.3"),
        (results.milliseconds, 0.2761, "276"),
        (results.seconds, 1.234, "1.23"),
        (results.seconds, 21.36, "21.4"),
    ],
)
def test_numbers_have_as_many_digits_as_they_need(form: object, value: float, text: str) -> None:
    assert callable(form)
    assert form(value) == text


SINGLE = {"single_rate": [5000.0], "single_p50": [0.0002], "single_p99": [0.001]}


def rows() -> dict[str, Row]:
    """Return a small comparison: the echo, ours, the naive service, three peers, and one that is missing."""
    every = [
        row("fastapi-echo", "yardstick", many_rate=[7000, 8000], many_p99=[0.004, 0.005], many_p50=[0.002], rows=[200_000], **SINGLE),
        row("treadle", "treadle", many_rate=[10_500, 16_000], many_p99=[0.004, 0.005], many_p50=[0.001], rows=[300_000], **SINGLE),
        row("naive", "naive", many_rate=[110, 112], rows=[53_000], memory=[217]),
        row("kserve-onnx", "graph", many_rate=[2000, 2000], rows=[140_000]),
        row("litserve-onnx", "graph", many_rate=[1000, 1000], rows=[90_000]),
        row("mlserver", "guide", many_rate=[195, 195], rows=[160_000]),
    ]
    missing = Row("ray", "the ray", "guide", failed="its environment could not be made: no network")
    return {one.name: one for one in [*every, missing]}


def test_the_table_has_a_line_per_contender_and_says_who_is_missing_and_why() -> None:
    lines = results.table(rows()).splitlines()
    ours = next(line for line in lines if line.startswith("| the treadle | 13"))
    assert [cell.strip() for cell in ours.split("|")[2:5]] == ["13,250 (10,500 to 16,000)", "1.75 (1.50 to 2.00)", "1.00"]
    assert "| the naive | 53,000 | 0.27 | - | - | 217 |" in lines
    assert lines[-1] == "- the ray: its environment could not be made: no network"
    assert not any(line.startswith("| the ray") for line in lines)
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert widths == {10, 7}


def test_a_table_without_the_echo_has_no_ratios() -> None:
    alone = {"treadle": rows()["treadle"]}
    assert "| the treadle | 13,250 (10,500 to 16,000) | - |" in results.table(alone)
    assert results.targets(alone) == ""


def test_targets_are_held_against_the_fastest_peer() -> None:
    lines = results.targets(rows()).splitlines()
    told = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:5]] for line in lines[2:]}
    assert told["one row, 16 clients: x FastAPI echo"] == ["≥ 1.8 (floor 1.4)", "1.75 (1.50 to 2.00)", "floor"]
    assert told["one row, 16 clients: x fastest peer with the same ONNX model (the kserve-onnx)"][1:] == ["6.62 (5.25 to 8.00)", "target"]
    assert told["16 clients: p99, x the echo's"] == ["≤ 1", "1.00", "target"]
    assert told["batches of 1,000 rows as JSON: x fastest peer (the mlserver)"] == ["≥ 2", "1.88", "missed"]


@pytest.mark.parametrize(("value", "verdict"), [(1.8, "target"), (1.79, "floor"), (1.4, "floor"), (1.39, "below the floor")])
def test_a_floor_is_below_its_target(value: float, verdict: str) -> None:
    assert results.TARGETS[0].verdict(value) == verdict


def test_the_traffic_that_waits_is_told_of_those_who_log() -> None:
    known = {"treadle": row("treadle", "treadle", many_rate=[1], many_waiting=[0.25]), "naive": rows()["naive"]}
    assert results.waiting(known) == ["- the treadle: at 16 clients 0.25 s of traffic waited in the spool"]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_drawn_also_where_figures_are_missing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "pictures" / f"speed.{ending}"
    picture.draw(rows(), path)
    begins, holds = {"png": (b"\x89PNG", b"IDAT"), "svg": (b"<?xml", b"the kserve-onnx")}[ending]
    drawn = path.read_bytes()
    assert drawn.startswith(begins)
    assert holds in drawn


# what an answer says

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5]])
PROBABILITIES = np.array([[1.0, 0.0, 0.0], [0.0, 0.97, 0.03]])


def model(tmp_path: Path) -> Model:
    features = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    classes = ("setosa", "versicolor", "virginica")
    nowhere: object = None
    return Model(nowhere, features, classes, ROWS, PROBABILITIES, tmp_path / "model.joblib", tmp_path / "model.onnx")  # type: ignore[arg-type]


def answer(probabilities: object, classes: object = (0, 1)) -> bytes:
    return json.dumps({"probabilities": probabilities, "classes": classes}).encode()


def test_a_right_answer_is_right() -> None:
    contenders.plain("/predict").check(answer((PROBABILITIES + 9e-6).tolist()), ROWS, PROBABILITIES)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (answer((PROBABILITIES + 2e-5).tolist()), "away from scikit-learn's"),
        (answer([[math.nan] * 3] * 2), "away from scikit-learn's"),
        (answer(PROBABILITIES.tolist(), (0, 2)), "names other classes"),
        (answer(PROBABILITIES[:1].tolist(), (0,)), "shape"),
        (b'{"error": "not ready"}', "KeyError"),
        (b"<html>", "JSONDecodeError"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_reason(told: bytes, reason: str) -> None:
    with pytest.raises(WrongAnswerError, match=reason):
        contenders.plain("/predict").check(told, ROWS, PROBABILITIES)


def test_an_echo_must_be_the_same() -> None:
    echo = Ask("/", lambda rows: rows.tolist(), same=lambda rows: rows.tolist())
    echo.check(json.dumps(ROWS.tolist()).encode(), ROWS, PROBABILITIES)
    with pytest.raises(WrongAnswerError, match="it is"):
        echo.check(json.dumps(ROWS[:1].tolist()).encode(), ROWS, PROBABILITIES)


def test_each_contender_that_can_be_named_is_there(tmp_path: Path) -> None:
    every = contenders.every(model(tmp_path))
    assert tuple(every) == contenders.NAMES
    assert set(command.QUICK) <= set(every)
    for one in every.values():
        assert one.lock == "" or (environments.LOCKS / f"{one.lock}.txt").exists()
        assert command.versions(one)
        assert json.loads(contenders.encoded(one.one.body(ROWS[:1])))


def test_what_treadle_is_asked_and_answers(tmp_path: Path) -> None:
    ours = contenders.every(model(tmp_path))["treadle"]
    assert ours.one.body(ROWS[:1]) == {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    told = {"prediction": "setosa", "probabilities": {"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0}}
    ours.one.check(json.dumps(told).encode(), ROWS[:1], PROBABILITIES[:1])
    assert ours.batch is not None
    other = {"prediction": "versicolor", "probabilities": {"setosa": 0.0, "versicolor": 0.97, "virginica": 0.03}}
    ours.batch.check(json.dumps({"predictions": [told, other]}).encode(), ROWS, PROBABILITIES)
    with pytest.raises(WrongAnswerError):
        ours.batch.check(json.dumps({"predictions": [told, told]}).encode(), ROWS, PROBABILITIES)


def test_the_row_with_everything_on_has_traces_pseudonyms_and_a_key_with_a_limit(tmp_path: Path) -> None:
    workspace = house.make(tmp_path / "model", {})
    bundle = small_bundles.put(workspace.bundle_dir, small_bundles.answering(), small_bundles.INTERFACE)
    store = open_store(workspace.store_url)
    with store.write() as conn:
        deployments.insert(conn, house.MODEL, expected=0, slots=[Slot("champion", 1, bundle.digest, 1.0)], reason="a test", at=1.0)
    store.close()
    row = contenders.every(replace(model(tmp_path), workspace=workspace))["treadle-everything"]
    place = contenders.Place(Path(sys.executable), tmp_path / "start", 1, ())

    variables = row.prepare(place)
    headers = dict(row.headers(place.folder))

    started = contenders.opened(place.folder)
    assert variables == {"TREADLE_WORKSPACE": str(started.root)}
    assert (started.settings.traces, started.settings.trace_share) == (sink.address(), 0.01)
    store = open_store(started.store_url)
    with store.read() as conn:
        deployed = deployments.current(conn, house.MODEL)
    store.close()
    assert deployed is not None
    assert deployed.champion is not None
    assert BundlePlace.of(started).get(deployed.champion.digest).interface.pseudonymize
    holder = Keyring(Keys(started.home).known()).find(headers["X-API-Key"].encode())
    assert holder is not None
    assert holder.limit is not None
    assert headers["X-Request-ID"] == contenders.REQUEST


def test_the_sink_takes_a_batch() -> None:
    assert httpx.post(sink.address(), content=b"spans").status_code == 200
    assert sink.BATCHES[-1] == 5


def test_what_treadle_is_asked_and_answers_as_tensors(tmp_path: Path) -> None:
    ask = contenders.every(model(tmp_path))["treadle"].tensors
    assert ask is not None
    sent, length = contenders.encoded(ask.body(ROWS)), int(dict(ask.headers(ROWS))["Inference-Header-Content-Length"])
    assert [one["name"] for one in json.loads(sent[:length])["inputs"]] == list(model(tmp_path).features)
    assert np.array_equal(np.frombuffer(sent[length:], "<f4").reshape(4, 2).T, ROWS.astype(np.float32))
    outputs = [
        {"name": "prediction", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    ask.check(head + b"xx" + PROBABILITIES.astype("<f4").tobytes(), ROWS, PROBABILITIES)
    with pytest.raises(WrongAnswerError):
        ask.check(head + b"xx" + PROBABILITIES[::-1].astype("<f4").tobytes(), ROWS, PROBABILITIES)


def test_a_batch_repeats_the_rows(tmp_path: Path) -> None:
    asked, known = model(tmp_path).batch(5)
    assert asked[:, 0].tolist() == [5.1, 6.0, 5.1, 6.0, 5.1]
    assert known.shape == (5, 3)


# environments


def test_every_lock_pins_what_the_model_is_written_with() -> None:
    ours = dict(line.split("==") for line in environments.shared())
    assert set(ours) == set(environments.SHARED)
    for source in sorted(environments.LOCKS.glob("*.in")):
        pins = environments.pins(source.stem)
        assert {name: pins[name] for name in ours if name in pins} == {name: version for name, version in ours.items() if name in pins}
        # The one that only looks on has no model.
        assert ("scikit-learn" in pins) == (source.stem != "profile")


def test_what_each_environment_is_asked_for_is_pinned() -> None:
    for source in sorted(environments.LOCKS.glob("*.in")):
        asked = {line.partition("#")[0].partition("[")[0].partition("<")[0].strip() for line in source.read_text().splitlines()}
        assert asked <= set(environments.pins(source.stem))


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("Collecting\nerror: Request failed after 3 retries\n  hint: offline", "error: Request failed after 3 retries"),
        ("WARNING: Retrying after 'ProxyError'\nERROR: No matching distribution found", "ERROR: No matching distribution found"),
        ("one thing\nand the last", "and the last"),
        ("", "Command .* returned non-zero exit status 1"),
    ],
)
def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, reason: str) -> None:
    def refuse(*words: str) -> None:
        raise subprocess.CalledProcessError(1, list(words), stderr=printed)

    monkeypatch.setattr(environments, "run", refuse)
    with pytest.raises(environments.EnvironmentFailedError, match=f"could not be made: {reason}"):
        environments.make("fastapi", tmp_path)
    assert not list(tmp_path.glob("fastapi-*/finished"))


def test_an_environment_is_made_once_and_an_older_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def install(folder: Path, lock: Path) -> None:
        folder.mkdir()
        made.append(lock.name)

    monkeypatch.setattr(environments, "_install", install)
    (tmp_path / "fastapi-000000000000").mkdir()
    first, second = environments.make("fastapi", tmp_path), environments.make("fastapi", tmp_path)
    assert first == second
    assert made == ["fastapi.txt"]
    assert [path.name for path in tmp_path.glob("fastapi-*")] == [first.parent.parent.name]


# the backlog of the spool


def looks(*, seconds: float, unshipped: float, wobble: float = 0.0) -> list[Look]:
    """Return ten looks a second at a service that writes 1 MB/s, of which a share stays unshipped; the rest waits a quarter second."""
    noise = np.random.default_rng(3)
    found = []
    for number in range(int(10 * seconds)):
        at = number / 10
        waiting = 1e6 * (min(at, 0.25) + unshipped * at) + wobble * noise.normal()
        found.append(Look(at, int(1e6 * at), max(0, int(waiting))))
    return found


def test_a_level_backlog_is_no_fault() -> None:
    assert backlog.grows(looks(seconds=8, unshipped=0, wobble=1e5)) == ""
    assert backlog.waiting(looks(seconds=8, unshipped=0)) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_growing_backlog_is_told_by_its_share(share: float) -> None:
    seen = looks(seconds=8, unshipped=share, wobble=1e4)
    assert backlog.behind(seen) == pytest.approx(share, abs=0.02)
    assert "of what was logged behind" in backlog.grows(seen)


def test_of_a_short_load_nothing_is_said_of_growth() -> None:
    assert backlog.grows(looks(seconds=2, unshipped=1)) == ""
    assert backlog.waiting([]) == 0


# the command


def test_who_comes_first_changes_and_nobody_is_left_out() -> None:
    names = list(contenders.NAMES)
    orders = [command.rotated(names, number) for number in range(4)]
    assert all(sorted(order) == sorted(names) for order in orders)
    assert len({order[0] for order in orders[:3]}) == 3
    assert command.rotated([], 1) == []
    assert command.rotated(["one"], 5) == ["one"]


def test_contenders_are_chosen_by_name_in_the_order_of_the_table() -> None:
    assert command.chosen(command.given(["--only", "treadle,raw-asgi"])) == ["raw-asgi", "treadle"]
    assert command.chosen(command.given(["--quick"])) == ["raw-asgi", "fastapi-echo", "treadle"]
    assert command.chosen(command.given([])) == list(contenders.NAMES)
    with pytest.raises(SystemExit, match=r"no contender called triton\. Choose from raw-asgi"):
        command.chosen(command.given(["--only", "triton"]))


def test_the_command_that_is_told_names_no_place_of_this_machine() -> None:
    asked = command.given(["--only", "treadle", "--seconds", "4", "--out", "/somewhere", "--write"])
    assert command.again(asked) == "python -m benchmarks.serving --only treadle --rounds 3 --seconds 4"
    assert command.again(command.given(["--quick"])) == "python -m benchmarks.serving --quick --rounds 1 --seconds 2"


def test_quick_is_short_unless_told_otherwise() -> None:
    assert (command.given(["--quick"]).rounds, command.given(["--quick"]).seconds) == (1, 2)
    assert (command.given([]).rounds, command.given(["--quick", "--seconds", "5"]).seconds) == (3, 5)
    with pytest.raises(SystemExit):
        command.given(["--rounds", "-1"])


def test_the_page_has_the_place_for_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "speed.md"
    shown.write_text(command.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(command, "PAGE", shown)
    monkeypatch.setattr(command, "PICTURE", tmp_path / "speed.svg")
    text = command.report(rows(), ["- machine: one"], [])
    command.write(text, rows())
    once = shown.read_text(encoding="utf-8")
    command.write(text, rows())
    assert shown.read_text(encoding="utf-8") == once
    assert once.count(text) == 1
    assert once.startswith(command.PAGE.read_text(encoding="utf-8").partition(page.begin(command.COMMAND))[0])
    assert (tmp_path / "speed.svg").exists()


def test_figures_that_do_not_count_are_named_in_the_report() -> None:
    assert "- **Treadle, round 1, many: it grows**" in command.report(rows(), [], ["Treadle, round 1, many: it grows"])
