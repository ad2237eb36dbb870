"""The estimator: it is built, learns, becomes a graph, and the graph answers as it does."""

import numpy as np

from treadle.checking.case import Case, Found, Refused
from treadle.engine.session import Engine, Graph
from treadle.training import parity as measured
from treadle.training.export import to_onnx
from treadle.training.metrics import baseline_scores, better, measure
from treadle.training.pipeline import build_pipeline, scores_of

SEED_FIX = "Take all randomness from `seed` (random_state=seed) and use one thread (n_jobs=1)."


def builds(case: Case) -> Found:
    """Call build() twice: it gives a fresh estimator with scikit-learn's methods."""
    build = case.project.hook("build")
    one, other = build(case.seed), build(case.seed)
    wanted = "predict" if case.interface.task == "regression" else "predict_proba"
    lacking = [name for name in ("fit", wanted) if not hasattr(one, name)]
    if lacking:
        raise Refused(
            f"build() gives {type(one).__name__}, which has no {' and no '.join(lacking)}; a {case.interface.task} model needs it.",
            fix="Return an estimator with scikit-learn's interface from build().",
        )
    if one is other:
        raise Refused("build() gives the same object twice.", fix="Make a new estimator in each call of build().")
    return Found(f"{type(one).__name__}")


def trains(case: Case) -> Found:
    """Fit the pipeline on the sample, and hold it against the trivial baseline."""
    sample, interface, metric = case.sample, case.interface, case.contract.metric
    case.made["trains"] = pipeline = _fitted(case)
    value = measure(interface, sample.y_judge, scores_of(pipeline, interface, sample.judge)).get(metric)
    trivial = measure(interface, sample.y_judge, baseline_scores(interface, sample.y_learn, len(sample.y_judge))).get(metric)
    if value is None:
        return Found(f"on {len(sample.y_learn)} rows; {metric} is not defined on those held out", "Bring more rows.", warns=True)
    case.made["metric"] = value
    reason = f"on {len(sample.y_learn)} rows: {metric} {value:.4g}"
    if trivial is not None and better(metric) * (value - trivial) <= 0:
        fix = "Look whether the features say anything about the target, and at build()."
        return Found(f"{reason}, no better than the {trivial:.4g} of a model without features", fix, warns=True)
    return Found(reason if trivial is None else f"{reason} (without features {trivial:.4g})")


def exports(case: Case) -> Found:
    """Turn the pipeline into a graph, and load it."""
    case.made["exports"] = content = to_onnx(case.pipeline, case.interface)
    case.made["engine"] = Engine(Graph(case.name, content, case.interface))
    return Found(f"a graph of {len(content) / 1000:.0f} kB")


def repeats(case: Case) -> Found:
    """Build, fit and export once more: the same seed and rows must give the same bytes."""
    if to_onnx(_fitted(case), case.interface) != case.graph:
        raise Refused("Two trainings with the same seed and rows gave two different graphs.", fix=SEED_FIX)
    return Found("two trainings gave the same bytes")


def parity(case: Case) -> Found:
    """Compare graph and estimator on rows held out, on thresholds, with values missing and categories unseen."""
    found = measured.parity(case.pipeline, case.graph, case.interface, case.sample.judge)
    allowed = case.contract.policy.gate.parity_share
    reason = (
        f"over {found.rows} rows the graph differs from the estimator by {found.max_difference:.1e} at most; "
        f"{found.share_beyond:.2%} of them by more than {measured.TOLERANCE:g}"
    )
    if found.share_beyond > allowed:
        raise Refused(
            f"{reason}, of which {allowed:.2%} may (gate.parity_share).",
            fix="Use a simpler estimator, or allow it with policy.gate.parity_share.",
        )
    return Found(reason)


def _fitted(case: Case) -> object:
    sample = case.sample
    if case.interface.task != "regression" and len(np.unique(sample.y_learn)) < len(case.interface.target.classes):
        raise Refused("No row to learn from is of some class.", fix="Bring rows of every class, or take it out of the target's classes.")
    return build_pipeline(case.interface, case.project.hook("build")(case.seed)).fit(sample.learn, sample.y_learn)
