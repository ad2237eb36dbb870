"""What `treadle shadow` shows: how a version differs from those that have answered."""

from treadle.retraining.shadow import Quality, ShadowReport
from treadle.times import when


def line(report: ShadowReport) -> str:
    """Return how it stands, in one line."""
    agreed = "" if report.agreement is None else f", {report.agreement:.1%} the same answer, scores {report.difference or 0:.3g} apart"
    failed = f", {report.failed} failed" if report.failed else ""
    return f"{report.rows} rows up to {when(report.until)}{agreed}{failed}."


def text(report: ShadowReport) -> str:
    """Return a report in sentences."""
    lines = [f"Version {report.version} of {report.model} in the shadow, {when(report.since)} to {when(report.until)}."]
    if not report.rows:
        lines.append("No row of another version was there for it to answer.")
    else:
        sampled = f" ({report.share:.2%} of what was logged)" if report.share < 1 else ""
        lines.append(f"It was asked {report.rows} logged rows{sampled} and failed on {report.failed}.")
    if report.agreement is not None:
        lines.append(f"It gives the same answer on {report.agreement:.2%}, another one on {report.disagreed} rows.")
        lines.append(f"Its scores are {report.difference:.3g} apart on average, {report.largest:.3g} at most.")
    if report.latency is not None:
        mine, theirs = report.latency
        lines.append(
            f"One row takes it {1000 * mine:.3g} ms here, {mine / theirs:.2f} times the {1000 * theirs:.3g} ms of those that answered."
        )
    lines += [_measured(report.quality)] if report.quality else []
    return "\n".join([*lines, *(f"  ({sentence})" for sentence in report.left_out)])


def _measured(quality: Quality) -> str:
    mine, theirs = ("not defined" if value is None else f"{value:.4f}" for value in (quality.shadow, quality.answered))
    return f"On {quality.rows} labelled rows: {quality.metric} {mine}, against {theirs} of what was answered."
