"""MLflow as the truth of runs and model versions: one experiment and one registered model per project.

Only the client is used, never MLflow's process-wide state, so that several workspaces can live in one process.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from treadle.errors import TrackingUnavailable, VersionNotFound, VersionNotSealed
from treadle.registry.library import MlflowClient, MlflowException, connect
from treadle.settings import Workspace
from treadle.spec.addresses import without_secrets

DIGEST_TAG = "treadle.digest"
TURN_TAG = "treadle.turn"

_LOCK_SECONDS = 60
"""How long a process waits while another one makes the tables; that takes a few seconds."""


@dataclass(frozen=True)
class Registered:
    """A version of a model as MLflow knows it. ``digest`` names its bundle, ``turn_id`` the turn of the loop that made it."""

    model: str
    version: int
    digest: str
    run_id: str
    turn_id: str | None


class Tracking:
    """The runs and versions of a workspace's models. Connects to MLflow when it is first asked something."""

    def __init__(self, workspace: Workspace) -> None:
        self._home = workspace.home
        self._url = workspace.tracking_url
        self._lock = FileLock(self._home / "mlflow.lock", timeout=_LOCK_SECONDS)

    @property
    def url(self) -> str:
        """The tracking URI without a password."""
        return without_secrets(self._url)

    @contextmanager
    def client(self) -> Iterator[MlflowClient]:
        """Give the client of MLflow, for one or a few calls.

        Raises:
            TrackingUnavailable: MLflow cannot be reached, or refuses a call.
        """
        try:
            yield self._client
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise TrackingUnavailable(self.url, str(error).partition("\n")[0]) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the workspace's lock on MLflow, for what two processes must not do at once."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise TrackingUnavailable(self.url, f"its lock in {self._home} cannot be had ({error})") from error
        try:
            yield
        finally:
            self._lock.release()

    def experiment(self, model: str) -> str:
        """Return the id of the model's experiment, which is made if there is none."""
        with self.client() as client, self.exclusive():
            found = client.get_experiment_by_name(model)
            return str(found.experiment_id if found else client.create_experiment(model, self._artifacts(model)))

    def version(self, model: str, version: int) -> Registered:
        """Return one version.

        Raises:
            VersionNotFound: there is none of this number.
            VersionNotSealed: it was registered by something else and names no bundle.
            TrackingUnavailable: MLflow cannot be reached.
        """
        return self.require(model, version)

    def require(self, model: str, version: int | None = None) -> Registered:
        """Return one version, or the newest if none is named. Raises as ``version`` does."""
        known = {int(item.version): item for item in self._search(f"name = '{model}'")}
        number = max(known, default=None) if version is None else version
        if number is None or number not in known:
            raise VersionNotFound(model, version, known)
        return _registered(known[number])

    def versions(self, model: str) -> list[Registered]:
        """Return every version that names a bundle, oldest first."""
        found = [item for item in self._search(f"name = '{model}'") if DIGEST_TAG in item.tags]
        return sorted(map(_registered, found), key=lambda one: one.version)

    def find_by_turn(self, model: str, turn_id: str) -> int | None:
        """Return the number of the version that a turn of the loop has made; None if it has made none."""
        found = self._search(f"name = '{model}' and tags.`{TURN_TAG}` = '{turn_id}'")
        return min((int(item.version) for item in found), default=None)

    def aliases(self, model: str) -> tuple[dict[str, int], Mapping[str, str]]:
        """Return the model's aliases with their versions, and its tags."""
        with self.client() as client:
            found = client.get_registered_model(model)
            return {alias: int(version) for alias, version in found.aliases.items()}, found.tags

    def _search(self, query: str) -> list[Any]:
        with self.client() as client:
            return list(client.search_model_versions(query))

    def _artifacts(self, model: str) -> str | None:
        """Return where the artefacts of a database without a server lie; a server decides that by itself."""
        return None if self._url.startswith(("http://", "https://")) else (self._home / "mlartifacts" / model).as_uri()

    @cached_property
    def _client(self) -> MlflowClient:
        with self.exclusive():
            return connect(self._url)


def _registered(item: Any) -> Registered:
    digest = item.tags.get(DIGEST_TAG)
    if digest is None:
        raise VersionNotSealed(item.name, int(item.version))
    return Registered(item.name, int(item.version), digest, item.run_id or "", item.tags.get(TURN_TAG))
