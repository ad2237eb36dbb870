"""Whether rows keep the contract, and what else is odd about them: every check at once.

What makes the contract true (columns, types, target) is an error always. What is a matter of judgement has a limit and a severity
in ``policy.data``.
"""

from collections.abc import Sequence

from pandas import DataFrame

from treadle.data.validation.columns import columns
from treadle.data.validation.demands import demands
from treadle.data.validation.findings import Asked, Finding, Report, bad_rows
from treadle.data.validation.relations import correlations, leaks, target_scores
from treadle.data.validation.repeats import freshness, in_words, repeats
from treadle.data.validation.rules import rules
from treadle.data.validation.strangers import named_twice, strangers
from treadle.data.validation.table import Table
from treadle.data.validation.values import values
from treadle.errors import DataInvalid
from treadle.spec import Contract, DataPolicy

__all__ = ["Finding", "Report", "bad_rows", "check", "require_passed", "require_valid"]

_BY_POLICY = {
    "min": "range",
    "max": "range",
    "category": "categories",
    "mostly missing": "missing",
    "rule": "rules",
    "rule unusable": "rules",
}
"""The key of ``policy.data`` that a finding falls under, where it is called otherwise."""


def check(contract: Contract, frame: DataFrame, *, now: float | None = None) -> Report:
    """Check rows against contract and policy.

    ``now`` (epoch seconds) is what the age of the newest row is held against; without it nobody asks how old the rows are.
    """
    twice = named_twice(frame)
    if twice:
        return Report(len(frame), tuple(twice))
    table = Table(contract.interface, frame)
    findings = [*strangers(contract, table)]
    if frame.empty:
        empty = Finding("empty", "error", contract.interface.target.name, "there are no rows")
        return Report(0, (empty, *(finding for finding in findings if finding.check == "present")))
    scores = target_scores(contract, table)
    findings += [*demands(contract, table), *rules(contract, table), *repeats(contract, table), *values(contract, table)]
    findings += [*leaks(contract, scores), *correlations(contract, table)]
    findings += [] if now is None else freshness(contract, table, now)
    order = sorted(findings, key=lambda finding: finding.severity != "error")
    return Report(len(frame), tuple(order), _asked(contract.policy.data, findings), columns(table, scores))


def require_valid(contract: Contract, frame: DataFrame, *, now: float | None = None) -> Report:
    """Check rows and return the report, which may hold warnings.

    Raises:
        DataInvalid: the rows break the contract; the error names columns and rows.
    """
    report = check(contract, frame, now=now)
    require_passed(contract.name, report)
    return report


def require_passed(model: str, report: Report) -> None:
    """Refuse rows that a report finds errors in.

    Raises:
        DataInvalid: it does; the error names columns and rows.
    """
    if not report.passed:
        raise DataInvalid(model, [problem.message for problem in report.problems])


def _asked(policy: DataPolicy, findings: Sequence[Finding]) -> tuple[Asked, ...]:
    """Return what was asked: the contract itself, then each check of the policy and each rule."""
    keys = [_BY_POLICY.get(finding.check, finding.check) for finding in findings]
    by_policy = {name: getattr(policy, name) for name in DataPolicy.model_fields if name != "rules"}
    own = len([key for key in keys if key not in by_policy and key != "rules"])
    asked = [Asked("contract", "error", "", own)]
    for name, part in by_policy.items():
        limit = getattr(part, "limit", None)
        said = "" if limit is None else in_words(limit) if name == "freshness" else f"{limit:g}"
        asked.append(Asked(name, part.severity, said, keys.count(name)))
    broken = [finding.message for finding in findings if finding.check in {"rule", "rule unusable"}]
    told = [sum(message.startswith(f"{rule.rule}: ") for message in broken) for rule in policy.rules]
    return (*asked, *(Asked(rule.rule, rule.severity, "0", count) for rule, count in zip(policy.rules, told, strict=True)))
