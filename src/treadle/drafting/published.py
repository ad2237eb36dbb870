"""The handle of a published model: it asks the running service as the notebook would ask the estimator."""

import math
import threading
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treadle import service
from treadle.client import Client
from treadle.drafting.agreement import Agreement
from treadle.drafting.publish import Made, unwrapped
from treadle.drafting.taken import Taken, columns
from treadle.engine.columns import column as allowed
from treadle.errors import NotAskable, NotPublishable, RequestRefused, ServiceRunning, ServiceUnreachable
from treadle.identity import shown_key
from treadle.settings import Workspace
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, Interface
from treadle.stack import Stack

SHOWN = 20
"""Most values that a refusal lists."""

PATIENCE = 60.0
"""Seconds until a service that runs already must serve the new version."""

_running: dict[Path, Stack] = {}


@dataclass
class Published:
    """A published model. With ``address`` it can be asked; without, ``treadle serve`` in a terminal serves it."""

    name: str
    version: int
    folder: Path
    address: str
    agreement: Agreement
    _fitted: Any = field(repr=False)
    _taken: Taken = field(repr=False)
    _home: Path = field(repr=False)

    def predict(self, features: Any) -> NDArray[Any]:
        """Return what the service answers to these rows, in the type of the notebook's own ``predict``.

        Classes are those of the estimator, in their type. A number comes through float32, so it has seven digits.
        """
        answers = [answer["prediction"] for answer in self._ask(features)]
        if self._taken.classes is None:
            return np.array(answers, dtype=np.float64)
        by_text = {str(value): index for index, value in enumerate(self._taken.classes)}
        return np.asarray(self._taken.classes[[by_text[answer] for answer in answers]])

    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        """Return the probability of each class, float64 [n, classes], in the order of the estimator's ``classes_``."""
        if self._taken.classes is None:
            message = f"{self.name} is a regression: it has no probabilities"
            raise AttributeError(message)
        names = self._taken.interface.target.classes
        return np.array([[answer["probabilities"][name] for name in names] for answer in self._ask(features)], dtype=np.float64)

    def stop(self) -> None:
        """Stop the service, if this notebook has started it."""
        stop(self._home)
        self.address = ""

    def _ask(self, features: Any) -> list[dict[str, Any]]:
        if not self.address:
            raise ServiceUnreachable("this handle", "it was published without serve=True, or was stopped")
        try:
            table = columns(self._fitted, features)
        except NotPublishable as error:
            raise NotAskable(error.reason, "Pass a table with the columns that it was fitted on.") from error
        rows = payloads(self._taken.interface, table)
        with service.connect(self.address) as client:
            return service.ask_rows(client, self.name, rows, [f"row {number}" for number in range(len(rows))])


def handle(made: Made, fitted: Any, workspace: Workspace, *, serve: bool) -> Published:
    """Return the handle of a version; with ``serve`` a service answers it, which is started if none runs.

    Raises:
        ServiceUnreachable: it does not come up, or does not serve this version in time.
    """
    where = _served(workspace, made) if serve else ""
    return Published(
        made.registered.model,
        made.registered.version,
        made.folder,
        where,
        made.agreement,
        unwrapped(fitted),
        made.taken,
        workspace.home,
    )


def stop(home: Path) -> None:
    """Stop the service of a workspace that this process has started; it is no matter if there is none."""
    stack = _running.pop(home, None)
    if stack is not None:
        stack.close()


def payloads(interface: Interface, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as a request carries them.

    Raises:
        NotAskable: a value is of another kind than its column in the contract. None is changed to be sent: the notebook would not either.
    """
    problems: list[str] = []
    values = [_values(feature, table[feature.name], problems) for feature in interface.features]
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        reason = f"{len(problems)} value{'s are' if len(problems) > 1 else ' is'} of another kind than in what it was fitted on"
        raise NotAskable(reason, "Give the columns the types that they had there.", problems=[*problems[:SHOWN], *more])
    return [dict(zip(interface.feature_names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(feature: Feature, column: "pd.Series[Any]", problems: list[str]) -> list[Any]:
    """Return the values of a column as JSON has them; what is of another kind becomes a problem."""
    found = []
    for row, (value, missing) in enumerate(zip(column.tolist(), column.isna().tolist(), strict=True)):
        try:
            found.append(None if missing else _sent(feature, value))
        except ValueError:
            problems.append(f"row {row}: {feature.name} is {value!r}; allowed: {allowed(feature).allowed}")
    return found


def _sent(feature: Feature, value: Any) -> Any:
    """Return one value as JSON has it.

    Raises:
        ValueError: it would be another one there.
    """
    if isinstance(feature, CategoryFeature) and isinstance(value, str):
        return str(value)
    if isinstance(feature, BooleanFeature) and isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(feature, DateFeature) and isinstance(value, date):
        return pd.Timestamp(value).date().isoformat()
    number = isinstance(value, float | int | np.number) and not isinstance(value, bool) and math.isfinite(value)
    if feature.type == "number" and number:
        return float(value)
    if feature.type == "integer" and number and value % 1 == 0:
        return int(value)
    raise ValueError


def _served(workspace: Workspace, made: Made) -> str:
    """Return where the version answers: at a service that runs already, or at one that lives as long as this process."""
    stack = _running.get(workspace.home)
    where = stack.addresses.api if stack is not None else _started(workspace)
    _wait(where, made)
    return where


def _started(workspace: Workspace) -> str:
    stack = Stack(workspace, lambda _notice: None, controller=False, tracking=False, free_ports=True)
    try:
        stack.__enter__()
    except ServiceRunning:
        return service.address(workspace)
    _running[workspace.home] = stack
    # The thread of the stack would keep the process alive: it is told when the main thread ends.
    threading.Thread(target=_stop_at_the_end, args=(workspace.home,), name="published", daemon=True).start()
    return stack.addresses.api


def _stop_at_the_end(home: Path) -> None:
    threading.main_thread().join()
    stop(home)


def _wait(where: str, made: Made) -> None:
    """Wait until the service answers with this version."""
    last, deadline = "it does not serve this version yet", time.monotonic() + PATIENCE
    with Client(where, shown_key(), timeout=5, retries=0) as client:
        while time.monotonic() < deadline:
            try:
                if client.model(made.registered.model).digest == made.registered.digest:
                    return
            except (RequestRefused, ServiceUnreachable) as error:
                last = error.what
            time.sleep(0.05)
    raise ServiceUnreachable(where, last)
