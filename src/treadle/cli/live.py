"""Commands around the running service: serve, loop, up, predict, label, simulate, demo."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.cli.options import Json, ModelName, RowFile, Seed, Url


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (serve, loop, up, predict, label, simulate, demo):
        app.command()(command)


def serve(
    port: Annotated[int | None, typer.Option("--port", help="Port; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Serving processes.")] = None,
) -> None:
    """Serve every deployed model until Ctrl-C."""
    from treadle.serving.ahead import Ahead

    with Ahead() as ahead:
        from treadle import api

        # Not console.out: what draws tables and reads events would be loaded before the worker can be told what to serve.
        api.serve(port=port, workers=workers, tell=typer.echo, ahead=ahead)


def loop(
    once: Annotated[bool, typer.Option("--once", help="One round, then stop.")] = False,
) -> None:
    """Run the controller: watch the models, retrain, judge, roll out, until Ctrl-C. Only one acts at a time; others wait."""
    import threading

    from treadle import api
    from treadle.serving.supervisor import stopped_by_signals

    stop = threading.Event()
    with stopped_by_signals(stop):
        api.run_loop(once=once, stop=stop)


def up(
    port: Annotated[int | None, typer.Option("--port", help="Port of the API; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Serving processes.")] = None,
) -> None:
    """Run the service, the controller and the MLflow page together until Ctrl-C. What dies is started again."""
    import threading

    from treadle import api
    from treadle.console import out
    from treadle.serving.supervisor import stopped_by_signals

    stop = threading.Event()
    with stopped_by_signals(stop):
        api.up(port=port, workers=workers, tell=out.say, stop=stop)


def predict(
    model: ModelName,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="CSV, Parquet or JSON with the columns of the contract; without it, the example row."),
    ] = None,
    rows: RowFile = None,
    raw: Annotated[bool, typer.Option("--raw", help="The file has the form that load() in model.py reads.")] = False,
    to: Annotated[Path | None, typer.Option("--out", help="Write all answers to this .csv, .parquet or .json.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Ask the running service about the rows of a file, in its order; without a file, about the contract's example row."""
    from treadle import api
    from treadle.console import answers, out

    if file is not None and rows is not None:
        message = "Give the file once: as FILE, or with --file."
        raise typer.BadParameter(message)
    path, say = file or rows, out.hint
    if to is not None and path is None:
        message = "--out wants the answers to a file of rows: name the FILE."
        raise typer.BadParameter(message)
    with out.counting("rows answered") as progress:
        if path is not None and to is not None:
            count = api.predict_file(model, path, to, raw=raw, url=url, say=say, progress=progress)
        else:
            answered = api.predict(model, path, raw=raw, url=url, say=say, progress=progress)
    if to is not None:
        out.answer({"answered": count, "out": str(to)}, json=json, text=f"{count} rows answered; the answers are in {to}.")
    else:
        out.answer(answered, json=json, text=answers.shown(answered))


def label(
    model: ModelName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The true value: a class, or a number.")],
    prediction: Annotated[str | None, typer.Option("--prediction", help="Id of the prediction that it belongs to.")] = None,
    request: Annotated[str | None, typer.Option("--request", help="Your own request id.")] = None,
    entity: Annotated[str | None, typer.Option("--entity", help="Whom it is about.")] = None,
    at: Annotated[float | None, typer.Option("--at", help="When it became true, in epoch seconds; without it, now.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Tell the running service the true value of a prediction. Exactly one of --prediction, --request and --entity names it."""
    from treadle import api
    from treadle.console import out

    if sum(key is not None for key in (prediction, request, entity)) != 1:
        message = "Give exactly one of --prediction, --request and --entity."
        raise typer.BadParameter(message)
    accepted = api.label(model, value, prediction=prediction, request=request, entity=entity, at=at, url=url)
    named = f"prediction {prediction}" if prediction else f"request {request}" if request else f"latest prediction of {entity}"
    text = (
        f"The label {value} is accepted. `treadle loop` joins it once the {named} is known; until then it waits, "
        "and `treadle status` counts it among the labels without a prediction."
    )
    out.answer({"accepted": accepted}, json=json, text=text)


def simulate(
    model: ModelName,
    seconds: Annotated[float, typer.Option("--seconds", help="How long.", min=0, max=3600)] = 10,
    rate: Annotated[float, typer.Option("--rate", help="Rows per second.", min=0.1, max=1000)] = 50,
    delay: Annotated[float, typer.Option("--delay", help="Seconds until the true label of a row is told.", min=0)] = 2,
    shifted: Annotated[bool, typer.Option("--shifted", help="From the world after it has changed.")] = False,
    seed: Seed = 1,
    url: Url = None,
    json: Json = False,
) -> None:
    """Send a bounded stream of simulated traffic, with late labels, to the running service."""
    from treadle import api
    from treadle.console import out

    with out.working(f"Sending simulated traffic to {model} for {seconds:g} s"):
        tally = api.simulate(model, seconds=seconds, rate=rate, delay=delay, shifted=shifted, seed=seed, url=url)
    text = f"{tally.rows} rows in {tally.requests} requests, {tally.failed} failed, {tally.labels} labels told."
    out.answer({"rows": tally.rows, "requests": tally.requests, "failed": tally.failed, "labels": tally.labels}, json=json, text=text)
    if tally.failed:
        raise typer.Exit(1)


def demo(
    seed: Seed = 1,
    shift: Annotated[
        bool, typer.Option("--shift/--no-shift", help="Whether the world changes; without a change nothing must happen.")
    ] = True,
    retrain: Annotated[
        bool, typer.Option("--retrain/--no-retrain", help="Whether the loop may retrain; without it the model stays down.")
    ] = True,
    step: Annotated[bool, typer.Option("--step", help="Pause before each stage and say what comes.")] = False,
    stop: Annotated[bool, typer.Option("--exit", help="Stop the services at the end instead of waiting for Ctrl-C.")] = False,
) -> None:
    """Show one whole turn of the loop: from raw data to a service that heals itself."""
    from treadle import api

    raise typer.Exit(api.run_demo(seed=seed, shift=shift, retrain=retrain, step=step, stop=stop))
