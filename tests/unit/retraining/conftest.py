"""A churn project of two features and a store with logged, labelled rows, made without any server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import small_bundles
from tests.small_bundles import INTERFACE
from treadle.bundle.place import BundlePlace
from treadle.projects import Project
from treadle.spec import Contract
from treadle.state import joins, log
from treadle.state.store import Store, open_store

POLICY: dict[str, Any] = {
    "gate": {"metric": "roc_auc"},
    "labels": {"maturity": 10},
    "retrain": {"min_rows": 20, "judge_rows": 10, "patience": 100, "max_rows": 1000, "backoff": 5, "new_labels": 1},
    "rollout": {"weight": 0.2, "rows": 40, "deadline": 60},
}

Logger = Callable[..., None]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    contract = Contract.model_validate(
        {"name": "churn", "data": [{"kind": "simulated"}], "interface": INTERFACE.model_dump(mode="json"), "policy": POLICY}
    )
    return Project(tmp_path / "projects" / "churn", contract)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


@pytest.fixture
def bundles(tmp_path: Path) -> BundlePlace:
    return BundlePlace(tmp_path / "bundles")


@pytest.fixture
def log_rows(store: Store, bundles: BundlePlace) -> Logger:
    """Return a function that logs one answered row per time given, each with an entity and (unless None) a label.

    They were answered by a version that is sealed with the interface of the project, unless ``changes`` say otherwise.
    """
    count = iter(range(1_000_000))
    digest = small_bundles.put(bundles.folder, small_bundles.answering()).digest

    def add(times: list[float], *, version: int = 1, label: str | None = "yes", entities: list[str] | None = None, **changes: Any) -> None:
        numbers = [next(count) for _ in times]
        predictions = [
            {
                "prediction_id": f"p{number}",
                "model": "churn",
                "version": version,
                "digest": digest,
                "generation": 1,
                "role": "champion",
                "at": at,
                "seconds": 0.001,
                "status": "ok",
                "error": None,
                "request_id": None,
                "entity": f"e{number}" if entities is None else entities[place],
                "row": np.array([number % 7, number % 11], dtype="<f4").tobytes(),
                "scores": np.array([0.5, 0.5], dtype="<f4").tobytes(),
                "answer": json.dumps({"prediction": "no"}),
                "fallback": False,
                **changes,
            }
            for place, (number, at) in enumerate(zip(numbers, times, strict=True))
        ]
        labels = [
            {
                "label_id": f"l{number}",
                "model": "churn",
                "prediction_id": f"p{number}",
                "request_id": None,
                "entity": None,
                "value": label,
                "event_at": at,
                "received_at": at,
            }
            for number, at in zip(numbers, times, strict=True)
            if label is not None
        ]
        with store.write() as conn:
            log.insert_predictions(conn, predictions)
            log.insert_labels(conn, labels)
            joins.resolve_labels(conn, now=0.0, expire={})

    return add
