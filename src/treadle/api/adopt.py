"""Bring a model that exists already: publish it from a notebook, adopt it from a file."""

from typing import TYPE_CHECKING, Any

from treadle.api.opening import Place, acting, opened
from treadle.telling import Tell, nobody

if TYPE_CHECKING:
    from treadle.drafting.adopt import Adopted
    from treadle.drafting.published import Published


def adopt(
    function: str, name: str, *, origin: str = "", target: str | None = None, table: str | None = None, workspace: Place = None
) -> "Adopted":
    """Make a project of an estimator that a function of a file makes. The file is copied into the project; nothing is trained yet.

    Args:
        function: FILE.py:function. It takes no argument or the seed, and returns an estimator, or an estimator, X and y.
        name: name of the project, which is that of its model.
        origin: the table to train it on, as for ``init``, where the function returns no rows.
        target: the column of that table to predict.
        table: which table of a database.
        workspace: where; without it, the workspace of the current folder, which becomes one if it is none.
    """
    from treadle.api.draft import found_or_new
    from treadle.drafting.adopt import adopt as run
    from treadle.drafting.asked import Asked

    return run(function, Asked(name, origin, target, table), found_or_new(workspace))


def publish(
    fitted: Any,
    X: Any,  # noqa: N803 - as everybody calls it
    y: Any,
    *,
    name: str,
    serve: bool = False,
    positive: object = None,
    seed: int = 42,
    replace: bool = False,
    workspace: Place = None,
    tell: Tell = nobody,
) -> "Published":
    """Make a served, watched model of an estimator that was fitted in a notebook.

    The estimator itself is sealed, so that the service answers as it does here. What is measured for the gate and the card is a copy of it,
    fitted anew without the rows that are held out. A project of the same name is written, with code that makes the estimator again, so
    that it can be retrained. To publish again under the same name makes the next version, which the gate compares with the present one.

    Args:
        fitted: a classifier with probabilities, or a regressor: a pipeline of scikit-learn, with LightGBM or XGBoost in it if you like.
        X: the DataFrame (or array of numbers) that it was fitted on.
        y: the true answers to it.
        name: name of the project, which is that of its model.
        serve: whether a service is started in this process, if none runs; it ends with the process, or with ``stop()``.
        positive: which of two classes counts as positive; without it, the last one.
        seed: of what is held out, and of the copy.
        replace: whether to write over a project of this name that was changed by hand since.
        workspace: where; without it, the workspace of the current folder, which becomes one if it is none.
        tell: called with what has been done.
    """
    from treadle.api.draft import found_or_new
    from treadle.drafting.publish import publish as run
    from treadle.drafting.published import handle

    place = found_or_new(workspace)
    with opened(place) as (_, store):
        actor = acting(place, "operate").name
        made = run(fitted, X, y, place, store, name=name, actor=actor, positive=positive, seed=seed, replace=replace, tell=tell)
    return handle(made, fitted, place, serve=serve)
