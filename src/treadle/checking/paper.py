"""What stands in model.yaml alone: the contract is valid, the policy can be kept, and the card is filled. Nothing is run."""

from collections.abc import Iterator

from treadle.checking.case import Case, Found
from treadle.spec import Contract
from treadle.times import span

DAY = 86400.0


def contract(case: Case) -> Found:
    """Read the contract."""
    interface = case.interface
    return Found(f"{interface.task}: {interface.target.name} from {len(interface.features)} features")


def card(case: Case) -> Found:
    """Look whether a person has written what no measurement can say."""
    policy = case.contract.policy
    written = {
        "description": case.contract.description,
        "policy.owner": policy.owner,
        "policy.card.purpose": policy.card.purpose,
        "policy.card.limitations": policy.card.limitations,
        "policy.card.contact": policy.card.contact,
    }
    empty = [key for key, text in written.items() if not text.strip()]
    if empty:
        return Found(f"not written yet: {', '.join(empty)}", "Write them in model.yaml: whoever calls the model reads them.", warns=True)
    return Found("purpose, limitations, contact and owner are written")


def policy(case: Case) -> Found:
    """Look for rules that cannot be kept together."""
    rows = len(case.made["data"]) if "data" in case.made else None
    odd = list(oddities(case.contract, rows))
    if odd:
        return Found("; ".join(reason for reason, _ in odd), " ".join(fix for _, fix in odd), warns=True)
    return Found("windows, waiting times and numbers of rows go together")


def oddities(contract: Contract, rows: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield what does not go together in a policy, and what to change; ``rows`` is how many the data have, if that is known."""
    policy = contract.policy
    labels, retrain, rollout, gate = policy.labels, policy.retrain, policy.rollout, policy.gate
    held = None if rows is None else round(rows * contract.interface.split.holdout)
    if held is not None and held < gate.min_rows:
        yield f"{held} rows are held out, but the gate asks for {gate.min_rows}", "Lower gate.min_rows, or bring more rows."
    if labels.expire < labels.maturity:
        yield (
            f"orphan labels expire after {span(labels.expire)}, before a row is judged ({span(labels.maturity)})",
            "Set labels.expire above labels.maturity.",
        )
    if retrain.patience <= labels.maturity:
        yield (
            f"a turn waits {span(retrain.patience)} for labels that mature after {span(labels.maturity)}",
            "Set retrain.patience above labels.maturity.",
        )
    if retrain.max_rows < retrain.min_rows + retrain.judge_rows:
        yield (
            f"retrain.max_rows ({retrain.max_rows}) leaves no room for {retrain.min_rows} rows to learn from",
            "Raise retrain.max_rows.",
        )
    if retrain.judge_rows < gate.min_rows:
        yield (
            f"a challenger is judged on {retrain.judge_rows} rows, but the gate asks for {gate.min_rows}",
            "Set retrain.judge_rows to gate.min_rows at least.",
        )
    if rollout.rows < 10 * rollout.looks:
        yield f"{rollout.looks} looks at {rollout.rows} rows see next to nothing", "Raise rollout.rows, or take fewer looks."
    if gate.latency > policy.slo.latency:
        yield (
            f"the gate lets a row take {span(gate.latency)}, callers are promised {span(policy.slo.latency)}",
            "Set gate.latency below slo.latency.",
        )
    if not gate.minimum and not gate.baseline_margin:
        yield "any version passes the first gate", "Set gate.minimum or gate.baseline_margin."
