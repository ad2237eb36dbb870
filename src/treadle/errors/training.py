"""Failures of a training and its export."""

from collections.abc import Iterable

from treadle.errors.base import TreadleError, choose_from


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
