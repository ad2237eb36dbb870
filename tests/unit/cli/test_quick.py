"""Commands that only look, or take a word, load nothing that trains: nobody should wait for it."""

import json
import subprocess
import sys

import pytest

from tests.unit.cli.test_deciding import deploy, judge
from treadle.settings import Workspace
from treadle.state import turns
from treadle.state.store import Store, open_store

SLOW = {"dvc", "fastapi", "lightgbm", "mlflow", "onnx", "onnxruntime", "pandas", "skl2onnx", "sklearn", "torch", "xgboost"}
COMMANDS = {
    "approve": ["approve", "iris", "--reason", "A test."],
    "reject": ["reject", "iris", "--reason", "A test."],
    "pause": ["pause", "iris", "--reason", "A test."],
    "resume": ["resume", "iris"],
    "status": ["status"],
    "why": ["why", "iris"],
    "events": ["events"],
    "labels import": ["labels", "import", "labels.csv", "--model", "iris"],
}
RUN = """
import json, sys
from treadle.cli.main import main
commands, slow = map(json.loads, sys.argv[1:])
ended = {}
for name, command in commands.items():
    sys.argv = ["treadle", *command]
    try:
        main()
    except SystemExit as end:
        ended[name] = [end.code or 0, sorted(set(slow) & set(sys.modules))]
print(json.dumps(ended))
"""


def ended(place: Workspace) -> dict[str, tuple[int, list[str]]]:
    """Run every command, one after the other in one fresh process; return exit codes, and which slow libraries were loaded by then."""
    program = [sys.executable, "-c", RUN, json.dumps(COMMANDS), json.dumps(sorted(SLOW))]
    done = subprocess.run(program, cwd=place.root, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    assert list(answers) == list(COMMANDS), done.stderr
    return {name: (code, slow) for name, (code, slow) in answers.items()}


@pytest.fixture
def asked(workspace: Workspace) -> Store:
    """Return the store of a workspace in which a turn of iris waits for people."""
    store = open_store(workspace.store_url)
    judge(workspace, store)
    with store.write() as conn:
        turn = turns.open_turn(conn, "iris", cause="a test", episode=None, step="judge", at=1.0)
        turns.advance(conn, turn, step="consent", at=2.0, data={"version": 3})
    return store


def test_where_nothing_has_happened_yet(workspace: Workspace) -> None:
    (workspace.root / "labels.csv").write_text("entity,at\n")
    answers = ended(workspace)
    assert {name: slow for name, (_, slow) in answers.items() if slow} == {}
    assert {name for name, (code, _) in answers.items() if code} == {"approve", "reject", "labels import"}


def test_where_a_turn_waits_for_people(workspace: Workspace, asked: Store) -> None:
    (workspace.root / "labels.csv").write_text("prediction_id,species\np1,setosa\n")
    assert ended(workspace) == {name: (0, []) for name in COMMANDS}


def test_where_a_champion_answers_and_a_turn_waits_for_people(workspace: Workspace, asked: Store) -> None:
    deploy(asked, 3)
    answers = ended(workspace)
    assert {name: slow for name, (_, slow) in answers.items() if slow} == {}
    assert {name for name, (code, _) in answers.items() if code} == {"approve", "labels import"}  # the champion; no such file
