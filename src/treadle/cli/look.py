"""Commands that look and change nothing: status, drift, why, diff, schema, doctor."""

from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (status, drift, why, diff, schema, doctor):
        app.command()(command)


def status(json: Json = False) -> None:
    """Show every model: versions by role, drift, quality, and where the loop stands."""
    from treadle import api
    from treadle.console import out, overview

    with out.working("Looking at every model"):
        models = api.status()
    out.answer(models, json=json, text=overview.table(models))


def drift(model: ModelName, json: Json = False) -> None:
    """Show the drift of each feature and of the predictions over the policy's window."""
    from treadle import api
    from treadle.console import out, overview

    with out.working("Comparing what came with what was learned"):
        observation = api.drift(model)
    out.answer(observation, json=json, text=overview.drift_table(observation))


def why(model: ModelName, json: Json = False) -> None:
    """Tell the last decision about a model in sentences, from its record."""
    from treadle import api
    from treadle.console import out

    with out.working("Reading the record"):
        sentences = api.why(model)
    out.answer(sentences, json=json, text="\n".join(sentences))


def diff(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A version, such as churn@3 or churn@champion.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another version of the same model.")],
    json: Json = False,
) -> None:
    """Show how two versions differ: data, parameters, interface, metrics, importances, costs, and who decided about them."""
    from treadle import api
    from treadle.console import difference, out

    found = api.diff(first, second)
    out.answer(found, json=json, text=difference.tables(found))


def schema() -> None:
    """Print the JSON Schema of a model.yaml, which editors complete from."""
    from treadle import api
    from treadle.console import out

    out.answer(api.schema(), json=True, text="")


def doctor(json: Json = False) -> None:
    """Check the machine, the settings, the ports, the mirror and the state, and say what to do. Exit code 1 when something is wrong."""
    from treadle import api
    from treadle.checking.outcome import failed
    from treadle.console import out, outcomes

    with out.working("Examining this machine"):
        found = api.doctor()
    out.answer(found, json=json, text=outcomes.table(outcomes.summary(found), found))
    if failed(found):
        raise typer.Exit(1)
