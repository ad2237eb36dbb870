"""MLflow, imported without its telemetry, its progress logs, and the warnings that it raises against itself."""

import logging
import os
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag, ViewType
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, ModelSignature
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.tracking import MlflowClient
    from mlflow.types.schema import AnyType, ColSpec, Schema

__all__ = [
    "AnyType",
    "ColSpec",
    "LoggedModelOutput",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Model",
    "ModelSignature",
    "Param",
    "RunTag",
    "Schema",
    "ViewType",
    "connect",
    "get_artifact_repository",
    "save_pyfunc",
]

save_pyfunc = mlflow.pyfunc.save_model

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def connect(url: str) -> MlflowClient:
    """Return a client of the tracking server or database at ``url``; a database gets its tables at the first use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own mappers use a loader that SQLAlchemy has deprecated.
        return MlflowClient(tracking_uri=url, registry_uri=url)
