"""Every failure that a person can act on, in the order of the rooms that raise it.

Each class owns its sentence: what failed, with which value, what is allowed, and what to do next.
Errors become text or an HTTP status only at the edges (``cli`` and ``serving``).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


def choose_from(names: Iterable[str]) -> str:
    """Return "choose from a, b" for the names that exist, or say that there are none."""
    known = ", ".join(sorted(names))
    return f"choose from {known}" if known else "there are none yet"


class TreadleError(Exception):
    """The base of all of Treadle's own errors.

    ``what`` is the sentence that names the thing and the value, ``fix`` the next thing to do, and
    ``problems`` one line per detail.
    """

    def __init__(self, what: str, *, fix: str = "", problems: Sequence[str] = ()) -> None:
        self.what = what
        self.fix = fix
        self.problems = tuple(problems)
        super().__init__("\n".join([what, *(f"  - {line}" for line in problems), *([fix] if fix else [])]))

    @property
    def sentence(self) -> str:
        """What failed, with its details, in one line."""
        return " ".join([self.what, *self.problems])


# settings and workspace


class WorkspaceNotFound(TreadleError):
    """No ``treadle.toml`` in this folder or above it."""

    def __init__(self, start: Path) -> None:
        super().__init__(
            f"No workspace: neither {start} nor a folder above it holds a treadle.toml.",
            fix="Go to the folder of your workspace, name it with TREADLE_WORKSPACE, or make one: "
            "an empty treadle.toml beside a projects/ folder.",
        )


class SettingsInvalid(TreadleError):
    """A setting has an unknown name or a value that is not allowed."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"The settings in {source} cannot be used.",
            problems=problems,
            fix="docs/reference/settings.md lists every setting.",
        )


# the contract


class ContractInvalid(TreadleError):
    """A ``model.yaml`` (or a policy overlay) does not say what a contract must say."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"The contract {path} is not valid.",
            problems=problems,
            fix="docs/reference/contract.md describes every key; `treadle schema` prints the JSON Schema.",
        )


class ProjectNotFound(TreadleError):
    """No project of this name in the workspace or among the installed ones."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"There is no project {name!r}: {choose_from(known)}.", fix="A project is a folder projects/<name>/ with a model.yaml."
        )


class ProjectCodeInvalid(TreadleError):
    """The ``model.py`` of a project cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The code of the project, {path}, cannot be used: {reason}", fix="docs/guides/project.md shows the functions a model.py has."
        )


# the state


class StoreUnavailable(TreadleError):
    """The state store cannot be reached, is locked, full or damaged."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The state store {url} cannot be used: {reason}",
            fix="Look whether the database is up and its disk has room; TREADLE_STORE_URL names another one.",
        )


class ChainBroken(TreadleError):
    """The chain of events was edited, cut or written anew."""

    def __init__(self, seq: int, reason: str) -> None:
        self.seq = seq
        super().__init__(
            f"The record of events cannot be trusted from number {seq} on: {reason}",
            fix="docs/architecture/state.md says what each break means.",
        )


class HeadsInvalid(TreadleError):
    """The file of signed heads was edited, or belongs to another key."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"Line {line} of {path} cannot be trusted: {reason}", fix="docs/architecture/state.md says what each break means.")


class NotDeployed(TreadleError):
    """The model has no deployment yet."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} is not deployed: no version of it was ever promoted.", fix=f"`treadle train {model}`, then `treadle promote {model}`."
        )


class GenerationConflict(TreadleError):
    """Somebody else changed the deployment first."""

    def __init__(self, model: str, expected: int, actual: int) -> None:
        self.actual = actual
        super().__init__(
            f"The deployment of {model} is at generation {actual}, not {expected}: it was changed meanwhile.",
            fix="Look at it again with `treadle status`, then decide anew.",
        )


class SlotsInvalid(TreadleError):
    """The roles and weights of a deployment do not add up."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"This deployment of {model} makes no sense: {reason}.")


class NothingToRollBack(TreadleError):
    """There is no older generation to go back to."""

    def __init__(self, model: str, to: int | None, known: Iterable[int]) -> None:
        wanted = "no older generation has another champion" if to is None else f"there is no older generation {to}"
        super().__init__(
            f"{model} cannot be rolled back: {wanted}; {choose_from(map(str, sorted(known)))}.",
            fix=f"`treadle status` shows which version has which role; `treadle promote {model}` gives another one the traffic.",
        )


class TurnAlreadyOpen(TreadleError):
    """A model has at most one open turn of the loop."""

    def __init__(self, model: str, turn: str, step: str) -> None:
        self.turn = turn
        super().__init__(
            f"A turn of {model} is open already: {turn}, at step {step}.",
            fix=f"`treadle why {model}` says what it waits for.",
        )


class TurnClosed(TreadleError):
    """A turn that has ended cannot go on."""

    def __init__(self, turn: str) -> None:
        super().__init__(f"The turn {turn} has ended, or there never was one.")


class LeaseLost(TreadleError):
    """Another process holds the lease now; what this one wanted to write must not be written."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(f"{holder} does not hold the lease {name!r} any longer: another process took it over.")


# bundle


class BundleNotFound(TreadleError):
    """No bundle with this digest in the place."""

    def __init__(self, digest: str, folder: Path) -> None:
        super().__init__(
            f"There is no bundle {digest} in {folder}.",
            fix="Copy the folder of that name from another host or from a backup, or train the version again.",
        )


class BundleCorrupt(TreadleError):
    """A file of a bundle is not the one that was sealed."""

    def __init__(self, digest: str, file: str, *, expected: str, found: str) -> None:
        self.digest = digest
        self.file = file
        super().__init__(
            f"The file {file} of bundle {digest} is not the one that was sealed: expected {expected}, found {found}.",
            fix="Delete the folder of this bundle and copy it from another host or from a backup, or train the version again.",
        )


class BundleInvalid(TreadleError):
    """The content does not make a bundle, whole as its bytes may be."""

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        super().__init__(f"No bundle can be made of this: {file} {reason}.", fix="docs/architecture/bundle.md says what a bundle holds.")


# engine


class GraphInvalid(TreadleError):
    """A graph cannot be loaded, or does not have the input and output that the interface asks for."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The graph of {name} cannot be used: {reason}",
            fix="docs/architecture/bundle.md describes the matrix and the scores; train the version again.",
        )


class InferenceFailed(TreadleError):
    """A graph gave no usable scores for these rows."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The graph of {name} failed on these rows: {reason}")


class FieldProblem(NamedTuple):
    """One refused value of a request: ``field`` as a path such as rows.3.tenure, ``value`` fit for JSON."""

    field: str
    value: str | float | bool | None
    allowed: str


class RequestInvalid(TreadleError):
    """The rows of a request do not fit the interface; ``fields`` holds each refused value, up to ``listed`` of them."""

    listed = 100

    def __init__(self, fields: Sequence[FieldProblem]) -> None:
        self.fields = tuple(fields[: self.listed])
        count = len(fields)
        more = f"; the first {self.listed} are listed" if count > self.listed else ""
        super().__init__(
            f"The request has {count} {'problem' if count == 1 else 'problems'}{more}.",
            problems=[f"{field or 'the row'} is {value!r}; allowed: {allowed}" for field, value, allowed in self.fields],
            fix="GET /models/<model> shows every feature, and an example that works.",
        )


class LabelInvalid(TreadleError):
    """A label is not a value that the target can have."""

    def __init__(self, value: object, target: str, allowed: str) -> None:
        self.value = value
        self.allowed = allowed
        super().__init__(f"The label {value!r} is not a value of {target}: allowed is {allowed}.")


# data


class DataUnavailable(TreadleError):
    """None of the sources of a contract could be had."""

    def __init__(self, model: str, misses: Sequence[str]) -> None:
        super().__init__(
            f"There are no data for {model}: every source of its contract failed.",
            problems=misses,
            fix="Put the file into a folder named by TREADLE_DATA_MIRROR, or add a source of kind simulated to model.yaml.",
        )


class DataDigestMismatch(TreadleError):
    """A file holds other rows than the contract was written for."""

    def __init__(self, source: str, expected: str, found: str) -> None:
        super().__init__(
            f"The rows from the {source} are not those that the contract names: their digest is {found}, not {expected}.",
            fix="Get the right file; or, if the new rows are meant, write their digest into rows_digest in model.yaml.",
        )


class DataUnreadable(TreadleError):
    """``load`` in model.py failed on the data."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"The data from the {source} cannot be read: {reason}", fix="Look at the file, and at load() in model.py.")


class DataInvalid(TreadleError):
    """Rows break the contract; nothing is trained on them."""

    def __init__(self, model: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"The data of {model} do not keep the contract.",
            problems=problems,
            fix="Mend the data or load() in model.py; if the world has changed, change the interface in model.yaml.",
        )


class SnapshotNotFound(TreadleError):
    """There is no such snapshot."""

    def __init__(self, model: str, digest: str, folder: Path) -> None:
        super().__init__(f"{model} has no snapshot {digest!r} under {folder}.", fix="`treadle status` names the snapshot of each version.")


class SnapshotCorrupt(TreadleError):
    """The bytes of a snapshot are not those that its name promises."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"The snapshot {path} was changed: its bytes have the digest {found}.",
            fix="Delete the file, then run `dvc checkout` in that folder: the cache of DVC still has it.",
        )


class TargetInvalid(TreadleError):
    """The target of some rows is missing or is not what the contract allows."""

    def __init__(self, column: str, values: Sequence[object], count: int, classes: Sequence[str]) -> None:
        allowed = choose_from(classes) if classes else "a finite number"
        super().__init__(
            f"{count} rows have a target {column} that is not allowed, such as {', '.join(map(repr, values))}; allowed: {allowed}.",
            fix="Mend load() in model.py, or the target in model.yaml.",
        )


class SplitImpossible(TreadleError):
    """The rows cannot be parted as the contract asks."""

    def __init__(self, by: str, folds: int, reason: str) -> None:
        super().__init__(
            f"The rows cannot be split by {by} into a holdout and {folds} folds: {reason}.",
            fix="Bring more rows, or change interface.split in model.yaml.",
        )


# training


class MetricUnknown(TreadleError):
    """A policy or a command names a metric that does not exist or does not fit the task."""

    def __init__(self, name: str, task: str, known: Iterable[str]) -> None:
        super().__init__(
            f"{name!r} is not a metric of a {task} model: {choose_from(known)}.", fix="Name one of these in the policy of model.yaml."
        )


class ClassUnseen(TreadleError):
    """The training rows lack a class that the contract lists."""

    def __init__(self, classes: Iterable[str], rows: int) -> None:
        super().__init__(
            f"None of the {rows} training rows is of the class {', '.join(map(repr, classes))}: a model of them could never answer it.",
            fix="Bring rows of every class of the target, or take the class out of model.yaml.",
        )


class NotExportable(TreadleError):
    """A step of the pipeline has no graph that answers as the step does."""

    def __init__(self, step: str, what: object, reason: str, instead: str) -> None:
        super().__init__(f"The step {step!r} ({type(what).__name__}) cannot be exported to ONNX: {reason}.", fix=instead)


# registry


class TrackingUnavailable(TreadleError):
    """MLflow cannot be reached, or refuses what it is asked."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"MLflow at {url} cannot be used: {reason}",
            fix="Check the setting tracking_url (TREADLE_TRACKING_URL), and that its server or database is up.",
        )


class VersionNotFound(TreadleError):
    """A model has no such version, or none at all."""

    def __init__(self, model: str, version: int | None, known: Iterable[int]) -> None:
        wanted = "version" if version is None else f"version {version}"
        super().__init__(f"{model} has no {wanted}: {choose_from(map(str, known))}.", fix=f"`treadle train {model}` makes one.")


class VersionNotSealed(TreadleError):
    """A version was registered in MLflow by something else, and names no bundle."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"{model} version {version} names no sealed bundle: it has no tag treadle.digest in MLflow.",
            fix=f"Only versions that `treadle train {model}` has made can have a role.",
        )


class RowsOverlap(TreadleError):
    """Rows that were to judge a version are rows that it may have learnt from."""

    def __init__(self, model: str, version: int, overlaps: Sequence[str]) -> None:
        super().__init__(
            f"The rows cannot judge {model} version {version}: it may have learnt from them.",
            problems=overlaps,
            fix="Judge it on rows predicted after its training cut, of entities that are not among its training rows.",
        )


class NotPermitted(TreadleError):
    """A version may not have a role, because no verdict lets it."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        super().__init__(
            f"{model} version {version} may not have a role: {reason}", fix=f"`treadle gate {model} --version {version}` judges it anew."
        )


class NoCanary(TreadleError):
    """A canary was to be promoted or taken out, but there is none, or it is another version by now."""

    def __init__(self, model: str, version: int | None = None) -> None:
        what = f"{model} has no canary" if version is None else f"{model} version {version} is not the canary"
        super().__init__(f"{what}.", fix="`treadle status` shows which version has which role.")


# serving: the log


class LogUnavailable(TreadleError):
    """A prediction could not be written down, so it may not be answered."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The prediction log in {folder} cannot be written: {reason}. Without a log there is no answer.",
            fix="Free or mend that disk; nothing that was answered is lost.",
        )


# serving


class ModelNotServed(TreadleError):
    """No deployment of this name is served here."""

    def __init__(self, model: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no model {model!r} here: {choose_from(known)}.", fix="GET /models lists what is served.")


class ModelNotReady(TreadleError):
    """A model is deployed, but no version of it could be loaded."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"{model} is deployed, but it cannot be served: {reason}", fix="GET /ready says what is missing; try again later.")


class ModelBusy(TreadleError):
    """More requests wait for a slow version than it takes."""

    def __init__(self, name: str, waiting: int) -> None:
        super().__init__(f"{name} is busy: {waiting} requests wait for it already.", fix="Try again later, or send less at once.")


class PredictionFailed(TreadleError):
    """No version of a model could answer: not the chosen one, not the champion, not the fallback."""

    def __init__(self, model: str, failures: Sequence[str]) -> None:
        super().__init__(f"{model} could not answer.", problems=failures, fix="The attempts are logged; try again, or roll the model back.")


class BodyMalformed(TreadleError):
    """The body of a request is not JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The body of the request is not JSON: {reason}.", fix="Send JSON as in the example of GET /models/<model>.")


class BodyTooLarge(TreadleError):
    """The body of a request is longer than the server reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body of the request is longer than {limit} bytes.", fix="Send fewer rows at once.")


class ServiceRunning(TreadleError):
    """Another ``treadle serve`` serves this workspace."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"Another `treadle serve` on this machine already serves the state in {home}.",
            fix="Stop it first, give it more workers, or start this one with a TREADLE_HOME of its own.",
        )


class PortTaken(TreadleError):
    """A service cannot listen where the settings say."""

    def __init__(self, host: str, port: int, setting: str, reason: str) -> None:
        super().__init__(
            f"Nothing can listen on port {port} of {host}: {reason}.",
            fix=f"Set {setting} in treadle.toml, or TREADLE_{setting.upper()}, to another port; 0 takes a free one.",
        )


# simulation


class ServiceUnreachable(TreadleError):
    """Nothing answers at the address of the service."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No service answers at {url}: {reason}", fix="Start it with `treadle serve`, or name another with --url.")


# console


class RowFileInvalid(TreadleError):
    """A file of rows cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The rows in {path} cannot be used: {reason}.", fix='Give JSON: one object per row, a list of them, or {"rows": [...]}.'
        )


class RequestRefused(TreadleError):
    """The service refused a request."""

    def __init__(self, url: str, status: int, said: str, *, problems: Sequence[str] = (), fix: str = "") -> None:
        super().__init__(
            f"The service at {url} refuses this ({status}): {said}",
            problems=problems,
            fix=fix or "docs/guides/api.md describes requests and errors.",
        )


class NoService(TreadleError):
    """Something else than Treadle answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"What answers at {url} is no service of Treadle: {reason}",
            fix="`treadle serve` says at which address it serves; name it with --url.",
        )


class ControllerBusy(TreadleError):
    """Another controller holds the lease, so this one must not act."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"Another controller is at work: {holder} holds the lease.", fix="Look what it does with `treadle status`, or stop it first."
        )


# the command line


class DiskRefused(TreadleError):
    """The operating system refuses to read or write a file."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be read or written: {reason}.",
            fix="Look whether the disk has room and whose the folder is; the setting home (TREADLE_HOME) names another one for all state.",
        )


class Unforeseen(TreadleError):
    """A failure that Treadle has no sentence for, which is a fault of Treadle."""

    def __init__(self, kind: str, said: str, log: str) -> None:
        super().__init__(f"This was not foreseen, {kind}: {said}. The traceback is in {log}; please report it.")


# demo


class DemoStuck(TreadleError):
    """The demo cannot go on."""

    def __init__(self, reason: str, logs: Path) -> None:
        super().__init__(f"The demo stopped: {reason}.", fix=f"The logs of its processes are in {logs}.")
