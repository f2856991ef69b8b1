"""The three signs of two teams that work past each other, each with the rule that decided it.

Every sign rests on measures, each of them a share with an interval and two levels from ``[signs]``. A sign is as bad as
its worst measure; a measure that the data does not allow is said to be unknown, and never counted as good.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from alignment.campaigns import Campaigns
from alignment.content import ContentReport
from alignment.funnel import Funnel, StepResult
from alignment.people import People
from alignment.periods import DAY_US
from alignment.sla import SlaReport
from crm.config_sla import SignConfig
from models.intervals import NORMAL_90, jeffreys

__all__ = ["LEVELS", "TOO_FEW", "Measure", "Reports", "Sign", "fewest_of", "three_signs"]

Level = Literal["aligned", "watch", "misaligned", "unknown"]
LEVELS: tuple[Level, ...] = ("unknown", "aligned", "watch", "misaligned")
FEWEST, FEWEST_ITEMS = 10, 3
"""Of how many people, or of how many items and campaigns, a share has to be before it decides anything."""
TOO_FEW = "too_few"
HALF_MONTHS = 6
SURE, FAIRLY_SURE = 0.95, 0.9


@dataclass(frozen=True)
class Measure:
    """One measure behind a sign.

    Parameters
    ----------
    key
        Its name: the key of its words and, but for the volume, of its levels in ``[signs]``.
    level
        What it says.
    value, low, high
        A share, and its 90% interval; NaN where unknown.
    levels
        From where on it is to be watched, and misaligned.
    of
        How many things the share is of.
    lacks
        Table or setting without which it is unknown, or :data:`TOO_FEW`; empty otherwise.
    facts
        More numbers for its sentence.
    """

    key: str
    level: Level
    value: float
    low: float
    high: float
    levels: SignConfig
    of: int = 0
    lacks: str = ""
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sign:
    """One of the three signs: ``counts``, ``content`` or ``data``, its level and what it rests on."""

    key: str
    level: Level
    measures: tuple[Measure, ...]

    @property
    def worst(self) -> Measure | None:
        """The measure that decided it; None where all are unknown."""
        known = [measure for measure in self.measures if measure.level != "unknown"]
        return max(known, key=lambda measure: LEVELS.index(measure.level), default=None)


@dataclass(frozen=True)
class Reports:
    """What the signs read; None where the data does not allow a report."""

    people: People
    funnel: Funnel
    sla: SlaReport | None
    content: ContentReport | None
    campaigns: Campaigns | None


def three_signs(reports: Reports) -> tuple[Sign, Sign, Sign]:
    """Judge the three signs.

    Parameters
    ----------
    reports
        Everything else on the board.
    """
    return (
        _sign("counts", [_conversion_fall(reports), _below_line(reports), _count_targets(reports)]),
        _sign("content", [_unused(reports), _sales_content(reports), _duplicates(reports)]),
        _sign("data", [_no_disposition(reports), _late_contact(reports), _diverging(reports), _differing(reports)]),
    )


def _sign(key: str, measures: Sequence[Measure]) -> Sign:
    return Sign(key, max((measure.level for measure in measures), key=LEVELS.index), tuple(measures))


def _unknown(key: str, levels: SignConfig, lacks: str, of: int = 0) -> Measure:
    nothing = float("nan")
    return Measure(key, "unknown", nothing, nothing, nothing, levels, of, lacks=lacks)


def _share(key: str, levels: SignConfig, part: int, of: int, lacks: str, **facts: float) -> Measure:
    """Judge a plain share: misaligned only if its whole interval is at least to be watched."""
    if of < fewest_of(key):
        return _unknown(key, levels, TOO_FEW if of else lacks, of)
    low, high = jeffreys(part, of)
    return _judged(Measure(key, "aligned", part / of, low, high, levels, of, facts=facts))


def fewest_of(key: str) -> int:
    """Return of how many things a measure has to be."""
    items = ("unused_content", "duplicate_topics", "count_targets", "diverging_expectations")
    return FEWEST_ITEMS if key in items else FEWEST


def _judged(measure: Measure) -> Measure:
    levels, level = measure.levels, "aligned"
    if measure.value >= levels.misaligned and measure.low >= levels.watch:
        level = "misaligned"
    elif measure.value >= levels.watch and measure.value > 0:
        level = "watch"
    return Measure(**{**measure.__dict__, "level": level})


def _conversion_fall(reports: Reports) -> Measure:
    """Judge the later half of the mature cohorts against the earlier one, MQL to SQL or to won, whichever is worse."""
    config = reports.people.config.signs
    found = [
        measure
        for name in ("mql_sql", "mql_won")
        if (measure := _fall(reports.funnel.cohorts[name], config.conversion_fall, config.volume_rise)) is not None
    ]
    if not found:
        has_mqls = reports.people.frame["mql_us"].notna().any()
        return _unknown("conversion_fall", config.conversion_fall, TOO_FEW if has_mqls else "stages")
    return max(found, key=lambda measure: (LEVELS.index(measure.level), measure.value))


def _fall(result: StepResult, levels: SignConfig, rise: float) -> Measure | None:
    cohorts = result.found
    mature = np.flatnonzero(cohorts.is_mature)[-2 * HALF_MONTHS :]
    half = len(mature) // 2
    if half < 2:
        return None
    early, late = mature[-2 * half : -half], mature[-half:]
    entered = [int(cohorts.entered[rows].sum()) for rows in (early, late)]
    reached = [int(cohorts.reached[rows].sum()) for rows in (early, late)]
    if min(reached) < 1 or max(reached) < FEWEST:
        return None
    shares = [reached[n] / entered[n] for n in (0, 1)]
    log_ratio = float(np.log(shares[1] / shares[0]))
    spread = float(np.sqrt(sum((1.0 - shares[n]) / reached[n] for n in (0, 1))))
    sure = float(norm.cdf(-log_ratio / spread)) if spread > 0 else float(log_ratio < 0)
    fall = 1.0 - float(np.exp(log_ratio))
    low, high = (1.0 - float(np.exp(log_ratio + side * NORMAL_90 * spread)) for side in (1, -1))
    volume = entered[1] / entered[0] - 1.0
    level: Level = "aligned"
    if volume >= rise and fall >= levels.watch and sure >= FAIRLY_SURE:
        level = "misaligned" if fall >= levels.misaligned and sure >= SURE else "watch"
    facts = {"volume": volume, "before": shares[0], "after": shares[1], "months": float(half)}
    facts["is_won"] = float(result.step.end == "won")
    return Measure("conversion_fall", level, fall, low, high, levels, sum(entered), facts=facts)


def _below_line(reports: Reports) -> Measure:
    levels = reports.people.config.signs.below_line
    split = reports.funnel.old_and_new
    if split is None:
        return _unknown("below_line", levels, "scores")
    below, above = (int(count) for count in split.steps["mql_sql"].found.entered)
    return _share("below_line", levels, below, below + above, "scores")


def _count_targets(reports: Reports) -> Measure:
    levels = reports.people.config.signs.count_targets
    campaigns = reports.campaigns
    if campaigns is None or not campaigns.has_expectations:
        return _unknown("count_targets", levels, "expectations")
    marketing = [one for campaign in campaigns.campaigns if (one := campaign.locked("marketing")) is not None]
    counts = sum(set(one.values) <= {"mqls"} for one in marketing)
    return _share("count_targets", levels, counts, len(marketing), "expectations")


def _unused(reports: Reports) -> Measure:
    levels, content = reports.people.config.signs.unused_content, reports.content
    if content is None or not content.has_makers:
        return _unknown("unused_content", levels, "content")
    due_us = reports.people.until_us - reports.people.config.outcome.won_horizon_days * DAY_US
    due = [
        item
        for item in content.items
        if item.made_by == "marketing" and not (item.published_us is not None and item.published_us > due_us)
    ]
    if not content.has_wins:
        return _unknown("unused_content", levels, "opportunities")
    unused = [item for item in due if item.won_users == 0]
    cost = float(sum(item.cost or 0.0 for item in unused))
    return _share("unused_content", levels, len(unused), len(due), "content", cost=cost)


def _sales_content(reports: Reports) -> Measure:
    levels, content = reports.people.config.signs.sales_content, reports.content
    if content is None or not content.has_makers:
        return _unknown("sales_content", levels, "content")
    after = {team: sum(i.uses_after for i in content.items if i.made_by == team) for team in ("marketing", "sales")}
    measure = _share("sales_content", levels, after["sales"], after["sales"] + after["marketing"], "touches")
    return measure


def _duplicates(reports: Reports) -> Measure:
    levels, content = reports.people.config.signs.duplicate_topics, reports.content
    if content is None or not content.has_makers:
        return _unknown("duplicate_topics", levels, "content")
    sales = [item for item in content.items if item.made_by == "sales" and item.topic]
    covered = {(item.topic, item.stage) for item in content.items if item.made_by == "marketing"}
    doubled = sum((item.topic, item.stage) in covered for item in sales)
    return _share("duplicate_topics", levels, doubled, len(sales), "content")


def _no_disposition(reports: Reports) -> Measure:
    levels, sla = reports.people.config.signs.no_disposition, reports.sla
    if sla is None:
        return _unknown("no_disposition", levels, "hand_offs")
    clock = sla.clocks["disposition"]
    due = clock.due_us < reports.people.until_us
    return _share("no_disposition", levels, int((due & ~np.isfinite(clock.hours)).sum()), int(due.sum()), "hand_offs")


def _late_contact(reports: Reports) -> Measure:
    levels, sla = reports.people.config.signs.late_contact, reports.sla
    if sla is None:
        return _unknown("late_contact", levels, "hand_offs")
    kept = next(row for row in sla.kept if row.clock == "contact" and row.dimension == "all")
    if not np.isfinite(kept.share) or kept.hand_offs < FEWEST:
        return _unknown("late_contact", levels, TOO_FEW if kept.hand_offs else "hand_offs", kept.hand_offs)
    measure = Measure(
        "late_contact", "aligned", 1.0 - kept.share, 1.0 - kept.high, 1.0 - kept.low, levels, kept.hand_offs
    )
    return _judged(measure)


def _diverging(reports: Reports) -> Measure:
    levels, campaigns = reports.people.config.signs.diverging_expectations, reports.campaigns
    if campaigns is None:
        return _unknown("diverging_expectations", levels, "campaigns")
    since = reports.people.seen.observed_until.date().toordinal() - 365
    until = reports.people.seen.observed_until.date()
    begun = [
        one
        for one in campaigns.campaigns
        if one.starts_on is not None and one.starts_on.toordinal() >= since and one.starts_on <= until
    ]
    missing = sum(one.locked("marketing") is None or one.locked("sales") is None for one in begun)
    diverging = sum(one.is_diverging for one in begun)
    facts = {"missing": float(missing), "diverging": float(diverging)}
    return _share("diverging_expectations", levels, missing + diverging, len(begun), "campaigns", **facts)


def _differing(reports: Reports) -> Measure:
    """Compare the newest value that each team gave a field of a lead, where both gave one."""
    people = reports.people
    levels, tables = people.config.signs.differing_fields, people.tables
    if not tables.has("lead_changes"):
        return _unknown("differing_fields", levels, "lead_changes")
    changes = tables.table("lead_changes")
    changes = changes.filter(changes.recorded_us <= people.until_us, changes.changed_by_team.notnull())
    rows: pd.DataFrame = changes.select("lead_id", "field", "value", "recorded_us", "changed_by_team").to_pandas()
    rows["team"] = rows["changed_by_team"].str.strip().str.lower()
    rows = rows[rows["team"].isin(("marketing", "sales"))].sort_values("recorded_us", kind="stable")
    newest = rows.drop_duplicates(["lead_id", "field", "team"], keep="last")
    both = newest.pivot(index=["lead_id", "field"], columns="team", values="value")
    if set(both.columns) != {"marketing", "sales"}:
        return _unknown("differing_fields", levels, "lead_changes.changed_by_team")
    both = both.dropna()
    differ = int((both["marketing"].str.strip().str.casefold() != both["sales"].str.strip().str.casefold()).sum())
    return _share("differing_fields", levels, differ, len(both), "lead_changes.changed_by_team")
