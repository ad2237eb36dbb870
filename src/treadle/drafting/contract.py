"""The model.yaml of a draft, with a comment where each assumption comes from. Pure: assumptions in, text out."""

from collections.abc import Iterator

from treadle.drafting.goal import Goal
from treadle.drafting.guess import Assumptions, Column
from treadle.drafting.look import Table
from treadle.drafting.terms import quick_terms, terms
from treadle.drafting.yaml_text import comment, listing, scalar
from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Feature, MirrorSource, NumberFeature, TableSource


def contract_text(name: str, table: Table, assumed: Assumptions) -> str:
    """Return the text of model.yaml."""
    return "\n".join([*_head(name, table, assumed), *_data(table), *_interface(assumed), "", *policy_lines(assumed.goal)]) + "\n"


def overlay_text(assumed: Assumptions) -> str:
    """Return the text of policy.demo.yaml, in which days are pressed into seconds."""
    quick, goal = quick_terms(assumed.goal), assumed.goal
    rare = goal.imbalanced
    lines = [
        "# The policy half with days pressed into seconds, so that the loop turns within minutes on simulated traffic",
        '# (`overlay = "demo"` in treadle.toml, or TREADLE_OVERLAY=demo). It is for demonstrations and drills.',
        *(["gate:", f"  champion_margin: {scalar(quick.champion_margin)}"] if rare else []),
        "drift:",
        "  window: 8s",
        "  min_rows: 300",
        "quality:",
        f"  window: {'20s' if rare else '8s'}",
        f"  min_rows: {1000 if rare else 300}",
        "labels:",
        "  maturity: 3s",
        "  expire: 600s",
        "rollout:",
        "  weight: 0.2",
        "  rows: 160",
        "  deadline: 60s",
        "retrain:",
        f"  min_rows: {quick.retrain_rows}",
        f"  judge_rows: {quick.judge_rows}",
        "  patience: 120s",
        "  time_limit: 240s",
        "  backoff: 5s",
    ]
    return "\n".join(lines) + "\n"


def _head(name: str, table: Table, assumed: Assumptions) -> Iterator[str]:
    goal, count = assumed.goal, len(assumed.of("feature"))
    yield from comment(
        f"Drafted by `treadle init {name}` from {table.called}. It is yours now: each value is a guess with its reason beside it, "
        "so change what you know better. docs/reference/contract.md describes every key; `treadle schema` prints a JSON Schema "
        "for your editor.",
        0,
    )
    yield f"name: {name}"
    what = {"binary": "Which of two classes", "multiclass": "Which class", "regression": "How much"}[goal.task]
    asks = goal.name.rstrip("? ") or goal.name
    columns = "1 column" if count == 1 else f"{count} columns"
    yield f"description: {scalar(f'{what} is {asks}? Predicted from {columns} of {table.called}.')}"


def _data(table: Table) -> Iterator[str]:
    yield from ("", "data:", f"  - kind: {table.source.kind}")
    if isinstance(table.source, MirrorSource):
        yield from comment("In the folder that the setting data_mirror names.", 4)
    if isinstance(table.source, TableSource) and table.source.variable:
        yield from comment("The environment variable with the URL of the database: a password does not belong into a file.", 4)
    given = table.source.model_dump(exclude={"kind"}, exclude_defaults=True)
    yield from (f"    {key}: {scalar(value)}" for key, value in given.items())


def _interface(assumed: Assumptions) -> Iterator[str]:
    goal = assumed.goal
    yield from ("", "interface:", f"  task: {goal.task}", "  target:")
    yield from comment(f"{goal.why}.", 4)
    yield f"    name: {scalar(goal.name)}"
    if goal.classes:
        yield from listing("classes", goal.classes, 4)
    if goal.positive is not None:
        yield f"    positive: {scalar(goal.positive)} # {goal.positive_why}"
    for role, column in (("entity", assumed.entity), ("time", assumed.time)):
        if column is not None:
            yield from comment(f"{column.why[0].upper()}{column.why[1:]}.", 2)
            yield f"  {role}: {scalar(column.name)}"
    yield from ("  split:", f"    by: {assumed.split}", "    holdout: 0.2", "    folds: 5")
    yield from comment("Trees do well with the index of a category; a linear model wants onehot, and scale: true.", 2)
    yield from ("  preprocessing:", "    impute: median", "    categories: codes", "  features:")
    for column in assumed.of("feature"):
        yield from _feature(column)
    yield from _left_out(assumed)


def _feature(column: Column) -> Iterator[str]:
    feature = column.feature
    if feature is None:
        return
    yield from comment(f"{column.why[0].upper()}{column.why[1:]}.", 4)
    yield from comment(column.warning, 4) if column.warning else ()
    yield f"    - name: {scalar(feature.name)}"
    yield f"      type: {feature.type}"
    yield from _allowed(feature)
    if not feature.required:
        yield "      required: false"
    if feature.example is not None:
        yield f"      example: {feature.example if isinstance(feature, DateFeature) else scalar(feature.example)}"


def _allowed(feature: Feature) -> Iterator[str]:
    if isinstance(feature, CategoryFeature):
        yield from listing("categories", feature.categories, 6)
    elif isinstance(feature, NumberFeature):
        yield from (f"      {key}: {scalar(bound)}" for key, bound in (("min", feature.min), ("max", feature.max)) if bound is not None)
    elif not isinstance(feature, BooleanFeature):
        yield from (f"      {key}: {bound}" for key, bound in (("min", feature.min), ("max", feature.max)))


def _left_out(assumed: Assumptions) -> Iterator[str]:
    columns = assumed.of("left out")
    if columns:
        yield "    # Left out, here and in load():"
    for column in columns:
        yield from comment(f"  {column.raw}: {column.why}. {column.warning}".rstrip(), 4)


def policy_lines(goal: Goal) -> Iterator[str]:
    """Yield the policy half of a draft, with what is asked of a model for such a target."""
    asked = terms(goal)
    better = "at most" if goal.task == "regression" else "at least"
    yield from ("policy:", '  owner: ""', "  gate:", f"    metric: {asked.metric}")
    yield from comment(f"Margins of {asked.metric}: {asked.why}.", 4)
    yield f"    baseline_margin: {scalar(asked.baseline_margin)}"
    yield f"    champion_margin: {scalar(asked.champion_margin)}"
    yield from comment(f"Only you know what is good enough. To ask for it: minimum: {{{asked.metric}: …}} ({better} this).", 4)
    yield from ("    minimum: {}", f"    min_rows: {asked.gate_rows}", "  quality:")
    yield from (f"    max_drop: {scalar(asked.max_drop)}", f"    min_rows: {asked.quality_rows}")
    yield from comment("How long after a prediction its true value is known.", 2)
    yield from ("  labels:", "    maturity: 30d", "    expire: 90d", "  retrain:")
    if goal.imbalanced:
        yield from comment(f"So many that enough rows of the rarer class ({goal.share:.1%}) are among them.", 4)
    yield from (f"    min_rows: {asked.retrain_rows}", f"    judge_rows: {asked.judge_rows}")
    yield from ("  card:", '    purpose: ""      # what the model is for', '    limitations: ""  # where it must not be relied on')
    yield '    contact: ""      # whom to ask'
