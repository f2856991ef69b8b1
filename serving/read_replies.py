"""What is read of the state and told of erasure, as ``/docs.json`` describes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from serving.replies import Reply

__all__ = [
    "AcceptedReply",
    "ActionReply",
    "EndpointReply",
    "IssuedReply",
    "LedgerReply",
    "MemberReply",
    "ModelReply",
    "MovedReply",
    "OutputsReply",
    "QueueReply",
    "QueuedReply",
    "ReceiptReply",
    "StartReply",
]

Decision = Literal["hand_off", "keep", "held_by_band", "already_handed_off", "excluded"]


class StartReply(Reply):
    """What answers here."""

    service: Literal["kizashi"]
    model_version: str
    openapi: str = Field(description="Where this document is.")


class QueuedReply(Reply):
    """A lead's newest score, in short."""

    lead_id: str = Field(description="As it is held: its hash where the workspace hashes ids.")
    account_id: str | None
    decision: Decision
    score: float
    grade: Literal["A", "B", "C", "D"]
    expected_value: float
    currency: str
    model_version: str
    line_version: str
    as_of: str
    ledger_id: int


class QueueReply(Reply):
    """Leads by their newest scores, highest first."""

    leads: list[QueuedReply]
    next: str | None = Field(description="Give it as 'after' to get the next page; null on the last one.")


class MovedReply(Reply):
    """Why a score moved, in points of score_unclipped; the parts add up to the total."""

    since: int = Field(description="ledger_id of the score before.")
    total: float
    ageing: float = Field(description="Time passed.")
    touches: float = Field(description="Touches, stages, merges or the account's other leads arrived.")
    attributes: float = Field(description="Attributes changed.")
    model: float = Field(description="Another model answers.")
    corrected: float = Field(description="What cannot be made again from what is held now.")


class IssuedReply(Reply):
    """One score that was issued."""

    ledger_id: int
    lead_id: str
    as_of: str
    issued_at: str
    origin: Literal["served", "batch", "replay"]
    score: float
    score_unclipped: float
    base: float
    points: dict[str, float] = Field(description="What each signal added; with base they sum to score_unclipped.")
    reasons: list[str]
    p_sql: float
    p_won: float
    expected_revenue: float
    expected_value: float
    percentile: float
    grade: Literal["A", "B", "C", "D"]
    is_mql: bool
    decision: Decision
    excluded_by: str | None
    model_version: str
    line_version: str
    score_outcome: Literal["won", "sql"]
    is_stored: bool = Field(description="False: the lead came in the request's body and is not held here.")
    input_hmac: str = Field(description="Keyed hash of what the model read.")
    latency_ms: float
    request_id: str
    moved: MovedReply | None = Field(description="Null for the oldest score, and where nothing is held to compare.")


class LedgerReply(Reply):
    """A lead's scores, newest first."""

    lead_id: str
    scores: list[IssuedReply]
    next: str | None = Field(description="Give it as 'before' to get older ones; null on the last page.")


class MemberReply(Reply):
    """One estimator of a blend."""

    member: str
    weight: float


class EndpointReply(Reply):
    """One outcome that is predicted."""

    horizon_days: float
    members: list[MemberReply]


class ModelReply(Reply):
    """The card of the model in force."""

    model_version: str
    line_version: str
    trained_from: str
    trained_until: str
    score_outcome: Literal["won", "sql"]
    value_basis: Literal["if_worked", "as_run"]
    currency: str
    endpoints: dict[str, EndpointReply] = Field(description="By outcome, sql and won.")
    features: list[str]
    attributes: dict[str, str] = Field(description="Attributes that it reads, with their types.")
    fingerprint: str = Field(description="Of the list of features.")
    versions: dict[str, str] = Field(description="Of the libraries that it was made with.")


class ReceiptReply(Reply):
    """What an erasure or an objection did."""

    lead_id: str
    leads: list[str] = Field(description="The lead, and every lead that is the same person by merges.")
    done_at: str
    removed: dict[str, int] = Field(description="Rows by place.")
    model_versions: list[str] = Field(description="Versions that had learned from one of them; they hold no ids.")
    remaining: list[str] = Field(description="Files that still name one of them and are to be made anew.")
    notes: list[str]
    dry_run: bool


class AcceptedReply(Reply):
    """The webhook is stored; it is worked on next."""

    status: Literal["accepted"]


class OutputsReply(Reply):
    """Outputs of our action in HubSpot's workflows; all but the last are missing where there is no score."""

    score: float | None = None
    grade: Literal["A", "B", "C", "D"] | None = None
    p_won: float | None = None
    expected_value: float | None = None
    is_mql: bool | None = None
    reasons: str | None = None
    errorCode: str | None = None  # noqa: N815 - HubSpot's name
    hs_execution_state: Literal["SUCCESS", "FAIL_CONTINUE"]


class ActionReply(Reply):
    """The answer to a call of our action."""

    outputFields: OutputsReply  # noqa: N815 - HubSpot's name
