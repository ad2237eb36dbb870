"""Hold projects against what Treadle asks of one: check."""

from typing import TYPE_CHECKING

from treadle.api.opening import Place, found

if TYPE_CHECKING:
    from treadle.checking.suite import Checked


def check(model: str | None = None, *, seed: int = 42, workspace: Place = None) -> "list[Checked]":
    """Try what a model needs to be served, watched and retrained, on a sample of its rows; nothing is registered or kept.

    Args:
        model: name of the project; without it, every project of the workspace.
        seed: of the sample, the split and the estimator.
        workspace: where; without it, the workspace of the current folder.
    """
    from treadle.checking import suite

    return suite.check(found(workspace), model, seed=seed)
