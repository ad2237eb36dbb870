"""The contract suite as a plugin of pytest: ``pytest --treadle`` runs a test per project and check beside your own.

Without the option nothing is collected and nothing heavy is imported. A warning is told at the end and fails no test.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from treadle.checking.outcome import Outcome
    from treadle.checking.suite import Suite

WARNED: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("treadle").addoption(
        "--treadle",
        action="append",
        nargs="?",
        const="",
        metavar="MODEL",
        help="Also test the projects of the Treadle workspace, or with --treadle=MODEL one of them.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what is warned of."""
    config.stash[WARNED] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test per project and check to those that were collected."""
    asked: list[str] | None = config.getoption("--treadle")
    if asked:
        items.extend(_tests(session, config, [name for name in asked if name]))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what was warned of."""
    if config.stash[WARNED]:
        terminalreporter.section("treadle: warnings")
        for line in config.stash[WARNED]:
            terminalreporter.line(line)


def _tests(session: pytest.Session, config: pytest.Config, asked: list[str]) -> Iterator[pytest.Item]:
    from treadle.checking.case import Case  # noqa: PLC0415 - only who asks for it waits for it
    from treadle.checking.suite import CHECKS, Suite  # noqa: PLC0415
    from treadle.errors import TreadleError  # noqa: PLC0415
    from treadle.projects import find, names  # noqa: PLC0415
    from treadle.settings import Workspace  # noqa: PLC0415

    try:
        workspace = Workspace.find(None if os.environ.get("TREADLE_WORKSPACE") else config.rootpath)
        known = names(workspace)
        for name in set(asked) - set(known):
            find(workspace, name)
    except TreadleError as error:
        raise pytest.UsageError(str(error)) from error
    for name in asked or known:
        suite = Suite(Case(workspace, name))
        node = Model.from_parent(session, name=name, nodeid=f"treadle::{name}", path=workspace.projects_dir / name)
        for check in CHECKS:
            yield CheckTest.from_parent(node, name=check.name.replace(" ", "-"), suite=suite, check=check.name)


class Model(pytest.Collector):
    """One project."""

    def collect(self) -> "list[pytest.Item]":
        """Return nothing: its tests are made with it."""
        return []


class CheckTest(pytest.Item):
    """One check of one project."""

    def __init__(self, *, suite: "Suite", check: str, **more: Any) -> None:
        super().__init__(**more)
        self._suite = suite
        self._check = check

    def runtest(self) -> None:
        """Run the check, after those that it stands on."""
        outcome = self._suite.outcome(self._check)
        if outcome.status == "failed":
            raise CheckFailed(outcome)
        if outcome.status == "skipped":
            pytest.skip(outcome.reason)
        if outcome.status == "warning":
            model = self.parent.name if self.parent else ""
            self.config.stash[WARNED].append(f"{model}: {self._check}: {outcome.reason} {outcome.fix}".rstrip())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the sentence of a check that failed, and what to do."""
        return str(excinfo.value) if isinstance(excinfo.value, CheckFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test comes from, and its name."""
        return self.path, None, self.nodeid


class CheckFailed(Exception):
    """A check of the contract suite has failed."""

    def __init__(self, outcome: "Outcome") -> None:
        super().__init__("\n".join(part for part in (f"{outcome.name}: {outcome.reason}", outcome.fix) if part))
