"""Failures of bringing a model that exists already: adopt and publish."""

from collections.abc import Sequence
from pathlib import Path

from treadle.errors.base import TreadleError


class NotWritable(TreadleError):
    """A part of an estimator cannot be written down as code that makes it again."""

    def __init__(self, step: str, parameter: str, reason: str) -> None:
        where = f"The parameter {parameter!r} of {step}" if parameter else step[0].upper() + step[1:]
        super().__init__(
            f"{where} cannot be written down, so that nothing could train the model again: {reason}.",
            fix="Put what makes the estimator into a function of a file, and type `treadle adopt FILE.py:function NAME --from TABLE "
            "--target COLUMN`. That does not help where the step itself cannot be exported, as a function of your own in a "
            "FunctionTransformer: do it to the column before, in load().",
        )


class NotPublishable(TreadleError):
    """An estimator, or what it was fitted on, cannot be published; ``fix`` says what to change in the notebook."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"This cannot be published: {reason}.", fix=fix)
        self.reason = reason


class NotAskable(TreadleError):
    """Rows of a notebook cannot be asked as they are: a column is missing, or a value would have to be changed to be sent."""

    def __init__(self, reason: str, fix: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(f"This cannot be asked: {reason}.", problems=problems, fix=fix)


class AnswersDiffer(TreadleError):
    """Behind the contract an estimator would answer otherwise than in the notebook."""

    def __init__(self, rows: int, of: int, reason: str, fix: str) -> None:
        super().__init__(f"On {rows} of {of} rows the service would answer otherwise than the notebook: {reason}.", fix=fix)


class PublishRefused(TreadleError):
    """The gate does not let a published version take the traffic."""

    def __init__(self, model: str, version: int, reasons: Sequence[str]) -> None:
        super().__init__(
            f"{model} version {version} is sealed and registered, but the gate refuses it; what was served before is served still.",
            problems=reasons,
            fix=f"If the policy asks too much, change it in model.yaml, then type `treadle promote {model}`.",
        )


class ProjectEdited(TreadleError):
    """A project was changed by hand since it was published, and is not written over."""

    def __init__(self, folder: Path, files: Sequence[str]) -> None:
        super().__init__(
            f"{folder} was not written by publish, or was changed since: {', '.join(files)}.",
            fix=f"Publish under another name; or, to write over it, pass replace=True. `treadle train {folder.name}` trains it as it is.",
        )


class FunctionUnusable(TreadleError):
    """What was named to be adopted gives no estimator."""

    def __init__(self, named: str, reason: str, fix: str) -> None:
        super().__init__(f"{named} cannot be adopted: {reason}.", fix=fix)
