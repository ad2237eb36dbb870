"""The rows that a version was made from, found again by its lineage: nothing that its card says is taken on trust."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from treadle.bundle.place import Bundle
from treadle.data.frame import entities, matrix, target
from treadle.data.snapshot import SnapshotPlace
from treadle.data.split import split
from treadle.errors import SnapshotNotFound
from treadle.identity.pseudonyms import key_file, pseudonyms
from treadle.settings import Workspace
from treadle.training.metrics import Labels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Holdout:
    """The rows that were held out of a training: ``matrix`` float32 [n, f], ``y`` [n].

    ``y_train`` is the target of the others, and ``entities`` says whom all of them are about.
    """

    matrix: Floats
    y: Labels
    y_train: Labels
    entities: frozenset[str]


def rows(workspace: Workspace, bundle: Bundle) -> DataFrame:
    """Return the rows that a version was made from, held out or not.

    Raises:
        SnapshotNotFound, SnapshotCorrupt: they are gone.
    """
    place, model, known = SnapshotPlace.of(workspace), bundle.manifest.model, bundle.manifest.lineage.snapshot
    snapshot = place.find(model, lambda one: one.dvc_md5 == known)
    if snapshot is None:
        raise SnapshotNotFound(model, known, place.folder, place.shared)
    return place.load(model, snapshot.digest)[0]


def trained_on(workspace: Workspace, bundle: Bundle) -> frozenset[str]:
    """Return the entities among the rows that a version was made from; raises as ``rows``."""
    return _named(workspace, bundle, rows(workspace, bundle)) if bundle.interface.entity is not None else frozenset()


def holdout(workspace: Workspace, bundle: Bundle) -> Holdout:
    """Return what was held out when a version was made, by the same split again.

    Raises:
        SnapshotNotFound, SnapshotCorrupt: the rows are gone.
        SplitImpossible, TargetInvalid: the version cannot have been made from them.
    """
    interface, frame = bundle.interface, rows(workspace, bundle)
    parts = split(interface, frame, bundle.manifest.lineage.seed)
    encoded, y = matrix(interface, frame), target(interface, frame)
    return Holdout(encoded[parts.holdout], y[parts.holdout], y[parts.train], _named(workspace, bundle, frame))


def _named(workspace: Workspace, bundle: Bundle, frame: DataFrame) -> frozenset[str]:
    """Return whom rows are about, by every name that the log can have for them: their own, and the pseudonym."""
    named = entities(bundle.interface, frame)
    if not (named and (bundle.interface.pseudonymize or key_file(workspace).exists())):
        return named
    hidden = pseudonyms(workspace, bundle.manifest.model)
    return named | frozenset(map(hidden.of, named))
