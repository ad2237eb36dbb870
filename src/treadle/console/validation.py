"""What the checks have found in the data, for a person at a terminal."""

from treadle.data.validation.findings import Finding, Report
from treadle.data.validation.keep import BAD_ROWS, Kept


def shown(model: str, kept: Kept) -> str:
    """Return a headline, a paragraph per finding with what to do and what to paste, and where the report lies."""
    told = [_finding(finding) for finding in kept.report.findings]
    bad = kept.folder / BAD_ROWS
    files = [f"Report: {kept.page}", *([f"Rows that something was found in: {bad}"] if bad.is_file() else [])]
    return "\n".join([f"{model}: {_headline(kept.report)}", *told, *files])


def _headline(report: Report) -> str:
    errors, warnings = len(report.problems), len(report.warnings)
    if not report.passed:
        return f"the {report.rows} rows are refused: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}."
    return f"the {report.rows} rows keep the contract; {_counted(warnings, 'warning')}."


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _finding(finding: Finding) -> str:
    lines = [f"  {finding.severity}  {finding.message}", f"           {finding.advice}"]
    return "\n".join([*lines, *(f"           | {line}".rstrip() for line in finding.edit.strip().splitlines())])
