"""What MLflow keeps for a model, and how versions and runs leave it: out of MLflow's sight first, then their files.

MLflow itself only marks a run as deleted; ``mlflow gc`` removes such rows from its database for good.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from treadle.registry.library import MlflowException, ViewType, get_artifact_repository
from treadle.registry.tracking import Tracking

MAKER_TAG = "treadle.process"
"""Names host and process that a run goes on in, so that one whose process has died is known as such."""

PAGE = 1000


@dataclass(frozen=True)
class RunFacts:
    """One run: times in epoch seconds, ``places`` the URIs of its own files and of the model that it logged."""

    id: str
    status: str
    began: float
    maker: str
    places: tuple[str, ...]


def maker() -> str:
    """Return how this process is named in its runs."""
    return f"{socket.gethostname()}:{os.getpid()}"


def runs(tracking: Tracking, model: str) -> list[RunFacts]:
    """Return the runs of a model that MLflow shows, in any order.

    Raises:
        TrackingUnavailable: MLflow cannot be reached.
    """
    with tracking.client() as client:
        experiment = client.get_experiment_by_name(model)
        if experiment is None:
            return []
        logged: dict[str, list[str]] = {}
        for one in _pages(client.search_logged_models, [experiment.experiment_id]):
            logged.setdefault(one.source_run_id, []).append(one.artifact_location)
        found = list(_pages(client.search_runs, [experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY))
    return [
        RunFacts(
            run.info.run_id,
            run.info.status,
            run.info.start_time / 1000,
            run.data.tags.get(MAKER_TAG, ""),
            (run.info.artifact_uri, *logged.get(run.info.run_id, ())),
        )
        for run in found
    ]


def experiments(tracking: Tracking) -> list[str]:
    """Return the names of the experiments that MLflow shows. Raises as ``runs`` does."""
    with tracking.client() as client:
        return sorted(one.name for one in client.search_experiments(view_type=ViewType.ACTIVE_ONLY))


def goes_on(run: RunFacts, *, now: float, longest: float) -> bool:
    """Tell whether a training still works on a run. Where its process cannot be asked, one that began within ``longest`` seconds does."""
    if run.status != "RUNNING":
        return False
    host, _, process = run.maker.partition(":")
    if host == socket.gethostname() and process.isdigit():
        return _alive(int(process))
    return now - run.began < longest


def delete_version(tracking: Tracking, model: str, version: int) -> None:
    """Take a version out of MLflow; one that is gone already is no error. Raises as ``runs`` does."""
    with tracking.client() as client, _gone_is_fine():
        client.delete_model_version(model, str(version))


def delete_model(tracking: Tracking, model: str) -> None:
    """Take a registered model and all its versions out of MLflow; their numbers begin again. Raises as ``runs`` does."""
    with tracking.client() as client, _gone_is_fine():
        client.delete_registered_model(model)


def delete_run(tracking: Tracking, run_id: str) -> None:
    """Take a run, and the model that it logged, out of MLflow's sight. Raises as ``runs`` does."""
    with tracking.client() as client, _gone_is_fine():
        run = client.get_run(run_id)
        for one in _pages(client.search_logged_models, [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"):
            client.delete_logged_model(one.model_id)
        client.delete_run(run_id)


def delete_files(places: Iterable[str], within: Path) -> list[str]:
    """Delete what lies at these URIs, on this machine only ``within`` a folder; return those at which something may still lie."""
    left = []
    for place in places:
        folder = local(place)
        # MLflow keeps the files in a folder `artifacts` below one of the run's or model's own.
        if folder is not None and folder.name == "artifacts" and folder.parent.is_relative_to(within) and folder.parent != within:
            shutil.rmtree(folder.parent, ignore_errors=True)
        elif folder is not None or not _deleted_remotely(place):
            left.append(place)
    return left


def local(place: str) -> Path | None:
    """Return the folder of a file URI; None where it is another place."""
    parts = urlparse(place)
    return Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None


def orphans(folder: Path, known: Sequence[RunFacts]) -> list[Path]:
    """Return the folders of a model's artefacts in ``folder`` that belong to none of its ``known`` runs."""
    named = {path.parent for run in known for place in run.places if (path := local(place)) is not None}
    there = [*folder.glob("*"), *folder.glob("models/*")]
    return sorted(path for path in there if path.is_dir() and path.name != "models" and path not in named)


def _deleted_remotely(place: str) -> bool:
    try:
        get_artifact_repository(place).delete_artifacts()
    except (MlflowException, NotImplementedError, OSError):
        return False
    return True


def _pages(search: Callable[..., Any], experiment_ids: list[str], **how: object) -> Iterator[Any]:
    token = None
    while True:
        page = search(experiment_ids, max_results=PAGE, page_token=token, **how)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
