"""Commands about A/B tests: ab start, ab stop, ab report."""

from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json, ModelName, Reason, named

if TYPE_CHECKING:
    from rich.table import Table

    from treadle.registry.trial import Trial

WHAT = "Compare versions of a model on its traffic."

app = typer.Typer(name="ab", help=WHAT, no_args_is_help=True, rich_markup_mode=None)


def register(app_: typer.Typer) -> None:
    """Add the commands of this module."""
    app_.add_typer(app)


@app.callback()
def _ab() -> None:
    """Compare versions of a model on its traffic."""


@app.command()
def start(
    model: ModelName,
    arms: Annotated[list[str], typer.Argument(metavar="VERSION=SHARE...", help="Each arm and its share of the traffic, as in 5=0.2.")],
    reason: Reason = "Started by hand.",
    json: Json = False,
) -> None:
    """Start an A/B test of versions that the gate lets pass; the champion keeps the rest of the traffic."""
    from treadle import api
    from treadle.console import out

    shares: dict[int, float] = {}
    for text in arms:
        name, share = named(text, float, "VERSION=SHARE, such as 5=0.2")
        if not name.isdecimal() or int(name) in shares:
            message = f"{text!r} is not VERSION=SHARE, such as 5=0.2, with each version once."
            raise typer.BadParameter(message)
        shares[int(name)] = share
    with out.working(f"Judging the arms of {model}"):
        deployment = api.ab_start(model, shares, reason=reason)
    told = ", ".join(f"version {slot.version} ({slot.role}) {slot.weight:.4g}" for slot in deployment.slots if slot.weight)
    text = f"The A/B test of {model} runs in generation {deployment.generation}: {told}. Next: `treadle ab report {model}`."
    out.answer(deployment, json=json, text=text)


@app.command()
def stop(
    model: ModelName,
    promote: Annotated[int | None, typer.Option("--promote", help="The arm that becomes champion; without it, the champion stays.")] = None,
    drop: Annotated[int | None, typer.Option("--drop", help="Take only this arm out; the others go on.")] = None,
    reason: Reason = "Stopped by hand.",
    json: Json = False,
) -> None:
    """End an A/B test, with the champion as it was or an arm in its place."""
    from treadle import api
    from treadle.console import out

    if promote is not None and drop is not None:
        message = "--promote ends the test and --drop lets it go on: give one of them."
        raise typer.BadParameter(message)
    with out.working(f"Ending the A/B test of {model}"):
        deployment = api.ab_stop(model, promote=promote, drop=drop, reason=reason)
    champion = deployment.champion.version if deployment.champion else "nobody"
    left = f"; the test goes on without version {drop}" if deployment.arms else ", with all traffic"
    out.answer(deployment, json=json, text=f"{model} version {champion} is champion in generation {deployment.generation}{left}.")


@app.command()
def report(
    model: ModelName,
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of a false alarm over all arms and looks.", min=0.0001, max=0.5)] = 0.05,
    effect: Annotated[
        float | None, typer.Option("--effect", help="Difference worth finding; without it, 1 % of the champion's value.", min=0)
    ] = None,
    json: Json = False,
) -> None:
    """Show what an A/B test has shown so far. It may be asked for as often as you like."""
    from treadle import api
    from treadle.console import out

    with out.working(f"Comparing the versions of {model}"):
        trial = api.ab_report(model, alpha=alpha, effect=effect)
    out.answer(trial, json=json, text=_table(trial))
    if not json:
        for arm in trial.report.arms:
            out.say(arm.sentence)


def _table(trial: "Trial") -> "Table":
    from rich.table import Table

    from treadle.times import when

    found = trial.report
    table = Table(
        "version", "share", "rows", "failed", "labelled", "entities", found.metric, "interval", title=f"A/B test since {when(trial.since)}"
    )
    for side in (found.champion, *(arm.side for arm in found.arms)):
        labelled = f"{side.labelled} ({side.labelled / side.answered:.0%})" if side.answered else "0"
        numbers = (f"{trial.weights[side.version]:.4g}", str(side.answered), str(side.failed), labelled, str(side.entities))
        table.add_row(str(side.version), *numbers, f"{side.value:.4g}", f"{side.low:.4g} to {side.high:.4g}")
    return table
