"""The half of the contract that is read from the workspace each time it is needed: what is asked, allowed and done."""

from typing import Literal, Self

from pydantic import Field, model_validator

from treadle.spec.checks import DataPolicy
from treadle.spec.part import Duration, Frozen, digest_of


class GatePolicy(Frozen):
    """What a version must show before it may have a role."""

    metric: str = Field("", description="The metric that versions are compared by; empty: roc_auc, f1_macro or rmse by task.")
    minimum: dict[str, float] = Field({}, description="Smallest allowed value per metric (largest for an error such as rmse).")
    baseline_margin: float = Field(0.0, ge=0, description="By how much the metric must beat the trivial baseline.")
    champion_margin: float = Field(0.01, ge=0, description="How much worse than the champion is still 'not worse'.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence of every interval.")
    min_rows: int = Field(30, ge=1, description="Fewest rows on which a comparison counts.")
    parity_share: float = Field(
        0.0, ge=0, le=1, description="Largest share of rows on which graph and estimator may differ by more than 1e-5."
    )
    latency: Duration = Field(0.1, description="Longest p95 of one row in the engine.")


class DriftPolicy(Frozen):
    """When the inputs or the predictions count as drifted."""

    window: Duration = Field(86400.0, description="Length of the window that is compared with the reference.")
    min_rows: int = Field(500, ge=1, description="Fewest rows of a window that is judged.")
    score: float = Field(0.3, ge=0, le=1, description="Alarm above this importance-weighted share of drifted features.")
    effect: float = Field(0.2, gt=0, description="Population stability index from which a feature counts as drifted.")
    severe: float = Field(1.0, gt=0, description="Population stability index of one feature that alarms by itself.")
    alpha: float = Field(0.001, gt=0, lt=1, description="Significance a drifted feature must also reach, over all features together.")


class QualityPolicy(Frozen):
    """When late labels say that the model has become worse."""

    metric: str = Field("", description="Empty: the gate's metric.")
    limit: float | None = Field(None, description="Alarm when the interval lies beyond this value; empty: max_drop decides.")
    max_drop: float = Field(0.05, ge=0, description="Alarm when the interval lies this much below the sealed holdout value.")
    window: Duration = Field(7 * 86400.0, description="Length of the window of matured rows that is judged.")
    min_rows: int = Field(200, ge=1, description="Fewest labelled rows of a window that is judged.")


class LabelPolicy(Frozen):
    """How late labels are counted."""

    maturity: Duration = Field(30 * 86400.0, description="A prediction is judged only when it is this old.")
    missing: Literal["exclude", "negative"] = Field("exclude", description="What a label that has not come by then means.")
    expire: Duration = Field(90 * 86400.0, description="After this an orphan label stops waiting for its prediction.")


class RolloutPolicy(Frozen):
    """How a challenger meets live traffic."""

    weight: float = Field(0.1, gt=0, lt=1, description="Share of traffic that the canary answers.")
    looks: int = Field(4, ge=1, le=4, description="How many times the canary is judged; each look has alpha / looks.")
    rows: int = Field(400, ge=4, description="Predictions of the canary at the last look; the looks are spread evenly.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance of harm, over all looks together.")
    max_errors: float = Field(0.05, ge=0, lt=1, description="Share of failed predictions beyond which the canary is harmful.")
    max_disagreement: float = Field(0.1, ge=0, le=1, description="How far live disagreement with the champion may lie from the rehearsed.")
    deadline: Duration = Field(86400.0, description="Longest time until the last look.")
    on_deadline: Literal["abort", "promote"] = Field("abort", description="What happens to a canary that had too little traffic by then.")


class SloPolicy(Frozen):
    """What callers are promised."""

    latency: Duration = Field(0.5, description="Longest p95 of a prediction.")


class RetrainPolicy(Frozen):
    """When and from what a new challenger is trained."""

    automatic: bool = Field(default=True, description="Whether an alarm opens a turn of the loop.")
    min_rows: int = Field(1000, ge=10, description="Labelled, matured rows since the onset that a retraining needs.")
    max_rows: int = Field(100_000, ge=10, description="Most rows that a retraining uses, the latest ones.")
    judge_rows: int = Field(500, ge=10, description="Labelled rows after the training cut on which both versions are judged.")
    patience: Duration = Field(90 * 86400.0, description="How long a turn waits for labels before it ends.")
    time_limit: Duration = Field(3600.0, description="Longest training.")
    backoff: Duration = Field(3600.0, description="Rest after a turn that failed.")
    new_labels: int = Field(100, ge=0, description="Newly matured labels that an open episode needs before it may try again.")
    max_failures: int = Field(3, ge=1, description="Failed turns in a row after which a person is asked.")

    @model_validator(mode="after")
    def _room_for_the_rows(self) -> Self:
        if self.max_rows < self.min_rows:
            raise ValueError(f"max_rows {self.max_rows} lies below min_rows {self.min_rows}")
        return self


class RetentionPolicy(Frozen):
    """What `treadle gc` may remove. What has a role, or is still needed, stays whatever stands here."""

    log: Duration = Field(180 * 86400.0, description="How long predictions, labels and live profile are kept.")
    versions: int = Field(5, ge=1, description="How many of the newest versions are kept beside those that have a role.")
    generations: int = Field(5, ge=1, description="To how many of the last generations a rollback can return.")
    runs: Duration = Field(
        30 * 86400.0, description="How long runs that made no version, their logs, and data that nothing names are kept."
    )


class ApprovalPolicy(Frozen):
    """Who must agree before a version takes a role."""

    people: int = Field(0, ge=0, le=2, description="How many people must agree: 0 lets the gate decide alone, 2 are four eyes.")
    of: tuple[str, ...] = Field((), description="Names of those whose consent counts; empty: everybody with the role approve.")
    expire: Duration = Field(7 * 86400.0, description="How long a consent holds until the version takes its role.")

    @model_validator(mode="after")
    def _enough_to_ask(self) -> Self:
        names = {name.casefold() for name in self.of}
        if len(names) < len(self.of):
            raise ValueError(f"of names somebody twice: {', '.join(self.of)}")
        if self.of and len(names) < self.people:
            raise ValueError(f"people is {self.people}, but of names only {', '.join(self.of)}")
        return self

    def asks(self, name: str) -> bool:
        """Tell whether the consent of this one counts."""
        return not self.of or name.casefold() in {one.casefold() for one in self.of}


class CardPolicy(Frozen):
    """The part of the model card that a person writes."""

    purpose: str = Field("", description="What the model is for.")
    limitations: str = Field("", description="Where it must not be used or relied on.")
    contact: str = Field("", description="Whom to ask.")


class Policy(Frozen):
    """The half of the contract that is read from the workspace each time it is needed."""

    owner: str = Field("", description="Who answers for the model.")
    data: DataPolicy = Field(DataPolicy(), description="What is asked of the data before anything is trained on them.")
    gate: GatePolicy = Field(GatePolicy(), description="What a version must show before it may have a role.")
    drift: DriftPolicy = Field(DriftPolicy(), description="When the inputs or the predictions count as drifted.")
    quality: QualityPolicy = Field(QualityPolicy(), description="When late labels say that the model has become worse.")
    labels: LabelPolicy = Field(LabelPolicy(), description="How late labels are counted.")
    rollout: RolloutPolicy = Field(RolloutPolicy(), description="How a challenger meets live traffic.")
    slo: SloPolicy = Field(SloPolicy(), description="What callers are promised.")
    retrain: RetrainPolicy = Field(RetrainPolicy(), description="When and from what a new challenger is trained.")
    retention: RetentionPolicy = Field(RetentionPolicy(), description="What `treadle gc` may remove.")
    approval: ApprovalPolicy = Field(ApprovalPolicy(), description="Who must agree before a version takes a role.")
    card: CardPolicy = Field(CardPolicy(), description="The part of the model card that a person writes.")

    @property
    def digest(self) -> str:
        """The digest of the rules alone: the owner, what a person writes in the card, and how long things are kept judge nothing."""
        return digest_of(self.model_dump(mode="json", exclude={"owner", "card", "retention"}))
