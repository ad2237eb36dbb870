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
