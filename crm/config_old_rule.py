"""The section ``[old_rule]`` of the workspace file: the MQL definition to be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from crm.config_values import Days, Points, Section
from crm.expressions import Expression, ExpressionError, parse_expression
from crm.tables import STAGES

__all__ = ["OldRuleConfig"]


class OldRuleConfig(Section):
    """``[old_rule]``: the MQL definition to be replaced: points, an expression, or the stage in the data.

    Without any key: the stage ``mql`` of the data, where there is one.

    Attributes
    ----------
    stage
        A lead is an MQL once it has entered this stage.
    threshold
        A lead is an MQL from so many points on.
    touches
        Points of each touch by the lead, by kind.
    attributes
        Points of each value, by attribute: ``[old_rule.attributes.job_level]`` with ``vp = 15``.
    window_days
        A touch counts for so many days; for ever unless given.
    sql
        An expression over columns of a lead: true for an MQL, or a number of points where there is a threshold.
    """

    stage: str | None = None
    threshold: Points | None = None
    touches: Mapping[str, Points] = Field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Points]] = Field(default_factory=dict)
    window_days: Days | None = None
    sql: str | None = None

    @property
    def form(self) -> Literal["stage", "points", "sql"]:
        """Which of the three definitions it is."""
        if self.sql is not None:
            return "sql"
        return "points" if self.touches or self.attributes else "stage"

    @property
    def expression(self) -> Expression | None:
        """The expression of ``sql``, understood; None without one."""
        if self.sql is None:
            return None
        return parse_expression(self.sql, "boolean" if self.threshold is None else "number")

    @model_validator(mode="after")
    def _is_one_definition(self) -> OldRuleConfig:
        has_points = bool(self.touches or self.attributes)
        if sum((self.stage is not None, has_points, self.sql is not None)) > 1:
            raise ValueError("expected one definition: stage, or points of touches and attributes, or sql")
        if self.stage is not None and self.stage not in STAGES:
            raise ValueError(f"stage: {self.stage!r} is none of {', '.join(STAGES)}")
        if has_points and self.threshold is None:
            raise ValueError("threshold: how many points make a lead an MQL is missing")
        if self.threshold is not None and self.form == "stage":
            raise ValueError(
                "threshold: there are no points that it could be compared with; give touches or attributes"
            )
        if self.window_days is not None and not self.touches:
            raise ValueError("window_days: only points of touches have a window")
        if self.sql is not None:
            try:
                _ = self.expression
            except ExpressionError as error:
                raise ValueError(f"sql: {error}") from None
        return self
