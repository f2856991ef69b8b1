"""What the service answers, as ``/docs.json`` describes it; :mod:`models.scoring` makes the answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "FLAT_REASONS",
    "BatchReply",
    "FieldReply",
    "FlatReply",
    "HorizonReply",
    "PointReply",
    "ProblemReply",
    "QuarantinedReply",
    "Reply",
    "ScoreReply",
    "ToldReply",
]


class Reply(BaseModel):
    """What every answer has in common: these fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PointReply(Reply):
    """What one signal added to the score."""

    signal: str
    group: Literal["fit", "engagement"]
    points: float
    words: str


class HorizonReply(Reply):
    """What comes within so many days."""

    days: float
    p_sql: float | None = Field(description="Null where no history was watched for so long.")
    p_won: float | None = Field(description="Never above p_sql of the same days.")


class FieldReply(Reply):
    """A message about one field."""

    field: str = Field(description="JSON pointer into the request's body.")
    message: str


class ScoreReply(Reply):
    """The score of one lead."""

    lead_id: str
    as_of: str
    score: float = Field(description="0 to 100; 50 is a chance of 1%, and 5 more points double the odds.")
    p_sql: float = Field(description="Within the model's horizon for SQL.")
    p_won: float = Field(description="Within the model's horizon for won.")
    horizons: list[HorizonReply]
    p_sql_if_worked: float | None = Field(description="If handed off now; null where the model cannot tell.")
    p_won_if_worked: float | None
    p_sql_if_left: float | None = Field(description="If never handed off; null where the model cannot tell.")
    p_won_if_left: float | None
    if_worked_points: float | None = Field(description="What score_unclipped would gain if the lead were handed off.")
    hand_off_propensity: float | None = Field(
        description="Chance of a hand-off as things were run; below 0.02 the figures if worked are an extrapolation."
    )
    value_basis: Literal["if_worked", "as_run"] = Field(
        description="Whether expected_value is that of working the lead or of the lead as things are run."
    )
    expected_revenue: float
    expected_value: float = Field(description="expected_revenue x margin - touch_cost")
    currency: str
    is_mql: bool
    decision: Literal["hand_off", "keep", "held_by_band", "already_handed_off", "excluded"]
    excluded_by: str | None = Field(description="Name of the rule of [exclude] that leaves the lead out.")
    grade: Literal["A", "B", "C", "D"]
    percentile: float = Field(description="Share of the leads at risk that score lower, 0 to 100.")
    reasons: list[str]
    model_version: str
    line_version: str
    score_outcome: Literal["won", "sql"]
    score_unclipped: float = Field(description="base and the sum of points")
    base: float
    fit_points: float
    engagement_points: float
    points: list[PointReply]
    ledger_id: int = Field(description="Number of the score in the ledger.")
    warnings: list[FieldReply]


FLAT_REASONS = 5
"""Reasons in a flat answer; no answer has more."""


class FlatReply(Reply):
    """The score of one lead without lists; every name is a valid identifier of Apex."""

    lead_id: str
    score: float = Field(description="0 to 100; 50 is a chance of 1%, and 5 more points double the odds.")
    grade: Literal["A", "B", "C", "D"]
    p_sql: float = Field(description="Within the model's horizon for SQL.")
    p_won: float = Field(description="Within the model's horizon for won.")
    expected_revenue: float
    expected_value: float = Field(description="What working the lead is worth, after its cost.")
    currency_code: str
    is_mql: bool
    decision: str = Field(description="hand_off, keep, held_by_band, already_handed_off or excluded.")
    percentile: float = Field(description="Share of the leads at risk that score lower, 0 to 100.")
    reason_1: str | None
    reason_2: str | None
    reason_3: str | None
    reason_4: str | None
    reason_5: str | None
    model_version: str
    line_version: str


class BatchReply(Reply):
    """One answer a lead, in the order of the request."""

    answers: list[ScoreReply]
    unknown: list[str] = Field(description="Ids of which nothing is held here; they have no answer.")


class QuarantinedReply(Reply):
    """A row that cannot be used."""

    row: int = Field(description="Its position in the request, from 0.")
    reason: str


class ToldReply(Reply):
    """What became of posted rows; stored and repeated ones are safe."""

    stored: int
    repeated: int = Field(description="Rows that were there already.")
    conflicting: list[int] = Field(description="Rows whose key was there with other content, which stays.")
    quarantined: list[QuarantinedReply]
    erased: list[int] = Field(description="Rows of leads that were erased; nothing of them was kept.")
    personal: list[str] = Field(description="Attributes that name a person, by name or value; they were not kept.")
    scores: list[ScoreReply] = Field(description="Of touches: the new score of each lead that is held here.")


class ProblemReply(Reply):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldReply] = []
