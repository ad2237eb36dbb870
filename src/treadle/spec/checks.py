"""What a policy says about the data: for each check a limit, and whether to pass it is an error, a warning, or nothing.

What makes the contract true is not a matter of policy: a wrong type, a missing target or an unknown class is always an error.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from treadle.spec.part import Duration, Frozen
from treadle.spec.rules import Node, parse

Severity = Annotated[Literal["error", "warning", "off"], BeforeValidator(lambda value: "off" if value is False else value)]
"""YAML takes a bare ``off`` for false."""

_SEVERITY = "What it means when the limit is passed: error (nothing is trained), warning, or off."


class ColumnsCheck(Frozen):
    """Columns of the data that the contract does not name."""

    severity: Severity = Field("warning", description=_SEVERITY)
    ignore: tuple[str, ...] = Field((), description="Columns that are left out on purpose.")


class MissingCheck(Frozen):
    """Missing values in a column that need not be there; in a required one they are always an error."""

    limit: float = Field(0.5, ge=0, le=1, description="Largest share of missing values.")
    severity: Severity = Field("warning", description=_SEVERITY)


class RangeCheck(Frozen):
    """Numbers and dates outside min and max."""

    limit: float = Field(0.0, ge=0, le=1, description="Largest share of values outside.")
    severity: Severity = Field("error", description=_SEVERITY)


class CategoriesCheck(Frozen):
    """Texts that are not among the categories of their column."""

    limit: float = Field(0.0, ge=0, le=1, description="Largest share of such texts.")
    severity: Severity = Field("error", description=_SEVERITY)


class OutliersCheck(Frozen):
    """Numbers and dates within their range, but far from all others."""

    limit: float = Field(0.0, ge=0, le=1, description="Largest share of such values.")
    reach: float = Field(5.0, gt=0, description="How many interquartile ranges beyond the quartiles 'far' begins.")
    severity: Severity = Field("warning", description=_SEVERITY)


class ConstantCheck(Frozen):
    """A feature that tells rows hardly apart."""

    limit: float = Field(0.999, gt=0, le=1, description="Largest share of rows with one and the same value.")
    severity: Severity = Field("warning", description=_SEVERITY)


class DuplicatesCheck(Frozen):
    """Rows that repeat an earlier row in every column."""

    limit: float = Field(0.0, ge=0, le=1, description="Largest share of such rows.")
    severity: Severity = Field("warning", description=_SEVERITY)


class ContradictionsCheck(Frozen):
    """Rows that are equal in every feature and differ in the target."""

    limit: float = Field(0.05, ge=0, le=1, description="Largest share of such rows.")
    severity: Severity = Field("warning", description=_SEVERITY)


class EntityCheck(Frozen):
    """Rows that do not say whom they are about."""

    limit: float = Field(0.0, ge=0, le=1, description="Largest share of such rows.")
    severity: Severity = Field("warning", description=_SEVERITY)


class CorrelationCheck(Frozen):
    """Two features that say the same."""

    limit: float = Field(0.98, gt=0, le=1, description="Strongest association of two features, from 0 to 1.")
    severity: Severity = Field("warning", description=_SEVERITY)


class LeakCheck(Frozen):
    """A feature that alone gives the target away, and so was probably written down after it."""

    limit: float = Field(0.98, gt=0, le=1, description="Best score of one column alone, from 0 (no better than chance) to 1.")
    severity: Severity = Field("warning", description=_SEVERITY)


class FreshnessCheck(Frozen):
    """The age of the newest row, by the contract's time column."""

    limit: Duration | None = Field(None, description="Oldest that the newest row may be; empty: it is not asked.")
    severity: Severity = Field("warning", description=_SEVERITY)


class Rule(Frozen):
    """A condition over several columns that every row must keep."""

    rule: str = Field(description="The condition, such as total_charges >= monthly_charges.")
    severity: Severity = Field("warning", description="What a row that breaks it means.")
    reason: str = Field("", description="Why it must hold; shown in the report.")

    @field_validator("rule")
    @classmethod
    def _can_be_read(cls, rule: str) -> str:
        parse(rule)
        return rule

    @property
    def node(self) -> Node:
        """The rule as a tree."""
        return parse(self.rule)


class DataPolicy(Frozen):
    """What is asked of the data before anything is trained on them."""

    columns: ColumnsCheck = Field(ColumnsCheck(), description="Columns that the contract does not name.")
    missing: MissingCheck = Field(MissingCheck(), description="Missing values where they are allowed.")
    range: RangeCheck = Field(RangeCheck(), description="Numbers and dates outside min and max.")
    categories: CategoriesCheck = Field(CategoriesCheck(), description="Texts that are not among the categories.")
    outliers: OutliersCheck = Field(OutliersCheck(), description="Numbers and dates far from all others.")
    constant: ConstantCheck = Field(ConstantCheck(), description="Features that tell rows hardly apart.")
    duplicates: DuplicatesCheck = Field(DuplicatesCheck(), description="Rows that repeat an earlier one.")
    contradictions: ContradictionsCheck = Field(ContradictionsCheck(), description="Equal rows with different targets.")
    entity: EntityCheck = Field(EntityCheck(), description="Rows that do not say whom they are about.")
    correlation: CorrelationCheck = Field(CorrelationCheck(), description="Features that say the same.")
    leak: LeakCheck = Field(LeakCheck(), description="Features that give the target away.")
    freshness: FreshnessCheck = Field(FreshnessCheck(), description="The age of the newest row.")
    rules: tuple[Rule, ...] = Field((), description="Conditions over several columns.")
