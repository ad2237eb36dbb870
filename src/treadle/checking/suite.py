"""The contract suite: small checks, each standing on others. Where one fails, what stands on it is skipped.

It trains on a sample, and touches neither the workspace's registry nor its store.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from treadle.checking import model, paper, requests, rows, worlds
from treadle.checking.case import Case, Found
from treadle.checking.outcome import Outcome, failed
from treadle.errors import TreadleError
from treadle.projects import names
from treadle.settings import Workspace


@dataclass(frozen=True)
class Check:
    """One check. ``run`` looks at a case and may raise; ``needs`` names what must not have failed before; ``fix`` is what mostly helps."""

    name: str
    run: Callable[[Case], Found]
    needs: tuple[str, ...] = ()
    fix: str = ""


CHECKS = (
    Check("contract", paper.contract, fix="Correct model.yaml."),
    Check("code", rows.code, ("contract",), "Correct model.py."),
    Check("loads", rows.loads, ("code",), "Correct load() in model.py."),
    Check("validates", rows.validates, ("loads",)),
    Check("fits float32", rows.fits_float32, ("validates",)),
    Check("splits", rows.splits, ("validates",), "Bring more rows, or change interface.split in model.yaml."),
    Check("builds", model.builds, ("code",), "Correct build() in model.py."),
    Check("trains", model.trains, ("splits", "builds"), "Try build() on the rows in a notebook."),
    Check("same seed, same model", model.repeats, ("exports",)),
    Check("exports", model.exports, ("trains",)),
    Check("parity", model.parity, ("exports",)),
    Check("example is answered", requests.answers_example, ("exports",), "Name an `example` for the features in model.yaml."),
    Check("wrong rows are refused", requests.refuses_wrong, ("contract",)),
    Check("ranges", requests.ranges, ("contract",)),
    Check("simulates", worlds.simulates, ("validates",), "Correct simulate() in model.py, or leave it out: a world is learned then."),
    Check("world before the shift", worlds.before, ("simulates", "exports")),
    Check("world after the shift", worlds.after, ("simulates", "exports")),
    Check("policy", paper.policy, ("contract",)),
    Check("card", paper.card, ("contract",)),
)
"""In the order of the report; a check may need a later one."""


@dataclass(frozen=True)
class Checked:
    """The outcomes of one project, in the order of the checks."""

    model: str
    passed: bool
    outcomes: tuple[Outcome, ...]


class Suite:
    """The checks of one project. Each runs once, when its outcome is first asked for; those that it needs run before it."""

    def __init__(self, case: Case, checks: Sequence[Check] = CHECKS) -> None:
        self._checks = {check.name: check for check in checks}
        self._case = case
        self._outcomes: dict[str, Outcome] = {}

    @property
    def model(self) -> str:
        """The name of the project."""
        return self._case.name

    def outcome(self, name: str) -> Outcome:
        """Return the outcome of one check."""
        if name not in self._outcomes:
            self._outcomes[name] = self._run(self._checks[name])
        return self._outcomes[name]

    def checked(self) -> Checked:
        """Return the outcome of every check."""
        outcomes = tuple(self.outcome(name) for name in self._checks)
        return Checked(self.model, not failed(outcomes), outcomes)

    def _run(self, check: Check) -> Outcome:
        missing = [name for name in check.needs if self.outcome(name).status in {"failed", "skipped"}]
        if missing:
            return Outcome(check.name, "skipped", f"it stands on {' and '.join(map(repr, missing))}")
        try:
            found = check.run(self._case)
        except TreadleError as error:
            return Outcome(check.name, "failed", error.sentence, error.fix or check.fix)
        except Exception as error:  # noqa: BLE001 -- a project's own code may raise anything
            return Outcome(check.name, "failed", f"{type(error).__name__}: {error}", check.fix)
        return Outcome(check.name, "warning" if found.warns else "ok", found.reason, (found.fix or check.fix) if found.warns else "")


def check(workspace: Workspace, model: str | None = None, *, seed: int = 42) -> list[Checked]:
    """Examine one project, or every project of the workspace.

    Raises:
        ProjectNotFound: there is no project of this name.
    """
    return [Suite(Case(workspace, name, seed)).checked() for name in ([model] if model is not None else names(workspace))]
