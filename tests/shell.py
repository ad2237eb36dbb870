"""The ``treadle`` command in this process, from its arguments to its exit code."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

from treadle.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What a script reads: it must be all that stands on stdout, and strict JSON."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def treadle(*arguments: object, stdin: str = "") -> Done:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["treadle", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def failed(done: Done, *parts: str) -> str:
    """Require that a command has failed as one should: code 1, a sentence on stderr that has these parts, nothing else."""
    assert done.code == 1, done
    assert done.err.startswith("treadle: "), done
    assert "Traceback" not in done.out + done.err
    for part in parts:
        assert part in done.err, done.err
    return done.err
