"""The edge of the command line: what is loaded at its start, and how failures leave it."""

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shell import Done, failed, treadle
from treadle import __version__
from treadle.cli import main as edge
from treadle.errors import NotDeployed
from treadle.settings import Workspace

HEAVY = {"fastapi", "httpx", "mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "rich", "sklearn", "sqlalchemy", "yaml"}


def test_the_help_needs_nothing_heavy() -> None:
    code = f"import sys, treadle.cli.main; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_lists_every_command_with_a_sentence() -> None:
    done = treadle("--help")
    assert done.code == 0
    for command in edge.app.registered_commands:
        assert command.callback is not None
        assert f"  {command.name or command.callback.__name__} " in done.out
        assert (command.callback.__doc__ or "").split(".")[0] != ""


def test_the_version_is_printed_alone() -> None:
    assert treadle("--version") == Done(0, f"{__version__}\n", "")


@pytest.mark.parametrize("arguments", [("dance",), ("status", "--dance"), ("train",), ("gate", "iris", "--version", "one"), ()])
def test_a_wrong_command_line_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = treadle(*arguments)
    assert done.code == 2
    assert "Usage: treadle" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "what", "following"),
    [
        (("trian", "iris", "--seed", "3"), "There is no command 'treadle trian'.", "Did you mean `treadle train iris --seed 3`?"),
        (("deploy", "iris"), "There is no command 'treadle deploy'.", "Did you mean `treadle promote iris`?"),
        (("help", "train"), "There is no command 'treadle help'.", "Did you mean `treadle train --help`?"),
        (("version",), "There is no command 'treadle version'.", "Did you mean `treadle --version`?"),
        (("dance",), "There is no command 'treadle dance'.", "Next: `treadle --help`."),
        (
            ("keys", "creat", "bob"),
            "no command 'treadle keys creat': choose from create, list, revoke, rotate.",
            "Did you mean `treadle keys create bob`?",
        ),
        (("status", "--jsn"), "No such option: --jsn.", "Did you mean `treadle status --json`?"),
        (("simulate", "iris", "--sedonds=4"), "No such option: --sedonds.", "Did you mean `treadle simulate iris --seconds=4`?"),
        (("status", "--dance"), "No such option: --dance.", "Next: `treadle status --help`."),
        (("--dance",), "No such option: --dance.", "Next: `treadle --help`."),
        (("init",), "Missing argument 'NAME'.", "Next: `treadle init --help`."),
        (("init", "a"), "Missing option '--from'.", "Next: `treadle init --help`."),
        (("gate", "iris", "--version", "one"), "'one' is not allowed; it should be a valid integer.", "Next: `treadle gate --help`."),
        (("simulate", "iris", "--seconds", "9999"), "should be less than or equal to 3600.", "Next: `treadle simulate --help`."),
        (
            ("keys", "create", "ada", "--rate", "x"),
            "'x' is not allowed; it should be a valid number.",
            "Next: `treadle keys create --help`.",
        ),
        (("train", "iris", "more"), "unexpected extra argument(s) (more).", "Next: `treadle train --help`."),
        (("events", "--since"), "'--since' requires an argument.", "Next: `treadle events --help`."),
        (
            ("predict", "iris", "a", "--file", "b"),
            "treadle: Give the file once: as FILE, or with --file.",
            "Next: `treadle predict --help`.",
        ),
    ],
)
def test_a_wrong_command_line_ends_in_the_next_one_to_type(arguments: tuple[str, ...], what: str, following: str) -> None:
    done = treadle(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("treadle: ")
    assert what in done.err.splitlines()[0]
    assert done.err.splitlines()[-1] == following


def test_a_model_that_is_not_named_is_one_of_the_workspace(workspace: Workspace) -> None:
    done = treadle("train", "--seed", "3")
    assert done.code == 2
    assert "Missing argument 'MODEL': choose from churn, house_prices, iris." in done.err
    assert done.err.endswith("Next: `treadle train --seed 3 churn`.\n")
    assert treadle("label").err.endswith("Next: `treadle label --help`.\n"), "more is missing than the model"


def test_what_cannot_be_printed_is_not_typed_again() -> None:
    assert "\x1b" not in treadle("label", "iris", "\x1b[31m", "--reqest", "x").err
    assert "\x1b" not in treadle("\x1b[31m").err


def test_a_question_that_nobody_answers_is_told(workspace: Workspace) -> None:
    failed(treadle("reset"), "The question was not answered, so nothing was done.", "--yes")


@pytest.mark.parametrize("options", [[], ["--prediction", "p", "--entity", "e"]])
def test_a_label_needs_exactly_one_key(options: list[str]) -> None:
    done = treadle("label", "iris", "setosa", *options)
    assert done.code == 2
    assert "exactly one of --prediction, --request and --entity" in done.err


def raising(error: BaseException) -> Callable[..., None]:
    def app(**_: object) -> None:
        raise error

    return app


def test_an_error_of_ours_is_its_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "app", raising(NotDeployed("iris")))
    assert treadle() == Done(1, "", f"treadle: {NotDeployed('iris')}\n")


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/state"), "/srv/state"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (sqlite3.OperationalError("database or disk is full"), "A database of SQLite cannot be read or written: database or disk is full."),
        (OSError(errno.EROFS, "Read-only file system", "/srv/state"), "Read-only file system"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception, named: str) -> None:
    monkeypatch.setattr(edge, "app", raising(error))
    failed(treadle(), named, "TREADLE_HOME")


@pytest.mark.parametrize("error", [KeyError("x"), TimeoutError("too long")])
def test_what_was_not_foreseen_is_told_in_a_line_and_kept_in_a_file(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(edge, "app", raising(error))
    said = failed(treadle(), type(error).__name__)
    (name,) = [word.rstrip(".;") for word in said.split() if word.endswith(".log;")]
    log = Path(name)
    assert "Traceback" in log.read_text()
    assert type(error).__name__ in log.read_text()
    assert len(said.splitlines()) == 1
    log.unlink()


def test_ctrl_c_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("treadle.api.look.opened", interrupted)
    assert treadle("status") == Done(130, "", "")
