"""How hard the simulated world is: all numbers that decide what can be learned from it, in one frozen place.

The numbers were set from the funnel's rates and from the oracle's AUC alone, before any model was fitted to
the data: of the leads, 9-12% become SQLs and 2-4% are won, 3.5% within 90 days of their creation; the AUC of
the true probability at creation is 0.83 for an SQL within 30 days and 0.81 for a win within 90.
``DIFFICULTY_HASH`` in :mod:`crm.simulator` pins them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from crm.simulator_content import CONTENT, ContentItem

__all__ = [
    "DIFFICULTY",
    "OBSERVED_UNTIL",
    "WORLD_DAYS",
    "WORLD_START",
    "Difficulty",
    "Level",
    "difficulty_hash",
]

OBSERVED_UNTIL = datetime(2026, 7, 1, tzinfo=UTC)
WORLD_DAYS = 730.0
WORLD_START = OBSERVED_UNTIL - timedelta(days=WORLD_DAYS)


@dataclass(frozen=True)
class Level:
    """One value of an attribute.

    Parameters
    ----------
    name
        The value.
    weight
        Its share, relative to the other values.
    sql
        Effect on the SQL log-odds.
    points
        What the old points rule gives for it.
    amount
        Effect on the log of the amount.
    """

    name: str
    weight: float
    sql: float = 0.0
    points: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True)
class Difficulty:
    """Parameters of the world; times in days, effects in log-odds unless said otherwise."""

    # Accounts and leads.
    leads_per_account: float = 2.8
    account_share: float = 0.85
    account_spread: float = 0.9
    yearly_growth: float = 0.3
    weekend_share: float = 0.25
    account_effect_sd: float = 0.33
    intent_sd: float = 1.0
    hidden_sql_sd: float = 0.2
    hidden_win_sd: float = 0.3
    activity_sd: float = 0.45
    scanner_share: float = 0.2
    industries: tuple[Level, ...] = (
        Level("software", 24, 0.30, 10, 0.10),
        Level("manufacturing", 18, 0.45, 0, 0.30),
        Level("finance", 12, 0.25, 5, 0.45),
        Level("healthcare", 10, 0.0, 0, 0.20),
        Level("retail", 12, -0.15, 5, -0.10),
        Level("logistics", 8, 0.10, 0, 0.0),
        Level("education", 10, -0.70, 0, -0.40),
        Level("public_sector", 6, -0.50, 0, 0.15),
    )
    sizes: tuple[Level, ...] = (
        Level("1-49", 34, -0.50, 0, -0.70),
        Level("50-199", 27, 0.05, 5, -0.20),
        Level("200-999", 20, 0.40, 10, 0.30),
        Level("1k-5k", 12, 0.30, 15, 0.85),
        Level("5k+", 7, -0.10, 20, 1.40),
    )
    size_employees: tuple[float, ...] = (2, 50, 200, 1_000, 5_000, 60_000)
    jobs: tuple[Level, ...] = (
        Level("c_level", 8, 0.35, 20),
        Level("vp", 9, 0.50, 15),
        Level("director", 16, 0.45, 10),
        Level("manager", 28, 0.10, 5),
        Level("staff", 31, -0.35, 0),
        Level("student", 8, -1.30, 0),
    )
    countries: tuple[Level, ...] = (
        Level("US", 40, 0.10),
        Level("GB", 12, 0.05),
        Level("DE", 12, 0.0),
        Level("JP", 12, 0.10),
        Level("FR", 7, -0.05),
        Level("CA", 6, 0.05),
        Level("AU", 4, 0.0),
        Level("IN", 5, -0.40),
        Level("BR", 2, -0.40),
    )
    # For sources, ``sql`` shifts the intent (in its standard deviations) and not the log-odds themselves.
    sources: tuple[Level, ...] = (
        Level("website", 26, 0.30),
        Level("paid_search", 17, 0.10),
        Level("content_syndication", 18, -0.45),
        Level("webinar", 11, 0.05),
        Level("event", 9, -0.10),
        Level("referral", 7, 0.75),
        Level("outbound_list", 12, -0.60),
    )
    drift_days: float = 150.0
    drift_source_factors: tuple[float, ...] = (0.7, 1.4, 1.9, 0.8, 0.6, 0.6, 1.2)
    drift_sql_shift: float = -0.45
    missing: tuple[tuple[str, float], ...] = (
        ("industry", 0.07),
        ("company_size", 0.12),
        ("employees", 0.22),
        ("job_level", 0.13),
        ("country", 0.03),
    )
    # Intent over time: it peaks once, rises before and decays after.
    early_peak_share: float = 0.75
    early_peak_mean: float = 4.0
    late_peak_mean: float = 22.0
    burst_rise: float = 3.0
    burst_decay: float = 6.0
    # Touches: mean counts at intent zero and how intent multiplies them (in log).
    before_count: tuple[float, float] = (1.3, 0.35)
    steady_count: tuple[float, float] = (6.0, 0.20)
    burst_count: tuple[float, float] = (8.5, 0.55)
    open_count: tuple[float, float] = (4.5, 0.05)
    scan_count: float = 3.5
    before_mean: float = 10.0
    steady_mean: float = 20.0
    mail_mean: float = 28.0
    # Share of buying-minded touches: logit at intent zero and slope on intent.
    steady_buying: tuple[float, float] = (-2.2, 0.7)
    burst_buying: tuple[float, float] = (-0.9, 1.0)
    kinds_casual: tuple[tuple[str, float], ...] = (
        ("visit", 0.54),
        ("email_click", 0.13),
        ("download", 0.12),
        ("video_view", 0.08),
        ("webinar_attend", 0.05),
        ("event_attend", 0.02),
        ("form_submit", 0.06),
    )
    kinds_buying: tuple[tuple[str, float], ...] = (
        ("visit", 0.60),
        ("email_click", 0.05),
        ("download", 0.12),
        ("video_view", 0.05),
        ("webinar_attend", 0.05),
        ("chat", 0.06),
        ("form_submit", 0.07),
    )
    content: tuple[ContentItem, ...] = CONTENT
    late_share: float = 0.12
    late_median: float = 0.3
    late_sd: float = 1.4
    late_most: float = 10.0
    # The old rule: points add up for ever, whoever or whatever made the touch.
    points: tuple[tuple[str, float], ...] = (
        ("visit", 1),
        ("email_open", 1),
        ("email_click", 3),
        ("download", 6),
        ("video_view", 2),
        ("webinar_attend", 10),
        ("event_attend", 12),
        ("chat", 5),
        ("form_submit", 8),
    )
    mql_points: float = 95.0
    # Hand-off and follow-up by people.
    hand_off_share: float = 0.85
    hand_off_median: float = 0.5
    hand_off_sd: float = 1.0
    follow_up: tuple[float, float] = (1.3, 0.5)
    contact_median: float = 1.0
    contact_sd: float = 1.2
    contact_most: float = 45.0
    owners: int = 12
    owner_sd: float = 0.35
    # SQL: intercept and slopes of the log-odds.
    sql_intercept: float = -2.34
    sql_intent: float = 0.7
    delay_slope: float = 0.2
    never_followed: float = -1.4
    inbound: float = -0.4
    stale_slope: float = 0.15
    stale_unit: float = 30.0
    stale_most: float = 3.0
    # Days from the reference time to the SQL: Weibull with this shape, and scale by route (contacted after a
    # hand-off, handed off but ignored, inbound).
    sql_shape: float = 0.9
    sql_scales: tuple[float, float, float] = (11.0, 20.0, 17.0)
    give_up: tuple[float, float] = (20.0, 60.0)
    give_up_shares: tuple[float, float] = (0.55, 0.30)
    merge_share: float = 0.005
    merge_mean: float = 30.0
    # Win, given SQL; days from SQL to the win: Gamma with shape 2 and this scale, slower in large companies.
    win_intercept: float = -0.77
    win_intent: float = 0.2
    win_fit: float = 0.3
    win_scale: float = 16.0
    win_size_factors: tuple[float, ...] = (0.75, 0.9, 1.1, 1.4, 1.7)
    lost_scale: float = 22.0
    # Amount of a win, USD.
    amount_log_mean: float = 9.6
    amount_log_sd: float = 0.75


DIFFICULTY = Difficulty()


def difficulty_hash(difficulty: Difficulty = DIFFICULTY) -> str:
    """Return the first 16 hex digits of the SHA-256 over all parameters."""
    text = json.dumps(asdict(difficulty), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
