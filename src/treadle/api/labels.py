"""Tell the truth later, by the file: labels_import."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, opened

if TYPE_CHECKING:
    from treadle.data.label_import import Imported


def labels_import(
    file: Path | str, model: str, *, columns: Mapping[str, str] | None = None, skip_bad: bool = False, workspace: Place = None
) -> "Imported":
    """Put the labels of a file into the log; a file that is imported twice adds nothing the second time. No service is needed.

    Args:
        file: a CSV, a Parquet file, or JSON, with a label per line.
        model: name of the model.
        columns: the file's column for a part of a label (prediction_id, request_id, entity, value, at) whose name does not say it.
        skip_bad: whether the good lines are imported although others are bad; without it, one bad line refuses the file.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.data.label_import import import_labels
    from treadle.projects import find

    with opened(workspace) as (place, store):
        project, actor = find(place, model), acting(place, "label").name
        return import_labels(place, store, project, Path(file), columns=columns or {}, skip_bad=skip_bad, now=time.time(), actor=actor)
