"""Commands that look and change nothing: status, drift, why, schema."""

import time

import typer

from treadle.cli.options import Json, ModelName


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (status, drift, why, schema):
        app.command()(command)


def status(json: Json = False) -> None:
    """Show every model: versions by role, drift, quality, and where the loop stands."""
    from treadle.console import out, overview

    with out.opened() as (workspace, store):
        models = overview.read(workspace, store, now=time.time())
    out.answer(models, json=json, text=overview.table(models))


def drift(model: ModelName, json: Json = False) -> None:
    """Show the drift of each feature and of the predictions over the policy's window."""
    from treadle.bundle.place import BundlePlace
    from treadle.console import out, overview
    from treadle.monitoring.observe import observe

    with out.opened() as (workspace, store):
        observation = observe(store, BundlePlace(workspace.bundle_dir), out.project(workspace, model), now=time.time())
    out.answer(observation, json=json, text=overview.drift_table(observation))


def why(model: ModelName, json: Json = False) -> None:
    """Tell the last decision about a model in sentences, from its record."""
    from treadle.console import out, overview

    with out.opened() as (workspace, store):
        sentences = overview.explain(workspace, store, out.project(workspace, model), now=time.time())
    out.answer(sentences, json=json, text="\n".join(sentences))


def schema() -> None:
    """Print the JSON Schema of a model.yaml, which editors complete from."""
    from treadle.console import out
    from treadle.spec import contract_schema

    out.answer(contract_schema(), json=True, text="")
