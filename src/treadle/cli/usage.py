"""Command lines that cannot be read, told as all errors are: what is wrong, and the next command to type."""

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from treadle.errors import CommandLineInvalid

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises; typer has it under another name in each of its generations."""

SYNONYMS = {
    "create": "init",
    "deploy": "promote",
    "fit": "train",
    "history": "events",
    "list": "status",
    "log": "events",
    "logs": "events",
    "ls": "status",
    "models": "status",
    "new": "init",
    "retrain": "train",
    "run": "up",
    "score": "predict",
    "start": "up",
    "version": "--version",
}
"""Words that other tools have for what a command of ours does."""


def asks_for_help(error: Any) -> bool:
    """Return whether nothing is wrong but that a command was typed alone: its help is the answer."""
    return str(error.message).startswith("Usage: ")


def told(error: Any, arguments: Sequence[str]) -> "CommandLineInvalid":
    """Return what the parser refuses in ``arguments`` as an error of ours."""
    from treadle.errors import CommandLineInvalid

    what, better = _reading(error, arguments)
    usage = " ".join(error.ctx.get_usage().split()) if error.ctx else ""
    if better and all(part.isprintable() for part in better):
        return CommandLineInvalid(what, usage, shlex.join(["treadle", *better]), guessed=not _is_missing(error))
    return CommandLineInvalid(what, usage, f"{_command(error, arguments)} --help")


def _reading(error: Any, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return what is wrong in a sentence, and the arguments that were probably meant, if that can be said."""
    if getattr(error, "possibilities", None):
        return f"{error.message.rstrip('.')}.", _with_option(arguments, error.option_name, error.possibilities[0])
    commands = getattr(error.ctx.command, "commands", {}) if error.ctx else {}
    if commands and not hasattr(error, "option_name"):
        return _unknown_command(error, arguments, commands)
    if _is_missing(error):
        return _missing(error, arguments)
    return _sentence(error), []


def _is_missing(error: Any) -> bool:
    return type(error).__name__ == "MissingParameter"


def _with_option(arguments: Sequence[str], wrong: str, right: str) -> list[str]:
    """Return the arguments with an option under its right name, which may have its value behind an equals sign."""
    return [right + part[len(wrong) :] if part.partition("=")[0] == wrong else part for part in arguments]


def _unknown_command(error: Any, arguments: Sequence[str], commands: Iterable[str]) -> tuple[str, list[str]]:
    """Say which command there is not, and guess which one was meant; the rest of the line stays as it is."""
    depth = len(error.ctx.command_path.split()) - 1
    place = next((at for at, part in enumerate(arguments) if at >= depth and not part.startswith("-")), None)
    if place is None:
        return _sentence(error), []
    from treadle.errors import choose_from

    typed = arguments[place]
    before, after = arguments[:place], arguments[place + 1 :]
    choice = f": {choose_from(commands)}" if depth else ""
    what = f"There is no command '{error.ctx.command_path} {repr(typed)[1:-1]}'{choice}."
    if typed == "help":
        return what, [*before, *(part for part in after[:1] if not part.startswith("-")), "--help"]
    known = [SYNONYMS[typed]] if typed in SYNONYMS and not depth else get_close_matches(typed, list(commands), n=1)
    return what, [*before, known[0], *after] if known else []


def _missing(error: Any, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Say what is missing; where it is the name of a model alone, the first one is an example that can be typed."""
    from treadle.cli.options import models

    known = models("") if error.param is not None and error.param.name == "model" else []
    if not known:
        return _sentence(error), []
    required = [param for param in error.ctx.command.params if param.required]
    return f"{_sentence(error).rstrip('.')}: choose from {', '.join(known)}.", [*arguments, known[0]] if len(required) == 1 else []


def _sentence(error: Any) -> str:
    """Return the parser's own words as a sentence that has the refused value in it."""
    text, said = str(error.format_message()), str(error.message)
    refusals = getattr(error.__cause__, "errors", None)
    if refusals is not None and said.startswith("Input should be "):
        allowed = said.removeprefix("Input should be ").partition(", unable")[0]
        text = text.replace(said, f"{refusals()[0]['input']!r} is not allowed; it should be {allowed}")
    text = text.replace("Value error, ", "").removeprefix("Invalid value: ")
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _command(error: Any, arguments: Sequence[str]) -> str:
    """Return the command that was typed, without what is wrong about it."""
    if error.ctx is not None:
        return str(error.ctx.command_path)
    first_option = next((at for at, part in enumerate(arguments) if part.startswith("-")), len(arguments))
    return shlex.join(["treadle", *arguments[:first_option]])
