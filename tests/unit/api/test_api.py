"""Every command is a function of the package, and every function is described."""

import inspect
import subprocess
import sys

import pytest
import typer

import treadle
from treadle import api
from treadle.cli.main import app

OTHER_NAMES = {"loop": "run_loop", "demo": "run_demo", "break": "drill"}
"""Commands whose own name is taken in Python."""


def commands() -> list[str]:
    """Return every command, one of a group with the group's name before it."""
    found: list[str] = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found += [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_a_function(command: str) -> None:
    assert OTHER_NAMES.get(command, command.replace(" ", "_").replace("-", "_")) in api.__all__


@pytest.mark.parametrize("name", api.__all__)
def test_every_function_is_described(name: str) -> None:
    function = getattr(treadle, name)
    assert (inspect.getdoc(function) or "").split("\n")[0].endswith((".", ":"))
    hints = inspect.signature(function)
    assert hints.return_annotation is not inspect.Signature.empty or inspect.isclass(function)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        treadle.trian  # noqa: B018 -- that it fails is the test


def test_the_names_are_listed() -> None:
    assert set(api.__all__) <= set(dir(treadle))


def test_the_api_is_loaded_when_it_is_asked_for_and_no_sooner() -> None:
    code = "import sys, treadle; assert 'treadle.api' not in sys.modules; treadle.train; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
