"""Replaying the last weeks, to see how many leads would have crossed a line."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.known import from_micros, to_micros
from crm.outcomes import Observation
from crm.progress import Progress
from crm.rules import Segments, segments_of
from crm.store import Tables
from features.build import build_features
from models.bundle import Bundle
from models.line import Line, Replay, crossings, set_price
from models.line_terms import Band
from models.scoring import CENTRE, points_per_logit, probabilities, revenue_of
from training.drawing import draw_accounts
from training.equivalents import equivalents
from training.snapshots import WEEK_US, Snapshots, moments_at_end, scoring_moments

__all__ = ["REPLAY_WEEKS", "ReplayedWeeks", "draw_line", "replay_weeks"]

REPLAY_WEEKS = 8
MOST_ROWS = 250_000
"""Rows that are replayed; of more, whole accounts are left out. Half of 800 crossings tell their number within 3.5%,
which is what it varies by from one eight weeks to the next if leads cross at an even rate."""
Matrix = NDArray[np.float64]


class ReplayedWeeks:
    """Scores of the leads at risk over the last weeks.

    Attributes
    ----------
    replay
        Expected revenue by lead and week.
    p_won, revenue, g
        Of the leads at risk when the weeks end: chance to win, expected revenue, and blended logit of the score's
        endpoint.
    segments
        Which segments they belong to.
    """

    def __init__(self, replay: Replay, now: tuple[Matrix, Matrix, Matrix], segments: Segments) -> None:
        self.replay, self.segments = replay, segments
        self.p_won, self.revenue, self.g = now


def replay_weeks(
    tables: Tables, bundle: Bundle, config: WorkspaceConfig, seen: Observation, progress: Progress
) -> ReplayedWeeks:
    """Score the leads at risk at the moments of the last eight weeks before ``seen.observed_until``.

    Parameters
    ----------
    tables
        The workspace's tables.
    bundle
        The model; the line inside is not used.
    config
        The workspace file: at which moments leads are scored, and its segments.
    seen
        Whose end is the end of the replay.
    progress
        Where to report.
    """
    end = to_micros(seen.observed_until)
    weeks = REPLAY_WEEKS
    start = end - weeks * WEEK_US
    with progress.step(f"Replaying the last {weeks} weeks") as step:
        # Scored weekly, the row before the first week tells who was above the line already; at moments of the lead's
        # own, that row may lie anywhere before.
        is_weekly = config.snapshots.is_default or config.snapshots.weekly
        moments = scoring_moments(tables, config.snapshots, seen, since_us=start - WEEK_US + 1 if is_weekly else 0)
        kept = draw_accounts(moments.group, moments.moments, MOST_ROWS)
        share = len(np.unique(moments.lead[kept])) / max(len(np.unique(moments.lead)), 1) if len(kept) else 1.0
        moments = moments.only(np.flatnonzero(kept))
        revenue = _worth(tables, moments, bundle)[1]
        # Row times in (start + (w - 1) weeks, start + w weeks] belong to week w; week 0 is the state before.
        week = np.ceil((moments.as_of_us - start) / WEEK_US).clip(0, weeks).astype(np.int64)
        starts = tuple(from_micros(start + w * WEEK_US).date().isoformat() for w in range(weeks))
        part = "" if share == 1.0 else f", {share:.0%} of all"
        step.note(f"{int((week > 0).sum()):,} scorings of {len(np.unique(moments.lead[week > 0])):,} leads{part}")
        at_end = moments_at_end(tables, seen)
        p_won, at_risk, matrix = _worth(tables, at_end, bundle)
        now = p_won, at_risk, bundle.score_endpoint.g(matrix) if len(matrix) else np.zeros(0)
        segments = segments_of(tables, config, at_end.moments)
    return ReplayedWeeks(Replay(moments.lead, week, revenue, starts, share), now, segments)


def _worth(tables: Tables, moments: Snapshots, bundle: Bundle) -> tuple[Matrix, Matrix, Matrix]:
    """Return chance to win and expected revenue, each of shape (n,), and the features, shape (n, n_features)."""
    if len(moments.as_of_us) == 0:
        return np.zeros(0), np.zeros(0), np.zeros((0, len(bundle.features.features)))
    matrix = build_features(tables, moments.moments, bundle.features)
    p_won = probabilities(bundle, matrix)[1]
    return p_won, revenue_of(bundle, matrix, p_won), matrix


def draw_line(
    weeks: ReplayedWeeks, bundle: Bundle, config: WorkspaceConfig, set_as_of: datetime
) -> tuple[Line, tuple[tuple[float, float], ...], tuple[int, ...]]:
    """Set the line for the capacity, cost and margin of ``[value]``, with the terms of ``[line]``.

    Returns
    -------
    line, curve, weekly
        The document; pairs (price, first crossings a week); first crossings by week at the line.
    """
    value, terms = config.value, config.line
    worth = weeks.replay.expected_revenue * value.margin - value.touch_cost
    price, curve = set_price(weeks.replay, worth, value.weekly_capacity)
    weekly = crossings(weeks.replay, worth, price) / weeks.replay.share
    now = weeks.revenue * value.margin - value.touch_cost
    mqls = now[now > max(price, 0.0)]
    scores = CENTRE + points_per_logit() * (weeks.g - bundle.g50)
    quantiles = np.quantile(scores, np.linspace(0, 1, 101)) if scores.size else np.linspace(0.0, 100.0, 101)
    line = Line(
        price=price,
        margin=value.margin,
        touch_cost=value.touch_cost,
        capacity_per_week=value.weekly_capacity,
        currency=bundle.currency,
        quantiles=tuple(float(q) for q in quantiles),
        median_mql_value=float(np.median(mqls)) if mqls.size else None,
        equivalent_p_won=None,
        crossings_per_week=float(weekly.mean()),
        weeks=weeks.replay.weeks,
        leads_at_risk=len(now),
        set_as_of=set_as_of,
        hysteresis=terms.hysteresis,
        band=None if terms.band_share is None else Band(share=terms.band_share, width=terms.band_width or 0.0),
        hours_per_lead=value.hours_per_lead,
        basis=bundle.basis,
    )
    # A chance to win says nothing of what working a lead adds, so on that basis the line has no equivalent in it.
    worth_of_wins = bundle.basis == "as_run"
    found = equivalents(line, bundle, scores, (weeks.p_won, weeks.revenue), weeks.segments) if worth_of_wins else ()
    p_won = None if not found or found[0].b is None else found[0].b.p_won
    line = line.model_copy(update={"equivalents": found, "equivalent_p_won": p_won})
    return line, curve, tuple(round(float(count)) for count in weekly)
