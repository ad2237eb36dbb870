"""The stages of the demo: a title, two sentences on what comes, and the page of the docs."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage, as ``--step`` announces it."""

    title: str
    sentences: str
    page: str


STAGES: Mapping[str, Stage] = {
    "train": Stage(
        "Data, training, registry",
        "The data are found, snapshotted and checked against the contract; a model is trained, evaluated and exported as one ONNX graph. "
        "The gate compares it with the trivial baseline, and only a passed verdict gives it the traffic.",
        "docs/architecture/training.md",
    ),
    "serve": Stage(
        "Serving",
        "Two workers read the deployment record, check every byte of each sealed bundle, and answer. "
        "The controller and the MLflow page start beside them.",
        "docs/architecture/serving.md",
    ),
    "traffic": Stage(
        "Traffic with late labels",
        "Simulated customers and flowers are sent one by one and in batches, and the truth about each is told some seconds later. "
        "Every answer is logged before it leaves, and the live profile is counted from the log.",
        "docs/guides/api.md",
    ),
    "shift": Stage(
        "The world changes",
        "The customers become other people with other reasons to leave, and the model is not told. "
        "The live profile is held against the sealed reference until the drift score passes the policy's limit.",
        "docs/architecture/monitoring.md",
    ),
    "heal": Stage(
        "The loop turns",
        "Logged rows whose labels have matured train a challenger, and later rows of other customers judge it against the champion. "
        "If the gate lets it through it meets a part of the traffic as canary, and is promoted by verdict.",
        "docs/architecture/retraining.md",
    ),
    "settle": Stage(
        "What was lost, and what was gained",
        "The traffic stops, the last labels are told, and the log is held against what the clients received. "
        "Old model, new model and an oracle are then measured on rows that nobody has trained on.",
        "docs/architecture/retraining.md",
    ),
}
