"""One training as an MLflow run: what went in, what came out, and the version it led to. Failed ones are kept too."""

import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from pandas import DataFrame

import treadle
from treadle.bundle.place import Bundle, BundlePlace
from treadle.engine.encode import example
from treadle.errors import TrackingUnavailable
from treadle.registry.disposal import MAKER_TAG, maker
from treadle.registry.library import (
    AnyType,
    ColSpec,
    LoggedModelOutput,
    Metric,
    MlflowClient,
    MlflowException,
    Model,
    ModelSignature,
    Param,
    RunTag,
    Schema,
    save_pyfunc,
)
from treadle.registry.tracking import DIGEST_TAG, TURN_TAG, Registered, Tracking
from treadle.spec import CategoryFeature, DateFeature, Feature, Interface

PARAM_LENGTH = 500
"""Longest value of a parameter that is logged; MLflow's limit lies higher, but nobody reads so far."""

TAG_LENGTH = 5000
"""MLflow's limit for the value of a tag."""

REQUIREMENTS = ("numpy", "onnxruntime", "pandas")
"""What loading a version needs beside Treadle itself."""


class Run:
    """A run that goes on. Get one from ``started``."""

    def __init__(self, tracking: Tracking, model: str, experiment: str, run_id: str) -> None:
        self.id = run_id
        self._tracking = tracking
        self._model = model
        self._experiment = experiment

    def log(
        self,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write down facts about the run; a metric that is not a finite number is left out."""
        now = int(time.time() * 1000)
        with self._tracking.client() as client:
            client.log_batch(
                self.id,
                [Metric(name, value, now, 0) for name, value in (metrics or {}).items() if math.isfinite(value)],
                [Param(name, str(value)[:PARAM_LENGTH]) for name, value in (params or {}).items()],
                [RunTag(name, value[:TAG_LENGTH]) for name, value in (tags or {}).items()],
            )

    def attach(self, name: str, content: Mapping[str, Any]) -> None:
        """Keep ``content`` as a JSON file of the run."""
        with self._tracking.client() as client:
            client.log_dict(self.id, dict(content), name)

    def attach_files(self, folder: str, paths: Iterable[Path]) -> None:
        """Keep these files with the run, in ``folder``."""
        with self._tracking.client() as client:
            for path in paths:
                client.log_artifact(self.id, str(path), folder)

    def register(self, bundle: Bundle, turn_id: str | None) -> Registered:
        """Make a version from a sealed bundle; MLflow's users load it with ``mlflow.pyfunc.load_model``."""
        tags = {DIGEST_TAG: bundle.digest, **({TURN_TAG: turn_id} if turn_id else {})}
        with self._tracking.client() as client:
            logged = client.create_logged_model(self._experiment, name=self._model, source_run_id=self.id, tags=tags)
            with tempfile.TemporaryDirectory(prefix="treadle-") as folder:
                path = Path(folder) / "model"
                where = {"artifact_path": logged.artifact_location, "model_id": logged.model_id, "model_uuid": logged.model_id}
                _save(bundle, path, Model(run_id=self.id, **where))
                client.log_model_artifacts(logged.model_id, str(path))
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(self.id, [LoggedModelOutput(logged.model_id, step=0)])
            _ensure_registered(client, self._model)
            made = client.create_model_version(self._model, logged.artifact_location, self.id, tags=tags, model_id=logged.model_id)
        return Registered(self._model, int(made.version), bundle.digest, self.id, turn_id)


@contextmanager
def started(tracking: Tracking, model: str, *, name: str, turn_id: str | None) -> Iterator[Run]:
    """Run the block as an MLflow run: FINISHED at its end, FAILED with the error, or KILLED when it is interrupted.

    A run that an earlier try for the same turn has left RUNNING is ended as KILLED first.

    Raises:
        TrackingUnavailable: MLflow cannot be reached.
    """
    end_orphans(tracking, model, turn_id)
    experiment = tracking.experiment(model)
    with tracking.client() as client:
        run = client.create_run(experiment, run_name=name, tags={MAKER_TAG: maker(), **({TURN_TAG: turn_id} if turn_id else {})})
    going = Run(tracking, model, experiment, run.info.run_id)
    try:
        yield going
    except BaseException as error:
        with suppress(TrackingUnavailable):  # The error that ended the run says more.
            going.log(tags={"treadle.error": f"{type(error).__name__}: {error}"})
            _end(tracking, going.id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    _end(tracking, going.id, "FINISHED")


def end_orphans(tracking: Tracking, model: str, turn_id: str | None) -> None:
    """End what a killed try of a turn has left RUNNING: as FINISHED if it made a version, as KILLED if not."""
    if turn_id is None:
        return
    experiment = tracking.experiment(model)
    made = {one.run_id for one in tracking.versions(model) if one.turn_id == turn_id}
    with tracking.client() as client:
        left = client.search_runs([experiment], f"tags.`{TURN_TAG}` = '{turn_id}' and attributes.status = 'RUNNING'")
    for run in left:
        _end(tracking, run.info.run_id, "FINISHED" if run.info.run_id in made else "KILLED")


def _end(tracking: Tracking, run_id: str, status: str) -> None:
    with tracking.client() as client:
        client.set_terminated(run_id, status)


def _ensure_registered(client: MlflowClient, model: str) -> None:
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _save(bundle: Bundle, path: Path, described: Model) -> None:
    """Write MLflow's folder of a model: the bundle as it is, and how to load it."""
    with tempfile.TemporaryDirectory(prefix="treadle-") as folder:
        BundlePlace(Path(folder) / "bundle").put(bundle.files, bundle.manifest.model, bundle.manifest.lineage)
        save_pyfunc(
            str(path),
            loader_module="treadle.registry.pyfunc",
            data_path=str(Path(folder) / "bundle"),
            mlflow_model=described,
            signature=_signature(bundle.interface),
            input_example=DataFrame([example(bundle.interface)])[list(bundle.interface.feature_names)],
            pip_requirements=[f"treadle=={treadle.__version__}", *(f"{name}=={installed(name)}" for name in REQUIREMENTS)],
        )


def _signature(interface: Interface) -> ModelSignature:
    columns = [ColSpec(_column_type(feature), feature.name, required=feature.required) for feature in interface.features]
    return ModelSignature(Schema(columns))


def _column_type(feature: Feature) -> Any:
    # "double" would make MLflow refuse a column of whole numbers, and "long" one with a gap.
    return "string" if isinstance(feature, CategoryFeature | DateFeature) else AnyType()
