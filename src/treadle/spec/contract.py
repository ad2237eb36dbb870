"""The whole contract: where the data come from, the interface, the policy, and how the last two go together."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from treadle.spec.addresses import holds_secret
from treadle.spec.interface import Interface, Task
from treadle.spec.part import Frozen, Name
from treadle.spec.policy import Policy
from treadle.spec.rules import checked, kinds_of

RowsDigest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]

_CLASSIFIED = ("accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc", "average_precision", "log_loss")
METRICS: dict[Task, tuple[str, ...]] = {"binary": _CLASSIFIED, "multiclass": _CLASSIFIED, "regression": ("mae", "rmse", "r2")}
"""The metrics that a policy of each task may name; ``training.metrics`` computes them."""

DEFAULT_METRIC: dict[Task, str] = {"binary": "roc_auc", "multiclass": "f1_macro", "regression": "rmse"}


class BundledSource(Frozen):
    """Data that a library carries; ``load`` in model.py gets no file."""

    kind: Literal["bundled"]
    library: str = Field(description="Name of the library that carries the data.")


class MirrorSource(Frozen):
    """A file in the mirror folder (TREADLE_DATA_MIRROR)."""

    kind: Literal["mirror"]
    file: str = Field(description="Name of the file in the mirror folder.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")


class FileSource(Frozen):
    """A file of your own; ``load`` in model.py gets its path."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="The file, absolute or relative to the workspace.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")


class TableSource(Frozen):
    """A table of a database, or what a query gives; ``load`` in model.py gets it as a DataFrame."""

    kind: Literal["table"]
    url: str = Field("", description="SQLAlchemy URL of the database, without a password; a file of SQLite is relative to the workspace.")
    variable: str = Field(
        "", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$", description="Environment variable that holds the URL, where it has a password."
    )
    table: str = Field("", description="Name of the table, with its schema before a dot if it has one.")
    query: str = Field("", description="A SELECT instead of a whole table; give it an ORDER BY, so that equal data are equal rows.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if bool(self.url) == bool(self.variable):
            raise ValueError("name the database by url or by variable, one of the two")
        if bool(self.table) == bool(self.query):
            raise ValueError("name the rows by table or by query, one of the two")
        if holds_secret(self.url):
            raise ValueError("a password must not stand here: put the URL into an environment variable and name that under variable")
        return self


class DownloadSource(Frozen):
    """A file on the network."""

    kind: Literal["download"]
    url: str = Field(pattern=r"^https?://", description="Where the file is.")
    rows_digest: RowsDigest = Field("", description="SHA-256 over the sorted canonical rows after parsing; empty: not checked.")

    @model_validator(mode="after")
    def _no_secret(self) -> Self:
        if holds_secret(self.url):
            raise ValueError("a password or signature must not stand here: bring the file into the data mirror, or name a public address")
        return self


class SimulatedSource(Frozen):
    """Rows that ``synthesize`` in model.py makes up; labelled simulated in lineage and card."""

    kind: Literal["simulated"]
    rows: int = Field(5000, ge=50, description="How many rows to make up.")


Source = Annotated[BundledSource | MirrorSource | FileSource | TableSource | DownloadSource | SimulatedSource, Field(discriminator="kind")]


class Contract(Frozen):
    """One description of one model: everything else is derived from it."""

    name: Name = Field(description="Name of the model, the same as that of its folder.")
    description: str = Field("", description="What the model answers, in a sentence.")
    data: tuple[Source, ...] = Field(min_length=1, description="Where the data come from, tried in order.")
    interface: Interface = Field(description="The half that is sealed into each version.")
    policy: Policy = Field(Policy(), description="The half that is read from the workspace each time it is needed.")

    @model_validator(mode="after")
    def _policy_fits_the_task(self) -> Self:
        known = METRICS[self.interface.task]
        for name in (self.policy.gate.metric, self.policy.quality.metric, *self.policy.gate.minimum):
            if name and name not in known:
                raise ValueError(f"the policy names the metric {name!r}; a {self.interface.task} model has {', '.join(known)}")
        if self.policy.labels.missing == "negative" and self.interface.task != "binary":
            raise ValueError("labels.missing can be negative only where there are two classes")
        return self

    @model_validator(mode="after")
    def _rules_fit_the_columns(self) -> Self:
        for rule in self.policy.data.rules:
            try:
                checked(rule.node, kinds_of(self.interface))
            except ValueError as error:
                raise ValueError(f"the rule {rule.rule!r} of policy.data: {error}") from error
        return self

    @property
    def metric(self) -> str:
        """The metric by which versions of this model are compared."""
        return self.policy.gate.metric or DEFAULT_METRIC[self.interface.task]


def contract_schema() -> dict[str, Any]:
    """Return the JSON Schema of a ``model.yaml``."""
    return Contract.model_json_schema()
