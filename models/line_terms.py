"""The parts of a line's document: what it is worth, what it means for each segment, and how decisions keep to it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ALL_LEADS", "Band", "Equivalent", "LineGain", "Mark"]

ALL_LEADS = "all"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LineGain(_Part):
    """What a line would have brought over the old rule, on weeks that neither its model nor the line had seen.

    Attributes
    ----------
    since, until
        Dates of the weeks, ISO.
    value, low, high
        Gain a week in workspace currency, and its 90% interval by accounts: value of the worked leads under the line
        less that under the old rule, at the same capacity.
    probability
        That the gain is above zero.
    """

    since: str
    until: str
    value: float
    low: float
    high: float
    probability: float


class Mark(_Part):
    """Where a lead meets a grade.

    Attributes
    ----------
    p_won
        Chance to win, in (0, 1).
    score
        The score that goes with it, not clipped: above 100 no score shown to a person tells it apart.
    """

    p_won: float
    score: float


class Equivalent(_Part):
    """What the line means for a segment, at the mean amount that its leads are predicted to bring.

    The line is one price in money for everybody. Segments meet it at different chances and scores, because what a win
    brings differs.

    Attributes
    ----------
    segment
        Name in ``[segments]``; ``all`` for every lead at risk.
    leads, mqls
        Leads at risk in the segment, and how many of them are above the line.
    mean_amount
        Expected revenue over chance to win, summed over the segment, workspace currency; None without leads.
    a, b, c
        Where a lead of that amount becomes an A, an MQL (a B), and worth working at all (a C). None where no chance is
        enough, or none is needed.
    """

    segment: str
    leads: int
    mqls: int
    mean_amount: float | None
    a: Mark | None
    b: Mark | None
    c: Mark | None


class Band(_Part):
    """Leads near the line whose decision is drawn, so that what a hand-off brings about can be measured.

    Attributes
    ----------
    share
        Chance that a lead in the band gets the other decision than the line gives it.
    width
        Half the width of the band, as a share of the line's price.
    """

    share: Annotated[float, Field(gt=0, le=0.5)]
    width: Annotated[float, Field(gt=0, lt=1)]
