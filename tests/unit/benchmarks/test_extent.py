"""The pure parts of the benchmarks of start, swap, scale and growth."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import house
from benchmarks.serving import goals, growth, growth_picture, install, page, scale, service, small, start, swap
from benchmarks.serving.contenders import WrongAnswerError
from benchmarks.serving.goals import Goal
from benchmarks.serving.growth_picture import Point
from benchmarks.serving.install import Install
from benchmarks.serving.pace import Pacer
from benchmarks.serving.scale import Round
from benchmarks.serving.service import Question, ServiceFailedError
from benchmarks.serving.start import Seen
from tests.small_bundles import INTERFACE, ROW, VALUE
from treadle.engine.encode import to_matrix
from treadle.engine.session import Engine

COMMANDS = ("benchmarks.serving", *(f"benchmarks.serving.{name}" for name in ("start", "swap", "scale", "growth")))


# the page


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_a_place_for_each_command_and_nothing_else_changes(tmp_path: Path, command: str) -> None:
    path, before = tmp_path / "speed.md", page.PAGE.read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    page.lay(command, "What was found.", path)
    once = path.read_text(encoding="utf-8")
    page.lay(command, "What was found.", path)
    assert path.read_text(encoding="utf-8") == once
    head, _, rest = before.partition(page.begin(command))
    _, _, tail = rest.partition(page.END)
    assert once == f"{head}{page.begin(command)}\n\nWhat was found.\n\n{page.END}{tail}"
    for other in COMMANDS:
        assert once.count(page.begin(other)) == 1


def test_a_page_without_the_place_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    path.write_text("Nothing here.", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"no place for python -m benchmarks\.serving\.swap"):
        page.lay("benchmarks.serving.swap", "What was found.", path)
    assert path.read_text(encoding="utf-8") == "Nothing here."


# goals


@pytest.mark.parametrize(
    ("goal", "value", "cells"),
    [
        (Goal("start", 1.5, "s"), 1.5, ("start", "≤ 1.5 s", "1.50 s", "target")),
        (Goal("start", 1.5, "s"), 1.51, ("start", "≤ 1.5 s", "1.51 s", "missed")),
        (Goal("rate", 1.8, most=False), 1.79, ("rate", "≥ 1.8", "1.79", "missed")),
        (Goal("rate", 1.8, most=False), 1.8, ("rate", "≥ 1.8", "1.80", "target")),
    ],
)
def test_a_goal_says_whether_it_is_reached(goal: Goal, value: float, cells: tuple[str, ...]) -> None:
    assert goal.line(value) == cells
    assert goals.table([(goal, value)]).splitlines()[-1] == f"| {' | '.join(cells)} |"


# questions


def question(**probabilities: float) -> Question:
    return Question("churn", INTERFACE, ROW, np.array([0.25, 0.75]))


def test_a_right_answer_is_right_and_a_wrong_one_is_not() -> None:
    question().check(json.dumps({"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}).encode())
    for told in ({"probabilities": {"no": 0.26, "yes": 0.74}}, {"probabilities": {"no": 0.25}}, {"error": "not ready"}):
        with pytest.raises(WrongAnswerError):
            question().check(json.dumps(told).encode())
    with pytest.raises(WrongAnswerError):
        question().check(b"<html>")


def test_the_answer_of_a_regression_is_its_value() -> None:
    asked = Question("price", VALUE, {"rooms": 3}, np.array([250_000.0]))
    asked.check(b'{"prediction": 250000.5}')
    with pytest.raises(WrongAnswerError, match="price answers"):
        asked.check(b'{"prediction": 250100}')


def test_requests_lie_ready_in_files(tmp_path: Path) -> None:
    asked = [question(), question()]
    one, two = service.request_files(asked, "http://127.0.0.1:81", tmp_path / "single")
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().startswith(b"POST /predict/churn HTTP/1.1\r\n")
    (batch,) = service.request_files(asked, "http://127.0.0.1:81", tmp_path / "batch", batch=5)
    head, _, body = batch.read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict/churn/batch HTTP/1.1\r\n")
    assert json.loads(body) == {"rows": [ROW] * 5}


# small models


def test_a_linear_model_of_any_width_answers_as_it_was_fitted(tmp_path: Path) -> None:
    bundle, asked = small.linear(house.make(tmp_path, {}), 16, asked=5)
    assert len(asked) == 5
    scores = Engine(bundle).run(to_matrix(bundle.interface, [dict(one.row) for one in asked]))
    assert np.allclose(scores, [one.scores for one in asked], atol=1e-5)
    assert len({one.scores.argmax() for one in asked}) == 2


def test_copies_of_a_model_are_models_of_their_own(tmp_path: Path) -> None:
    workspace = house.make(tmp_path, {})
    bundle, _ = small.linear(workspace, 4)
    digests = small.copies(workspace, bundle, 3)
    assert list(digests) == ["linear_01", "linear_02", "linear_03"]
    assert len({bundle.digest, *digests.values()}) == 4
    assert small.store(bundle, house.make(tmp_path / "other", {})) == bundle.digest


# start


def seen(title: str, *ready: float) -> Seen:
    kinds = {"worker": 120e6, "shipper": 60e6, "supervisor": 40e6, "all": 220e6}
    return Seen(title, [{"ready": one, "answered": one + 0.01, **kinds} for one in ready])


def test_starts_are_told_by_their_median_and_held_against_the_goals_of_all_projects() -> None:
    slim = Install(Path("python"), 390_000_000, {"numpy": 40_000_000, "uvloop": 12_345_678})
    found = [seen("iris", 0.9), seen("all of them", 1.2, 9.0, 1.3)]
    assert start.table(found).splitlines()[-1] == "| all of them | 1.30 | 1.31 | 120 | 60 | 40 | 220 |"
    assert start.held(found, slim) == [(start.READY, 1.3), (start.WORKER, 120.0), (start.DISK, 390.0)]
    assert start.held(found[:1], None) == [(start.READY, 0.9), (start.WORKER, 120.0)]
    assert install.told(slim) == "- slim install (`pip install treadle`): 390 MB on disk; the largest, in MB: numpy 40.0, uvloop 12.3"


def test_each_project_is_served_by_itself_and_all_of_them_together() -> None:
    assert [case.title for case in start.cases(["iris"], None)] == ["iris"]
    slim = Install(Path("python"), 1, {})
    several = start.cases(["churn", "iris"], slim)
    assert [(case.title, tuple(case.models), case.workers) for case in several] == [
        ("churn", ("churn",), 1),
        ("iris", ("iris",), 1),
        ("all of them", ("churn", "iris"), 1),
        ("all of them, 2 workers", ("churn", "iris"), 2),
        ("all of them, slim install", ("churn", "iris"), 1),
    ]
    assert several[-1].python == slim.python


def test_the_size_of_a_package_is_that_of_its_files_and_of_what_was_compiled_of_them(tmp_path: Path) -> None:
    (tmp_path / "tiny" / "__pycache__").mkdir(parents=True)
    (tmp_path / "tiny" / "__init__.py").write_bytes(b"#" * 100)
    (tmp_path / "tiny" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"#" * 50)
    info = tmp_path / "tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("tiny/__init__.py,,\ntiny/gone.py,,\n", encoding="utf-8")
    assert install.packages(tmp_path) == {"tiny": 150}
    assert install.on_disk(tmp_path) > 150


# swap


def load(*, seconds: float, swaps: list[float], slow: float = 0.0, rate: int = 200) -> np.ndarray:
    """Return what a pacer would have seen: answers of 1 to 2 ms, version 2 at first, and a slow stretch after each swap."""
    sent = np.arange(0.0, seconds, 1 / rate)
    took = 0.001 + 0.001 * (np.arange(len(sent)) % 10) / 10
    for at in swaps:
        took[(sent >= at) & (sent < at + 0.05)] += slow
    version = 2 - np.searchsorted(swaps, sent, side="right") % 2
    return np.column_stack([sent, sent + took, version, np.full(len(sent), 200)])


def test_a_swap_that_nobody_notices_has_the_ratio_of_a_quiet_second() -> None:
    (first, second) = swap.swaps(load(seconds=15, swaps=[5.0, 10.0]), [1, 2], 0.0, 15.0)
    assert first.at == pytest.approx(5.0, abs=0.01)
    assert second.at == pytest.approx(10.0, abs=0.01)
    assert (first.ratio, second.ratio) == pytest.approx((1, 1), abs=0.06)


@given(st.floats(0.01, 0.5))
def test_a_swap_that_holds_answers_up_is_seen_and_the_quiet_seconds_are_not(slow: float) -> None:
    (found,) = swap.swaps(load(seconds=12, swaps=[6.0], slow=slow), [1], 0.0, 12.0)
    assert found.around > slow / 2
    assert found.steady == pytest.approx(0.0019, abs=0.0002)
    assert found.ratio > 2


def test_a_version_that_never_answers_is_no_swap() -> None:
    with pytest.raises(ServiceFailedError, match="version 1 never answered after 2 swaps"):
        swap.swaps(load(seconds=12, swaps=[4.0, 8.0]), [1, 2, 1], 0.0, 12.0)
    with pytest.raises(ServiceFailedError, match="nothing was answered"):
        swap.p99(load(seconds=2, swaps=[]), 5.0, 6.0)


def test_failed_answers_are_counted_and_the_medians_told() -> None:
    known = load(seconds=15, swaps=[5.0, 10.0])
    assert swap.failed(known) == 0
    known[[3, 7], swap.STATUS] = [503, 0]
    assert swap.failed(known) == 2
    told = swap.table(swap.swaps(known, [1, 2], 0.0, 15.0))
    assert "| 2 swaps | median (range) |" in told
    assert "| ratio | 1.0" in told


def test_the_pacer_keeps_its_times_and_notes_version_and_status() -> None:
    answers = [
        b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"version": 7}',
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}",
    ]
    served: list[bytes] = []
    stop, told = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                for answer in answers:
                    served.append(connection.recv(100))
                    # In two parts: an answer is whole only with its last byte.
                    connection.sendall(answer[:30])
                    connection.sendall(answer[30:])
                os.write(told, b".")
                connection.recv(100)

        thread = threading.Thread(target=serve)
        thread.start()
        pacer = Pacer(server.getsockname()[1], [b"one", b"two"], rate=100.0, clients=1)
        began = time.monotonic()
        pacer.run(stop)
        thread.join()
    os.close(stop)
    os.close(told)
    assert served[:2] == [b"one", b"two"]
    assert [answer[2:] for answer in pacer.seen[:2]] == [(7, 200), (0, 503)]
    sent = [answer[0] for answer in pacer.seen[:2]]
    # A request may be late on a busy machine, and never early.
    assert sent[0] >= began + 0.05
    assert sent[1] >= began + 0.06
    assert all(there >= sent for sent, there, _, _ in pacer.seen)


def test_a_service_that_closes_a_connection_ends_the_load() -> None:
    stop, told = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(SystemExit, match="closed a connection"):
            Pacer(server.getsockname()[1], [b"one"], rate=1.0, clients=1).run(stop)
        thread.join()
    os.close(stop)
    os.close(told)


# scale


def test_load_and_service_are_apart_only_where_there_are_cores_enough() -> None:
    assert scale.cores_of([1, 0]) == ([0, 1], [0, 1])
    assert scale.cores_of([3, 2, 1, 0]) == ([1, 2, 3], [0])
    assert "share all cores" in scale.how(apart=False)
    assert "core of its own" in scale.how(apart=True)


@given(st.lists(st.tuples(st.floats(1e-5, 1e-3), st.floats(0.5, 3)), min_size=1, max_size=7))
def test_workers_that_do_not_get_in_each_others_way_scale_by_two(costs: list[tuple[float, float]]) -> None:
    ones = [Round(100 * drift, cost * drift, cost, 1.0) for cost, drift in costs]
    twos = [Round(110 * drift, cost * drift, cost, 0.5) for cost, drift in costs]
    ((goal, value),) = scale.held({1: ones, 2: twos}, apart=False)
    assert goal is scale.COST
    assert value == pytest.approx(2)
    ((goal, value),) = scale.held({1: ones, 2: twos}, apart=True)
    assert goal is scale.RATE
    assert value == pytest.approx(1.1)


def test_the_cost_of_a_row_is_told_in_microseconds() -> None:
    told = scale.table({1: [Round(5000.0, 0.0001, 0.00002, 1.0)], 2: [Round(6000.0, 0.00011, 0.00002, 0.55)]})
    assert told.splitlines()[2:] == ["| 1 | 5,000 | 100 | 20.0 | 100% |", "| 2 | 6,000 | 110 | 20.0 | 55% |"]


# growth

POINTS = {
    "rows": [Point(1, 0.0003, 0.001, 120e6), Point(1000, 0.004, 0.009, 140e6)],
    "features": [Point(4, 0.0002, 0.0004, 110e6)],
    "models": [Point(1, 0.0003, 0.001, 120e6), Point(50, 0.0004, 0.002, 200e6)],
}


def test_every_point_is_in_the_table() -> None:
    lines = growth.table(POINTS).splitlines()
    assert "| 1,000 rows of a batch | 4.00 | 9.00 | 140 |" in lines
    assert "| 50 models, asked in turn | 0.400 | 2.00 | 200 |" in lines
    assert len(lines) == 7


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_of_growth_is_drawn(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "pictures" / f"growth.{ending}"
    growth_picture.draw(POINTS, path)
    begins, holds = {"png": (b"\x89PNG", b"IDAT"), "svg": (b"<?xml", b"features of a linear model")}[ending]
    assert path.read_bytes().startswith(begins)
    assert holds in path.read_bytes()


@pytest.mark.parametrize("command", [start, swap, scale, growth])
def test_each_command_says_what_it_does(command: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["-m"])
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])  # type: ignore[attr-defined]
    assert ended.value.code == 0
    assert "--quick" in capsys.readouterr().out
